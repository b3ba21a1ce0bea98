"""Two passes: each voxel from the map that may speak for it, on one reference."""

import numpy as np
import pytest
from test_stages import run

from chiflow.core.contracts import Record
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import Image, load, save
from chiflow.twopass import two_pass

SHAPE = (11, 12, 13)


def maps():
    """The truth, a mask, the mask with holes, and two maps of the truth on references of their own."""
    random = np.random.default_rng(0)
    truth = random.normal(0, 0.1, SHAPE).astype(np.float32)
    mask = np.zeros(SHAPE, bool)
    mask[1:-1, 2:-1, 1:-2] = True
    tight = mask & (random.random(SHAPE) > 0.1)
    return truth, mask, tight, np.where(mask, truth + 0.03, 0), np.where(tight, truth - 0.05, 0)


def test_two_maps_of_one_truth_on_other_references_give_the_truth():
    truth, mask, tight, filled_chi, tight_chi = maps()
    chi = two_pass(filled_chi, mask, tight_chi, tight)
    assert np.allclose(chi[mask], truth[mask] + 0.03, atol=1e-6), "on the reference of the filled map"
    assert not chi[~mask].any() and chi.dtype == np.float32


def test_holes_come_from_the_filled_map_and_the_rest_from_the_tight_one():
    truth, mask, tight, filled_chi, tight_chi = maps()
    hole = mask & ~tight
    only_holes = two_pass(np.where(hole, filled_chi + 1, filled_chi), mask, tight_chi, tight)
    difference = only_holes - two_pass(filled_chi, mask, tight_chi, tight)
    assert np.ptp(difference[tight]) < 1e-6 and np.allclose(difference[hole] - difference[tight].mean(), 1, atol=1e-6)


def test_masks_apart_are_one_line():
    _, mask, _, filled_chi, tight_chi = maps()
    with pytest.raises(ChiflowError, match="no voxel in common"):
        two_pass(filled_chi, mask, tight_chi, ~mask)


def test_what_a_network_began_from_is_put_together_as_chi_is(tmp_path):
    _, mask, tight, filled_chi, tight_chi = maps()
    like = Image(filled_chi, np.eye(4), tmp_path)
    for folder, chi in (("filled", filled_chi), ("tight", tight_chi)):
        for name, volume in (("chi.nii", chi), ("start.nii", 2 * chi), ("residual.nii", chi), ("ratio.nii", chi)):
            save(tmp_path / folder / name, volume, like)
        Record(stage="invert", method="net").write_beside(tmp_path / folder / "chi.nii")
    save(tmp_path / "mask.nii", mask, like)
    save(tmp_path / "tight.nii", tight, like)
    done = run("twopass", tmp_path, "--filled filled --tight tight --mask mask.nii --tight-mask tight.nii --out out".split())
    assert done.returncode == 0, done.stderr
    assert np.allclose(load(tmp_path / "out" / "start.nii").data, 2 * load(tmp_path / "out" / "chi.nii").data, atol=1e-6)  # float32
    assert np.allclose(load(tmp_path / "out" / "chi.nii").data, two_pass(filled_chi, mask, tight_chi, tight), atol=1e-6)
