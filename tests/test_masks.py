"""Brain masks as other programs leave them mean one brain; what cannot be a brain is named."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom
from test_stages import run

from chiflow.core.errors import ChiflowError
from chiflow.core.labels import mask_on
from chiflow.core.masks import inside_of
from chiflow.core.nifti import Image, load, save
from chiflow.mask.given import given_brain

SHAPE = (28, 32, 26)
AFFINE = np.diag([3.0, 3, 3, 1])


def ball(radius):
    """Voxels within a share of the half axes of the grid."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    return x**2 + y**2 + z**2 < radius**2


BRAIN, HEAD = ball(0.6), ball(0.8)
RANDOM = np.random.default_rng(0)
MAGNITUDE = np.where(HEAD, 100.0, 0)[..., None] * np.exp(-20 * np.array([0.004, 0.01, 0.016])) + np.abs(RANDOM.normal(size=(*SHAPE, 3)))
HALVES = np.where(BRAIN, np.where(np.arange(SHAPE[0])[:, None, None] < SHAPE[0] // 2, 2, 41), 0)  # white matter left and right, FreeSurfer


def probabilities():
    soft = gaussian_filter(BRAIN.astype(np.float32), 1.5)
    return np.where(soft < 1e-3, 1e-3 * RANDOM.random(SHAPE), soft)


def spline():
    """Half the matrix and back by cubic splines: rings below 0 and above 1."""
    return zoom(zoom(BRAIN.astype(np.float32), 0.5, order=1), np.array(SHAPE) / np.array([14, 16, 13]), order=3)


SAME = {
    "0 and 1": BRAIN.astype(np.uint8), "0 and 255": 255 * BRAIN.astype(np.uint8), "0 and 0.3": 0.3 * BRAIN,
    "labels": HALVES, "three tissues": BRAIN * (1 + (np.indices(SHAPE).sum(axis=0) % 3)),
}
SOFT = {"probabilities": probabilities(), "probabilities in percent": 100 * probabilities(), "a soft edge": gaussian_filter(BRAIN.astype(np.float32), 1.0),
        "a soft edge in bytes": np.round(255 * gaussian_filter(BRAIN.astype(np.float32), 1.0)), "resampled by splines": spline()}


def test_the_soft_masks_are_the_cases():
    assert (SOFT["probabilities"] > 0).mean() > 0.99 and SOFT["resampled by splines"].min() < -0.01 and SOFT["resampled by splines"].max() > 1.01


@pytest.mark.parametrize("values", SAME.values(), ids=SAME)
def test_a_mask_is_what_is_not_zero(values, tmp_path):
    assert np.array_equal(inside_of(values.astype(np.float32), tmp_path)[0], BRAIN)


@pytest.mark.parametrize("values", SOFT.values(), ids=SOFT)
def test_of_a_soft_edge_what_is_above_half_is_inside(values, tmp_path):
    inside, notes = inside_of(values.astype(np.float32), tmp_path / "m.nii")
    overlap = 2 * (inside & BRAIN).sum() / (inside.sum() + BRAIN.sum())
    assert overlap > 0.95, "half is where a symmetric blur has the edge; a ball this small loses some of its curvature"
    assert len(notes) == 1 and "m.nii: a mask with a soft edge" in notes[0]


def test_an_image_is_no_mask(tmp_path):
    contrast = gaussian_filter(RANDOM.normal(size=SHAPE), 1)
    image = np.where(BRAIN, 300 * (1 + 0.25 * contrast / contrast.std()), 0)
    with pytest.raises(ChiflowError, match="brain_mask.nii: its values are spread from .*: an image and no mask"):
        inside_of(image.astype(np.float32), tmp_path / "brain_mask.nii")


NO_BRAIN = {"inverted": (~BRAIN, "inverted"), "everything": (np.ones(SHAPE, bool), "covers everything"),
            "of another scan": (np.roll(BRAIN, 14, axis=0), "of another scan")}


@pytest.mark.parametrize("mask, said", NO_BRAIN.values(), ids=NO_BRAIN)
def test_what_cannot_be_a_brain_is_refused(tmp_path, mask, said):
    with pytest.raises(ChiflowError, match=f"mine_mask.nii: .* of the mask lie where there is no signal: .*{said}"):
        given_brain(Image(mask.astype(np.float32), AFFINE, tmp_path / "mine_mask.nii"), MAGNITUDE)


@pytest.mark.parametrize("mask, warned", [(BRAIN, 0), (HEAD, 0), (np.roll(BRAIN, 5, axis=0), 1)])
def test_a_mask_that_reaches_into_air_is_a_warning(tmp_path, mask, warned):
    found = given_brain(Image(mask.astype(np.float32), AFFINE, tmp_path / "m.nii"), MAGNITUDE)
    assert np.array_equal(found.brain, mask) and len(found.warnings) == warned


def test_a_skull_stripped_crop_may_be_all_brain(tmp_path):
    found = given_brain(Image(np.ones((4, 5, 6), np.float32), AFFINE, tmp_path / "m.nii"), np.full((4, 5, 6, 2), 50.0))
    assert found.brain.all() and "covers the whole image" in found.warnings[0]


def test_the_stage_records_what_it_took_for_the_mask(tmp_path):
    for name, data in {"magnitude": MAGNITUDE, "quality": np.ones(SHAPE), "soft_mask": SOFT["probabilities"], "inverted_mask": ~BRAIN}.items():
        save(tmp_path / f"{name}.nii", data, Image(data, AFFINE, tmp_path))
    (tmp_path / "a.json").write_text(json.dumps({"EchoTimes": [0.004, 0.01, 0.016], "MagneticFieldStrength": 3}))
    words = ["--magnitude", "magnitude.nii", "--quality", "quality.nii", "--acquisition", "a.json", "--out", "mask.nii", "--mask"]
    done = run("mask", tmp_path, [*words, "soft_mask.nii"])
    assert done.returncode == 0 and "a mask with a soft edge" in json.loads((tmp_path / "mask.json").read_text())["Warnings"][0]
    assert (load(tmp_path / "mask.nii").data > 0).sum() == pytest.approx(BRAIN.sum(), rel=0.1)
    done = run("mask", tmp_path, [*words, "inverted_mask.nii"])
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "inverted_mask.nii" in done.stderr


def test_a_soft_reference_region_is_its_upper_half(tmp_path):
    save(tmp_path / "soft.nii", SOFT["probabilities"], Image(SOFT["probabilities"], AFFINE, tmp_path))
    found, resampled = mask_on(tmp_path / "soft.nii", Image(np.zeros(SHAPE), AFFINE, tmp_path))
    assert not resampled and found.sum() == pytest.approx(BRAIN.sum(), rel=0.1)
