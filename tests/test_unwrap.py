"""Unwrapping is exact: it adds multiples of 2π, and the right ones."""

import numpy as np
import pytest

from chiflow.core.errors import ChiflowError
from chiflow.core.spanning_tree import edge_quality, summed_to_root, unwrap_volume, wrapped
from chiflow.unwrap import EXACT, UNWRAPPINGS, require_exact

TIMES = [0.004, 0.009, 0.015, 0.022]
SHAPE = (23, 24, 25)


def axes(shape=SHAPE):
    return np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in shape], indexing="ij")


def head(noise, seed=0):
    """Field with 2 rad steps between neighbours at the last echo, magnitude with decay, mask with a hole and an island."""
    x, y, z = axes()
    field = 60 * np.exp(-4 * ((x - 0.4) ** 2 + y**2 + (z + 0.9) ** 2)) + 60 * y
    mask = (x**2 + y**2 + z**2 < 0.8) & ~((abs(x + 0.3) < 0.15) & (abs(y) < 0.15))
    mask[:3, :3, :3] = True
    random = np.random.default_rng(seed)
    truth = np.stack([2 * np.pi * field * t for t in TIMES], axis=-1).astype(np.float32)
    magnitude = np.stack([np.full(SHAPE, np.exp(-t / 0.03)) for t in TIMES], axis=-1).astype(np.float32)
    noisy = truth + random.normal(0, noise, truth.shape).astype(np.float32) / magnitude
    return wrapped(noisy), magnitude, mask, truth, noisy


@pytest.mark.parametrize("method", UNWRAPPINGS)
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
def test_output_is_input_plus_multiples_of_two_pi_and_the_right_ones(method, noise):
    phase, magnitude, mask, _, noisy = head(noise)
    unwrapped = UNWRAPPINGS[method](phase, magnitude, mask, TIMES)
    require_exact(unwrapped, phase, mask)
    assert not unwrapped[~mask].any()
    body = mask.copy()
    body[:3, :3, :3] = False
    assert np.abs(unwrapped - noisy)[body].max() < EXACT, "every voxel of the connected body, every echo"


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(11, 12, 13), (1, 30, 7), (5, 1, 1)])
def test_steep_ramp_along_any_axis(axis, shape):
    ramp = 2.9 * np.arange(shape[axis], dtype=np.float32)
    truth = np.broadcast_to(ramp.reshape([-1 if a == axis else 1 for a in range(3)]), shape).astype(np.float32)
    unwrapped = unwrap_volume(wrapped(truth), np.ones(shape, np.float32), np.ones(shape, bool))
    shift = np.rint((unwrapped - truth).mean() / (2 * np.pi)) * 2 * np.pi
    assert np.allclose(unwrapped - shift, truth, atol=EXACT)


def test_noise_blob_does_not_spread():
    """A ball of pure noise inside smooth phase: a raster walk would streak, the tree goes round."""
    x, y, z = axes()
    truth = (25 * x + 10 * y * z).astype(np.float32)
    random = np.random.default_rng(1)
    blob = (x**2 + y**2 + z**2) < 0.12
    phase = np.where(blob, random.uniform(-np.pi, np.pi, SHAPE), wrapped(truth)).astype(np.float32)
    unwrapped = unwrap_volume(phase, np.where(blob, 0.05, 1).astype(np.float32), np.ones(SHAPE, bool))
    error = (unwrapped - truth)[~blob]
    assert np.abs(error - np.median(error)).max() < EXACT


def test_regions_apart_are_each_brought_next_to_zero():
    mask = np.zeros(SHAPE, bool)
    mask[2:9, 2:9, 2:9] = mask[12:20, 12:20, 12:20] = True
    phase = np.where(mask, wrapped(60 * axes()[0]), 0).astype(np.float32)  # 30 rad and more across each region: its corner is far from its median
    unwrapped = unwrap_volume(phase, np.ones(SHAPE, np.float32), mask)
    for region in (np.s_[2:9, 2:9, 2:9], np.s_[12:20, 12:20, 12:20]):
        assert abs(np.median(unwrapped[region])) <= np.pi


def test_pointer_doubling_equals_the_walk_to_the_root():
    random = np.random.default_rng(2)
    parent = np.array([0] + [int(random.integers(0, n)) for n in range(1, 200)], dtype=np.int32)
    steps = random.integers(-2, 3, 200).astype(np.int32)
    steps[0] = 0
    walk = []
    for node in range(200):
        total = 0
        while node != 0:
            total, node = total + steps[node], parent[node]
        walk.append(total)
    assert np.array_equal(summed_to_root(steps, parent), walk)


def test_edge_quality_is_high_on_smooth_phase_and_low_across_a_jump():
    x, _, _ = axes()
    phase = (0.5 * x).astype(np.float32)
    phase[12:] += 2.5
    quality = edge_quality(phase, np.ones(SHAPE, np.float32), 0)
    assert quality.shape == (22, 24, 25)
    assert 0 < quality[11].max() < 0.3 < 0.9 < quality[5].min() <= 1


def test_inexact_phase_is_refused():
    phase, _, mask, _, _ = head(0.0)
    with pytest.raises(ChiflowError, match="multiple of 2π"):
        require_exact(phase + np.float32(0.01) * mask[..., None], phase, mask)
