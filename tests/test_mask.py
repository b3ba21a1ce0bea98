"""The brain mask: brain without scalp, without unreliable voxels, in one piece, whichever way the axes point."""

import json
import shutil
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from conftest import ROOT
from scipy.ndimage import affine_transform, binary_dilation, binary_fill_holes, label

from chiflow.core.brain import without_rim
from chiflow.core.errors import ChiflowError
from chiflow.core.weights import load_weights
from chiflow.mask.extract import BRAIN_EXTRACTIONS, extracted_brain, judged, neck, round_the_core
from chiflow.mask.grid import interpolation, padded, resampled, unpadded
from chiflow.mask.quality import figures, reliable_part
from chiflow.mask.surface import enclosed, icosphere, neighbour_table, normals

WEIGHTS = ROOT / "weights" / "brain_mask.safetensors"
VOXEL, SHAPE = (2.5, 2.5, 2.5), (64, 76, 58)


def head(voxel_size=VOXEL, shape=SHAPE):
    """Ellipsoid brain, dark skull, bright scalp; returns magnitude, brain, and distance from the centre relative to the brain's surface."""
    axes = [(np.arange(n) - n / 2) * v for n, v in zip(shape, voxel_size)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt((x / 60) ** 2 + (y / 72) ** 2 + (z / 52) ** 2)
    magnitude = np.where(radius < 1, 100.0, np.where(radius < 1.1, 8.0, np.where(radius < 1.22, 90.0, 1.0)))
    magnitude = magnitude + np.random.default_rng(0).normal(0, 2, shape)
    return np.abs(magnitude).astype(np.float32)[..., None], radius < 1, radius


def affine_of(voxel_size):
    return np.diag([*voxel_size, 1.0])


def brain_by(method, magnitude, affine):
    """The brain by a method that must find it."""
    found = extracted_brain(magnitude, affine, method=method, weights=WEIGHTS)
    assert (found.method, found.warnings) == (method, [])
    return found.brain


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def simulated(heads):
    """Magnitude, affine and true brain of a small simulated head, 5 × 5 × 6 mm, tilted 20°."""
    images = [nibabel.load(path) for path in sorted((heads / "bids" / "sub-01" / "anat").glob("*part-mag*.nii*"))]
    truth = nibabel.load(next((heads / "truth" / "sub-01").glob("mask.nii*")))
    return np.stack([image.get_fdata(dtype=np.float32) for image in images], axis=3), images[0].affine, truth.get_fdata() > 0


@pytest.mark.parametrize("method, least", [("network", 1 - 1.1 * 0.050), ("surface", 1 - 1.1 * 0.094)])  # measured 0.950, 0.906
def test_the_brain_of_a_simulated_head_is_found(simulated, method, least):
    magnitude, affine, brain = simulated
    assert dice(brain_by(method, magnitude, affine), brain) > least


@pytest.mark.parametrize("voxel_size, shape", [(VOXEL, SHAPE), ((2.0, 2.0, 4.0), (80, 95, 36))])
def test_the_surface_leaves_out_skull_and_scalp(voxel_size, shape):
    magnitude, brain, radius = head(voxel_size, shape)
    mask = without_rim(brain_by("surface", magnitude, affine_of(voxel_size)))
    assert not mask[radius > 1.05].any(), "no scalp"
    assert not mask[binary_dilation(~brain)].any(), "the rim is left out"
    rim = 1.5 * max(voxel_size) / 52  # one eroded voxel, and half a voxel of the surface
    assert mask[radius < 1 - rim].mean() > 0.999


@pytest.mark.parametrize("method, order, flips", [
    *[("network", *turn) for turn in (((0, 1, 2), (0,)), ((0, 1, 2), (1, 2)), ((2, 0, 1), ()), ((1, 0, 2), (0, 2)))], ("surface", (1, 2, 0), (0,)),
])
def test_flipped_and_permuted_axes_give_the_same_brain(simulated, method, order, flips):
    magnitude, affine, _brain = simulated
    image = nibabel.Nifti1Image(magnitude, affine)
    turned = image.as_reoriented(np.array([[order.index(axis), -1 if axis in flips else 1] for axis in range(3)]))
    moved = brain_by(method, np.asarray(turned.dataobj), turned.affine)
    expected = nibabel.Nifti1Image(brain_by(method, magnitude, affine).astype(np.uint8), affine)
    back = nibabel.as_closest_canonical(nibabel.Nifti1Image(moved.astype(np.uint8), turned.affine))
    assert np.mean(np.asarray(back.dataobj) != np.asarray(nibabel.as_closest_canonical(expected).dataobj)) < 1e-5  # ties of float32 only


def test_an_oblique_grid_gives_the_same_brain(simulated):
    magnitude, affine, _brain = simulated
    c, s = np.cos(np.radians(15)), np.sin(np.radians(15))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    to_old = np.diag(1 / np.array([5, 5, 6])) @ turn @ np.diag([5, 5, 6])
    shape = np.array(magnitude.shape[:3])
    offset = (shape - 1) / 2 - to_old @ ((shape + 5) / 2)
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = to_old, offset
    turned = np.stack([affine_transform(magnitude[..., e], to_old, offset, tuple(shape + 6), order=1) for e in range(magnitude.shape[3])], axis=3)
    expected = affine_transform(brain_by("network", magnitude, affine).astype(np.float32), to_old, offset, tuple(shape + 6), order=1) > 0.5
    assert dice(brain_by("network", turned, affine @ move), expected) > 1 - 1.1 * 0.044  # measured 0.956 at 5 × 5 × 6 mm


@pytest.mark.parametrize("method", BRAIN_EXTRACTIONS)
def test_the_unit_of_the_magnitude_does_not_matter_and_equal_input_gives_an_equal_brain(simulated, method):
    magnitude, affine, _brain = simulated
    first = brain_by(method, magnitude, affine)
    assert np.array_equal(first, brain_by(method, magnitude, affine))
    assert np.array_equal(first, brain_by(method, magnitude * np.float32(1024), affine))


@pytest.mark.parametrize("method", BRAIN_EXTRACTIONS)
def test_a_brain_is_one_piece_without_holes(simulated, method):
    brain = brain_by(method, *simulated[:2])
    assert label(brain)[1] == 1 and np.array_equal(brain, binary_fill_holes(brain))


def ball(radius):
    """Ball of 100 in noise of 0.5, (21, 22, 23, 1), and where it is."""
    x, y, z = np.meshgrid(*[np.arange(n) - n // 2 for n in (21, 22, 23)], indexing="ij")
    inside = x**2 + y**2 + z**2 < radius**2
    return np.where(inside, 100, 0.5).astype(np.float32)[..., None], inside


@pytest.mark.parametrize("method", BRAIN_EXTRACTIONS)
def test_a_phantom_is_all_signal_with_a_warning(method):
    magnitude, inside = ball(8)
    found = extracted_brain(magnitude, affine_of((3, 3, 3)), method=method, weights=WEIGHTS)
    assert np.array_equal(found.brain, inside) and found.method == "signal" and "no skull is seen" in found.warnings[0]


def test_what_has_no_brain_falls_back_with_a_warning():
    noise = np.random.default_rng(0).rayleigh(1, (24, 25, 26, 1)).astype(np.float32) ** 4
    found = extracted_brain(noise, affine_of((1, 1, 1)), method="network", weights=WEIGHTS)
    assert found.brain.any() and found.method != "network" and "brain extraction by network" in found.warnings[0]


def test_what_is_too_wide_for_a_brain_is_none():
    wide = np.zeros((130, 40, 30), bool)
    wide[4:126, 5:35, 5:25] = True
    share = wide.astype(np.float32)
    assert "mm across is no brain" in judged(wide, share, (2.0, 2.0, 2.0))[1]
    assert judged(wide, share, (1.5, 2.0, 2.0))[1] == ""
    assert "unsure" in judged(wide, 0.6 * share, (1.5, 2.0, 2.0))[1]


def test_nothing_further_than_a_brain_below_the_top_of_the_head_counts():
    strength = np.ones((9, 10, 130), np.float32)
    strength[:, :, 120:] = 0
    strength[4, 5, 128] = 5  # a bright speck above the head
    assert neck(strength, 2.0) == int(120 - 175 / 2.0) and neck(strength, 1.0) == 0


def test_what_hangs_on_the_cord_is_cut_off():
    x, y, z = np.meshgrid(*[np.arange(n) * 2.0 for n in (40, 41, 60)], indexing="ij")
    brain = (x - 40) ** 2 + (y - 40) ** 2 + (z - 84) ** 2 < 30**2
    cord = ((x - 40) ** 2 + (y - 40) ** 2 < 8**2) & (z < 60) & (z > 20)
    muscle = (x - 40) ** 2 + (y - 40) ** 2 + (z - 18) ** 2 < 16**2
    kept = (brain | cord | muscle) & round_the_core(brain | cord | muscle)
    assert (kept >= brain).all() and not (kept & muscle).any()
    slab = brain[:, :, 40:44]
    assert (round_the_core(slab) >= slab).all(), "a slab is not cut at its own faces"


def test_weights_with_one_changed_byte_are_refused(tmp_path):
    for suffix in (".safetensors", ".json"):
        shutil.copy(WEIGHTS.with_suffix(suffix), tmp_path)
    tensors, card = load_weights(tmp_path / WEIGHTS.name)
    assert sum(t.numel() for t in tensors.values()) == card["Architecture"]["Parameters"]
    content = bytearray((tmp_path / WEIGHTS.name).read_bytes())
    content[-1] ^= 1
    (tmp_path / WEIGHTS.name).write_bytes(content)
    with pytest.raises(ChiflowError, match="brain_mask.safetensors: SHA-256 .* is not that of its card"):
        load_weights(tmp_path / WEIGHTS.name)
    with pytest.raises(ChiflowError, match="none.safetensors: no such file"):
        load_weights(tmp_path / "none.safetensors")


def test_the_card_says_what_the_weights_are():
    card = json.loads(WEIGHTS.with_suffix(".json").read_text(encoding="utf8"))
    assert {"Sha256", "Architecture", "Training", "ValidationCurve", "Validation", "Limits", "Licence"} <= set(card)
    assert card["Training"]["HeldOut"] == [17, 18, 19, 20] and WEIGHTS.stat().st_size < 1_000_000


def test_phase_quality_needs_no_torch():
    code = "import sys; import chiflow.mask.quality, chiflow.mask.surface, chiflow.mask.grid; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT / "bin").returncode == 0


def test_unreliable_voxels_are_left_out_and_enclosed_ones_kept():
    mask, quality = np.ones((12, 13, 14), bool), np.ones((12, 13, 14), np.float32)
    quality[:, :, 10:], quality[5, 5, 5] = 0.2, 0.1
    part = reliable_part(mask, quality)
    assert part.mask[5, 5, 5] and not part.tight[5, 5, 5] and not part.mask[:, :, 10:].any()
    quality[:, :, 4] = 0.0
    assert not reliable_part(mask, quality).mask[:, :, :4].any(), "only the largest piece stays"


def test_tight_lies_in_the_mask_and_the_mask_in_the_brain_without_rim():
    _magnitude, brain, _radius = head()
    rng = np.random.default_rng(1)
    quality = rng.uniform(0.6, 1, SHAPE).astype(np.float32) ** 0.3
    brain[30:34, 30:34, 30:34] = False
    inner = without_rim(brain)
    part = reliable_part(inner, quality, 0.88)
    assert (part.tight <= part.mask).all() and (part.mask <= inner).all() and (inner <= brain).all()
    assert part.tight.sum() < part.mask.sum() < inner.sum()
    assert (quality[part.tight] > 0.88).all()
    assert not without_rim(brain)[binary_dilation(~brain)].any(), "the rim is left out"
    assert without_rim(np.ones((5, 6, 7), bool)).all(), "the edge of the field of view is no rim"


def test_coverage_is_the_share_of_good_voxels():
    brain, quality = np.zeros((12, 13, 14), bool), np.ones((12, 13, 14), np.float32)
    brain[1:11, 1:11, 1:11] = True
    quality[:, :, :4] = 0.1
    quality[5, 5, 7] = 0.1
    part = reliable_part(brain, quality)
    # of 10 × 10 × 10 voxels the good block has 10 × 10 × 7 less one; opening by a cross takes the 4 · 10 + 4 · 10 + 4 · 7 edges, corners counted thrice
    assert part.coverage == (700 - 1 - (108 - 2 * 8)) / 1000 == part.tight.sum() / 1000
    assert part.mask.sum() == part.tight.sum() + 1
    figure = figures(part, brain, np.diag([2.0, 2, 3, 1]))
    assert figure == {"Voxels": int(part.mask.sum()), "VolumeMl": round(part.mask.sum() * 0.012, 1), "BrainVolumeMl": 12.0, "Coverage": round(part.coverage, 4)}


def test_nothing_reliable_is_a_warning_and_no_signal_an_error():
    nothing = reliable_part(np.ones((9, 9, 9), bool), np.zeros((9, 9, 9), np.float32))
    assert not nothing.mask.any() and nothing.coverage == 0 and "only 0 voxels have a phase quality above 0.7" in nothing.warnings[0]
    with pytest.raises(ChiflowError, match="zero everywhere"):
        extracted_brain(np.zeros((9, 9, 9, 2), np.float32), np.eye(4), method="network", weights=WEIGHTS)


@pytest.mark.parametrize("old, new", [((11, 1.0), (6, 2.0)), ((13, 3.3), (21, 2.0)), ((12, 2.0), (12, 2.0)), ((5, 9.0), (23, 2.0))])
def test_resampling_keeps_constants_and_straight_lines(old, new):
    weights = interpolation(*old, *new)
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-6)
    y, x = ((np.arange(n) - (n - 1) / 2) * mm for n, mm in (old, new))
    inside = np.abs(x) <= y[-1] - max(old[1], new[1])
    assert np.allclose((weights @ y)[inside], x[inside], atol=0.05 * new[1])  # exact where the spacing divides


def test_padding_is_undone_and_resampling_commutes_with_flips():
    volume = np.random.default_rng(0).random((11, 12, 13)).astype(np.float32)
    assert padded(volume).shape == (16, 16, 16) and np.array_equal(unpadded(padded(volume), volume.shape), volume)
    there = resampled(volume, (1.5, 2.5, 3), (9, 15, 20), (2, 2, 2))
    assert np.allclose(resampled(volume[::-1, :, ::-1], (1.5, 2.5, 3), (9, 15, 20), (2, 2, 2)), there[::-1, :, ::-1], atol=1e-6)


def test_icosphere_is_a_closed_surface_with_outward_normals():
    points, triangles = icosphere(3)
    assert (len(points), len(triangles)) == (642, 1280)  # 10·4ⁿ + 2 and 20·4ⁿ
    assert np.allclose(np.linalg.norm(points, axis=1), 1)
    assert ((normals(points, triangles) * points).sum(axis=1) > 0.99).all()
    table, counts = neighbour_table(triangles, len(points))
    assert sorted(np.unique(counts)) == [5, 6] and (counts == 5).sum() == 12
    assert all(v in table[w, : counts[w]] for v in range(0, 642, 37) for w in table[v, : counts[v]])


def test_enclosed_volume_of_a_sphere():
    points, triangles = icosphere(4)
    voxel_size = np.array([1.0, 0.8, 2.0])
    mask = enclosed(points * 15 + [20, 21, 22], triangles, (41, 53, 23), voxel_size)
    x, y, z = np.meshgrid(*[np.arange(n) * v for n, v in zip(mask.shape, voxel_size)], indexing="ij")
    distance = np.sqrt((x - 20) ** 2 + (y - 21) ** 2 + (z - 22) ** 2)
    assert mask[distance < 14].all() and not mask[distance > 15 + voxel_size.max()].any()
