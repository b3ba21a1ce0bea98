"""Simulated samples: the same from the same recipe, physics where nothing is wrong, errors as stated where something is, whole heads, files."""

import sys
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import simulate
import torch

from chiflow.core.cli import execute
from chiflow.core.contracts import Acquisition
from chiflow.core.dipole import DipoleOperator
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import Geometry
from chiflow.core.nifti import load
from chiflow.simulate.anatomy import INDEX, label_maps, read_head
from chiflow.simulate.paint import LESION, VEIN
from chiflow.simulate.recipe import FREE_KINDS, Recipe, drawn
from chiflow.simulate.sample import PADDING, harmonic_rest, made
from chiflow.simulate.surroundings import AIR_PPM, background_field, read_surroundings
from chiflow.simulate.whole import whole_head, whole_recipe
from chiflow.simulate.write import RecordedRecipe, affine_of, label_map_of, read_record, recorded, training_records, whole_records, write_samples

OBLIQUE = tuple(np.array([0.3, -0.5, 0.8]) / np.linalg.norm([0.3, -0.5, 0.8]))
CHI = tuple(0.04 * np.cos(3.0 * np.arange(FREE_KINDS)))
SHAPES = Recipe(3, None, (23, 26, 24), (1.0, 1.2, 1.6), OBLIQUE, chi_ppm=CHI, texture_ppm=(0.005,) * FREE_KINDS, brightness=(1.0,) * FREE_KINDS,
                sigma_ppm=0.0)
VOLUMES = ("field", "mask", "weight", "magnitude", "chi", "local", "kinds")
QUIET = dict(veins=0, guide_noise=0.0)


def same(one, other) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in VOLUMES) and one.geometry == other.geometry


def laplacian(volume: torch.Tensor, voxel_size) -> torch.Tensor:
    """∇² (X, Y, Z) by second differences; the rim is 0."""
    result, inner = torch.zeros_like(volume), (slice(1, -1),) * 3
    for axis, size in enumerate(voxel_size):
        result[inner] += ((volume.roll(1, axis) - 2 * volume + volume.roll(-1, axis)) / size**2)[inner]
    return result


def eroded(mask: torch.Tensor, voxels: int) -> torch.Tensor:
    """Voxels of a mask whose neighbours up to a distance are inside, too."""
    return torch.nn.functional.max_pool3d((~mask)[None, None].float(), 2 * voxels + 1, 1, voxels)[0, 0] == 0


def ellipsoid(semi, centre=(33, 38, 40), shape=(66, 76, 80)) -> np.ndarray:
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum(((x - c) / s) ** 2 for x, c, s in zip(axes, centre, semi)) < 1


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Folder with the label map of a small head: skin, skull, CSF, cortex, white matter, ventricle and nuclei, air in the nose, a gap inside."""
    volume = np.zeros((66, 76, 80), np.int16)
    for label, semi in ((511, (32, 36, 38)), (515, (30, 34, 36)), (24, (27, 31, 33)), (3, (26, 30, 32)), (2, (22, 26, 28)), (4, (4, 9, 5))):
        volume[ellipsoid(semi)] = label
    for label, x in ((13, 24), (52, 42)):
        volume[ellipsoid((3, 5, 4), (x, 42, 40))] = label
    for label, x in ((28, 28), (60, 38)):
        volume[ellipsoid((5, 7, 7), (x, 36, 28))] = label
    for semi, centre in (((6, 6, 6), (33, 69, 26)), ((2.5, 2.5, 2.5), (33, 38, 56))):
        volume[ellipsoid(semi, centre)] = 0
    folder = tmp_path_factory.mktemp("labels")
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / "head_1.nii.gz")
    return folder


@pytest.fixture(scope="module")
def head(labels):
    return read_head(label_maps(labels)[0])


def test_a_recipe_gives_the_same_sample_and_another_seed_another_one():
    recipe = replace(SHAPES, sigma_ppm=0.002, veins=2, residue=0.1, guide_noise=0.1)
    assert same(made(recipe, []), made(recipe, []))
    assert not torch.equal(made(recipe, []).chi, made(replace(recipe, seed=4), []).chi)


@pytest.mark.parametrize("number", range(6))
def test_a_recipe_comes_back_from_its_file(number, tmp_path):
    recipe = drawn(np.random.default_rng([7, number]), heads=number % 2)
    RecordedRecipe(recipe=recipe).write(tmp_path / "recipe.json")
    assert read_record(tmp_path / "recipe.json").recipe == recipe


def test_the_field_is_that_of_chi_where_nothing_is_wrong():
    sample = made(replace(SHAPES, veins=2, lesions=((1.0, 2.0),)), [])
    field = DipoleOperator(sample.geometry, padding=PADDING).forward(sample.chi)
    assert torch.equal(sample.field, sample.local * sample.mask)
    assert torch.allclose(sample.field, field * sample.mask, atol=1e-6) and sample.field.std() > 1e-3
    assert abs(float(sample.chi[sample.mask].mean())) < 1e-7 and not sample.chi[~sample.mask].any()


def test_b0_backwards_changes_nothing_and_a_mirrored_head_has_the_mirrored_field():
    sample = made(SHAPES, [])
    assert torch.allclose(made(replace(SHAPES, b0=tuple(-b for b in OBLIQUE)), []).field, sample.field, atol=1e-7)
    mirrored = Geometry(SHAPES.shape, SHAPES.voxel_size, (-OBLIQUE[0], *OBLIQUE[1:]))
    field = DipoleOperator(mirrored, padding=PADDING).forward(sample.chi.flip(0))
    assert torch.allclose(field.flip(0) * sample.mask, sample.field, atol=1e-6)


def test_a_field_of_the_fine_grid_is_near_that_of_the_voxels():
    coarse, fine = (made(replace(SHAPES, fine=fine), []) for fine in (False, True))
    assert 0.001 < (fine.field - coarse.field).norm() / coarse.field.norm() < 0.2


def test_the_rest_of_the_background_is_harmonic_and_of_the_stated_size():
    sample, clean = made(replace(SHAPES, residue=0.3), []), made(SHAPES, [])
    rest = (sample.field - clean.field)[sample.mask]
    assert float(rest.square().mean().sqrt() / clean.field[clean.mask].square().mean().sqrt()) == pytest.approx(0.3, rel=1e-3)
    rest = harmonic_rest(clean.mask, clean.geometry, np.random.default_rng(0))
    inside = eroded(clean.mask, 3)
    curved = laplacian(rest, SHAPES.voxel_size)
    assert inside.any() and curved[inside].square().mean() < 0.05**2 * curved[~inside].square().mean()


def test_noise_has_the_stated_size_where_the_weight_is_one():
    clean = made(SHAPES, [])
    white = made(replace(SHAPES, sigma_ppm=0.01), [])
    assert torch.equal(white.weight, clean.mask.float())
    assert float((white.field - clean.field)[white.mask].std()) == pytest.approx(0.01, rel=0.05)
    uneven = made(replace(SHAPES, sigma_ppm=0.01, noise_spread=0.5, seed=5), [])
    error = (uneven.field - uneven.local)[(uneven.weight - 1).abs() < 0.1]
    assert float(error.std()) == pytest.approx(0.01, rel=0.1) and uneven.weight[uneven.mask].std() > 0.2


def test_what_is_told_of_the_noise_is_not_what_it_is():
    one, other = (made(replace(SHAPES, sigma_ppm=0.01, told=told), []) for told in (1.0, 2.5))
    assert torch.equal(one.field, other.field) and (one.sigma_ppm, other.sigma_ppm) == (0.01, 0.025)


def test_outliers_are_as_many_times_the_field_as_stated():
    clean, sample = made(SHAPES, []), made(replace(SHAPES, outliers=6, outlier_size=5.0), [])
    times = (sample.field - clean.field)[sample.mask] / clean.local[clean.mask].square().mean().sqrt() / 5
    assert torch.allclose(times, times.round(), atol=1e-4) and 0 < (times.abs() > 0.5).float().mean() < 0.1


@pytest.mark.parametrize("voxels", [-1, 1])
def test_a_wrong_mask_is_one_voxel_off(voxels):
    right, wrong = made(SHAPES, []), made(replace(SHAPES, mask_error=voxels), [])
    assert torch.equal(wrong.mask, eroded(right.mask, 1) if voxels < 0 else ~eroded(~right.mask, 1)) and not torch.equal(wrong.mask, right.mask)
    assert torch.equal(right.local, wrong.local), "the sources stay where they are"


def test_anisotropy_is_in_white_matter_and_no_scalar(head):
    clean, sample = (whole_head(head, (3, 3, 3), (0, 0, 1), 0, anisotropy_ppm=a, **QUIET) for a in (0.0, 0.02))
    assert torch.equal(clean.chi, sample.chi) and torch.equal(clean.local, sample.local)
    assert 1e-4 < (sample.field - clean.field)[clean.mask].std() < 0.02


@pytest.mark.parametrize("changes, said", [
    ({"head": 1}, "label map 1 is wanted, 0 are there"), ({"shape": (7, 20, 20)}, "at least 8 voxels"),
    ({"voxel_size": (1.0, 0.0, 1.0)}, "sizes above 0"), ({"chi_ppm": (0.1, 0.2)}, "chi_ppm has 2 values, one for each of 28 kinds"),
    ({"mask_error": 2}, "mask_error 2"),
    ({"lesions": ((1.0, 2.0),), "lesion_places": ((0.5,) * 3,) * 2}, "2 lesion_places for 1 lesions"), ({"b0": (0.0, 0.0, 0.0)}, "not a direction")])
def test_a_recipe_that_cannot_be_is_one_line(changes, said):
    with pytest.raises(ChiflowError, match=said):
        made(replace(SHAPES, **changes), [])


@pytest.mark.parametrize("content, said", [('{"Recipe": {"seed": 1}}', "Recipe.head: Field required"), ("[]", "valid dictionary"),
                                           ("x", "not a JSON file")])
def test_a_file_that_is_no_recipe_is_named(content, said, tmp_path):
    (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(ChiflowError, match=f"recipe.json: .*{said}"):
        read_record(tmp_path / "recipe.json")


@pytest.mark.parametrize("values, size, said", [(np.full((12,) * 3, 0.5), 1, "whole numbers"), (np.full((12,) * 3, -1), 1, "whole numbers"),
                                                (np.full((12,) * 3, 99), 1, "no brain labels"), (np.full((12,) * 3, 2), 2, "at 1 mm"),
                                                (np.full((12,) * 4, 2), 1, "3D label map")])
def test_what_is_no_label_map_is_refused(values, size, said, tmp_path):
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.diag([size] * 3 + [1])), tmp_path / "bad.nii")
    with pytest.raises(ChiflowError, match=f"bad.nii: .*{said}"):
        read_head(tmp_path / "bad.nii")


def test_a_folder_without_label_maps_is_refused(tmp_path):
    with pytest.raises(ChiflowError, match="no label maps"):
        label_maps(tmp_path)
    with pytest.raises(ChiflowError, match="no such folder"):
        label_maps(tmp_path / "nowhere")


def test_a_head_is_cut_to_its_brain_and_gets_the_nuclei_that_the_map_lacks(head):
    assert head.name == "head_1.nii.gz" and all((head.kinds.take([0, -1], axis) > 0).any() for axis in range(3))
    for name in ("red_nucleus", "substantia_nigra"):
        places = np.argwhere(head.kinds == INDEX[name])
        assert len(places) and places[:, 0].mean() == pytest.approx((head.kinds.shape[0] - 1) / 2, abs=1)


def test_a_whole_head_fits_its_box_with_the_contrast_of_a_gradient_echo(head):
    sample = whole_head(head, (1.0, 1.0, 2.0), (0, 0.5, 1), 1, veins=6)
    shape = head.kinds.shape
    assert sample.geometry.shape == (shape[0] + 2, shape[1] + 2, -(-shape[2] // 2) + 2)
    assert int(sample.mask.sum()) * 2 == pytest.approx(int((head.kinds > 0).sum()), rel=0.02)
    darkest_first = ("pallidum", "white_matter", "cerebral_cortex", "ventricle")
    seen = {name: float(sample.magnitude[sample.kinds == INDEX[name]].median()) for name in darkest_first}
    assert list(seen) == sorted(seen, key=seen.get)
    assert sample.magnitude[(sample.kinds == VEIN) & sample.mask].median() < seen["white_matter"]
    pallidum = sample.chi[sample.kinds == INDEX["pallidum"]].mean() - sample.chi[sample.kinds == INDEX["white_matter"]].mean()
    assert float(pallidum) == pytest.approx(0.161, abs=0.015)


def test_a_box_of_the_deep_grey_matter_is_a_cube_around_it(head):
    sample = whole_head(head, (1.5, 1.5, 1.5), (0, 0, 1), 1, extent_mm=24, **QUIET)
    assert sample.geometry.shape == (16, 16, 16)
    assert (sample.kinds == INDEX["substantia_nigra"]).any() and (sample.kinds == INDEX["pallidum"]).any()


def test_lesions_are_found_by_their_kind_and_have_their_chi(head):
    recipe = whole_recipe(head, (1, 1, 1), (0, 0, 1), 2, lesions=3, **QUIET)
    sample = made(recipe, [head])
    for number, (chi, radius) in enumerate(recipe.lesions):
        voxels = sample.kinds == LESION + number
        middle = np.argwhere(voxels.numpy()).mean(0)
        assert 2 <= radius <= 4 and np.abs(middle - np.array(recipe.lesion_places[number]) * recipe.shape).max() < 1
        assert float(sample.chi[tuple(middle.round().astype(int))]) == pytest.approx(chi, abs=0.02)
    assert {chi > 0 for chi, _ in recipe.lesions} == {True, False}
    with pytest.raises(ChiflowError, match="no room for 40 lesions"):
        whole_recipe(head, (1, 1, 1), (0, 0, 1), 2, lesions=40)


def test_the_background_is_harmonic_in_the_brain_and_strong_above_the_nose(head, labels):
    recipe = whole_recipe(head, (1, 1, 1), OBLIQUE, 2, **QUIET)
    around = read_surroundings(labels / "head_1.nii.gz")
    assert around.excess.max() == 0 and around.excess.min() == pytest.approx(-2.1 - AIR_PPM)
    background, sample = background_field(around, head, recipe), made(recipe, [head])
    core = eroded(sample.mask, 6)
    curved = [float(laplacian(field, (1, 1, 1))[core].square().mean().sqrt()) for field in (background, sample.local)]
    assert curved[0] < 0.05 * curved[1] and background[sample.mask].std() > 5 * sample.local[sample.mask].std()
    with pytest.raises(ChiflowError, match="turns or bends"):
        background_field(around, head, replace(recipe, turn_deg=(10.0, 0.0, 0.0)))


def test_samples_are_files_that_their_recipe_makes_again(labels, tmp_path):
    write_samples(whole_records(labels, 2, 1, (3, 3, 3), (0, 1, 1), lesions=1, sigma_ppm=0.001), labels, tmp_path / "one")
    written = tmp_path / "one" / "sub-sim0002"
    write_samples([read_record(written / "recipe.json")], labels, tmp_path / "two")
    again = tmp_path / "two" / "sub-sim0001"
    names = {path.name for path in written.glob("*.nii.gz")}
    assert names == {f"{name}.nii.gz" for name in (*VOLUMES, "noise")}
    assert all((written / name).read_bytes() == (again / name).read_bytes() for name in names)
    field = load(written / "field.nii.gz")
    geometry = Acquisition.read(written / "acquisition.json").geometry(field)
    chi, mask = load(written / "chi.nii.gz").data, load(written / "mask.nii.gz").data
    error = (DipoleOperator(geometry, padding=PADDING).forward(torch.from_numpy(chi)).numpy() - field.data)[mask > 0]
    assert error.std() == pytest.approx(0.001, rel=0.05)


@pytest.mark.parametrize("b0", [(0, 0, 1), (0, 0, -1), (1, 0, 0), OBLIQUE])
def test_the_affine_says_where_b0_is(b0):
    sample = made(replace(SHAPES, b0=tuple(float(b) for b in b0)), [])
    affine = affine_of(sample)
    turn = affine[:3, :3] / SHAPES.voxel_size
    assert np.allclose(turn.T @ turn, np.eye(3), atol=1e-6) and np.linalg.det(turn) > 0 and np.allclose(turn @ b0, (0, 0, 1), atol=1e-6)


def test_a_recipe_of_another_label_map_is_refused(labels, head, tmp_path):
    record = recorded(whole_recipe(head, (3, 3, 3), (0, 0, 1), 1), labels / "head_1.nii.gz")
    assert label_map_of(record, labels) == labels / "head_1.nii.gz"
    record.label_map_sha256 = "0" * 64
    for folder, said in ((labels, "not the label map"), (None, "give its folder"), (tmp_path, "head_1.nii.gz: no such file")):
        with pytest.raises(ChiflowError, match=said):
            label_map_of(record, folder)


@pytest.mark.parametrize("seed", range(4))
def test_a_real_head_fits_in_the_box_of_whole_heads(seed, data):
    head = read_head(label_maps(data / "labels" / "synthseg" / "training_label_maps")[seed])
    recipe = replace(drawn(np.random.default_rng(seed), 1, whole=True), cut=False, mask_error=0)
    sample = made(recipe, [head])
    brain_ml = (head.kinds > 0).sum() / 1000
    assert sample.mask.sum() * np.prod(recipe.voxel_size) / 1000 > 0.85 * brain_ml / np.prod(recipe.stretch)


def test_without_label_maps_samples_are_of_shapes_and_with_them_of_both(labels):
    assert all(record.recipe.head is None for record in training_records(None, 8, 0))
    assert {record.label_map for record in training_records(labels, 8, 0)} == {None, "head_1.nii.gz"}


def test_a_real_label_map_is_a_whole_head(data):
    folder = data / "labels" / "synthseg" / "training_label_maps"
    if not folder.is_dir():
        pytest.skip(f"no label maps at {folder}")
    head = read_head(folder / "training_seg_18.nii.gz")
    sample = whole_head(head, (3, 3, 3), (0, 0, 1), 0)
    assert 1.0e6 < float(sample.mask.sum()) * 27 < 1.8e6, "mm³ of a brain"
    assert set(range(1, len(INDEX))) - set(np.unique(head.kinds)) <= {INDEX["hyperintensity"]}
    assert 0.02 < sample.chi[sample.mask].std() < 0.05


def test_help_teaches(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["simulate.py", "--help"])
    with pytest.raises(SystemExit):
        execute(simulate.main)
    said = " ".join(capsys.readouterr().out.split())
    assert all(word in said for word in ("--labels", "--recipe", "invert.py --field", "acquisition.json", "random shapes", "ppm", "mm"))


@pytest.mark.parametrize("options, said", [(("--labels", "nowhere"), "nowhere: no such folder"), (("--whole",), "give their folder with --labels"),
                                           (("--background",), "needs the label map of a whole head")])
def test_a_mistake_is_one_line(options, said, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["simulate.py", "--out", str(tmp_path), *options])
    with pytest.raises(SystemExit) as ended:
        execute(simulate.main)
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and len(lines) == 1 and lines[0].startswith("error: ") and said in lines[0]
