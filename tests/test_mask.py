"""The brain mask: brain without scalp, without unreliable voxels, in one piece."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from chiflow.core.errors import ChiflowError
from chiflow.mask import brain_mask, reliable_part
from chiflow.mask.surface import enclosed, icosphere, neighbour_table, normals


def head(voxel_size, shape):
    """Ellipsoid brain, dark skull, bright scalp; returns magnitude, brain, and distance from the centre relative to the brain's surface."""
    axes = [(np.arange(n) - n / 2) * v for n, v in zip(shape, voxel_size)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt((x / 60) ** 2 + (y / 72) ** 2 + (z / 52) ** 2)
    magnitude = np.where(radius < 1, 100.0, np.where(radius < 1.1, 8.0, np.where(radius < 1.22, 90.0, 1.0)))
    magnitude = magnitude + np.random.default_rng(0).normal(0, 2, shape)
    return np.abs(magnitude).astype(np.float32)[..., None], radius < 1, radius


@pytest.mark.parametrize("voxel_size, shape", [((2.5, 2.5, 2.5), (64, 76, 58)), ((2.0, 2.0, 4.0), (80, 95, 36))])
def test_brain_is_found_under_skull_and_scalp(voxel_size, shape):
    magnitude, brain, radius = head(voxel_size, shape)
    mask = brain_mask(magnitude, np.ones(shape, np.float32), voxel_size)
    assert not mask[radius > 1.05].any(), "no scalp"
    assert not mask[binary_dilation(~brain)].any(), "the rim is left out"
    rim = 1.5 * max(voxel_size) / 52  # one eroded voxel, and half a voxel of the surface
    assert mask[radius < 1 - rim].mean() > 0.999


def test_unreliable_voxels_are_left_out_and_enclosed_ones_kept():
    mask, quality = np.ones((12, 13, 14), bool), np.ones((12, 13, 14), np.float32)
    quality[:, :, 10:], quality[5, 5, 5] = 0.2, 0.1
    part = reliable_part(mask, quality)
    assert part[5, 5, 5] and not part[:, :, 10:].any()
    quality[:, :, 4] = 0.0
    assert not reliable_part(mask, quality)[:, :, :4].any(), "only the largest piece stays"


def test_nothing_reliable_is_one_line():
    with pytest.raises(ChiflowError, match="phase quality above 0.7"):
        reliable_part(np.ones((9, 9, 9), bool), np.zeros((9, 9, 9), np.float32))
    with pytest.raises(ChiflowError, match="zero everywhere"):
        brain_mask(np.zeros((9, 9, 9, 2), np.float32), np.ones((9, 9, 9), np.float32), (1, 1, 1))


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
