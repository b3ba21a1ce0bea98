"""Unwrapping is exact: it adds multiples of 2π, and the right ones."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from chiflow.core.errors import ChiflowError
from chiflow.core.spanning_tree import edge_quality, in_turns, summed_to_root, unwrap_volume, wrapped
from chiflow.unwrap import EXACT, EXACT_METHODS, UNWRAPPINGS, marked, require_exact

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


EXACTLY = [method for method in UNWRAPPINGS if method in EXACT_METHODS]


@pytest.mark.parametrize("method", EXACTLY)
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


def two_parts(field_of, gap=slice(9, 11)):
    """A mask cut in two along x, the right part the larger one."""
    mask = np.ones(SHAPE, bool)
    mask[gap] = False
    return mask, np.where(mask, field_of(*axes()), 0).astype(np.float32)


def test_a_region_apart_follows_the_value_across_the_gap():
    mask, truth = two_parts(lambda x, y, z: 0.8 * 11 * x + 2 * y)  # 0.8 rad a voxel: 9 rad from median to median
    unwrapped = unwrap_volume(wrapped(truth), np.ones(SHAPE, np.float32), mask)
    assert np.ptp(np.rint((unwrapped - truth)[mask] / (2 * np.pi))) == 0


def test_many_small_islands_follow_what_is_near():
    mask, (x, y, z) = np.zeros(SHAPE, bool), axes()
    mask[:, :12], mask[::3, 14::3, ::3] = True, True
    truth = (6 * x + 4 * z + 3 * y).astype(np.float32)
    unwrapped = unwrap_volume(wrapped(truth), np.ones(SHAPE, np.float32), mask)
    near = mask & (np.arange(SHAPE[1])[None, :, None] < 18)
    assert np.ptp(np.rint((unwrapped - truth)[near] / (2 * np.pi))) == 0


@pytest.mark.parametrize("method", EXACTLY)
@pytest.mark.parametrize("part_hz", [-160, 160])
def test_the_echoes_tell_the_turns_of_a_region_far_from_zero(method, part_hz):
    """160 Hz apart is 0.64 turns at 4 ms: across the gap −0.36 turns would be nearer, but the later echoes contradict it."""
    mask, field = two_parts(lambda x, y, z: 10 * y + part_hz * (x < -0.2))
    truth = np.stack([2 * np.pi * field * t for t in TIMES], axis=-1).astype(np.float32)
    unwrapped = UNWRAPPINGS[method](wrapped(truth), np.ones_like(truth), mask, TIMES)
    assert np.abs(unwrapped - truth)[mask].max() < EXACT


def test_the_echoes_tell_the_turns_of_a_part_behind_noise():
    """A ball 160 Hz off inside a shell of noise that belongs to the mask: no edge of the tree can know."""
    x, y, z = axes((33, 34, 35))
    r, random = np.sqrt(x**2 + y**2 + z**2), np.random.default_rng(3)
    field, shell = 10 * y + 160 * (r < 0.5), (r > 0.4) & (r < 0.6)
    truth = np.stack([2 * np.pi * field * t for t in TIMES], axis=-1).astype(np.float32)
    phase = np.where(shell[..., None], random.uniform(-np.pi, np.pi, truth.shape), wrapped(truth)).astype(np.float32)
    magnitude = np.where(shell[..., None], 0.02, 1).astype(np.float32) * np.ones_like(truth)
    unwrapped = UNWRAPPINGS["tree"](phase, magnitude, np.ones(shell.shape, bool), TIMES)
    assert np.abs(unwrapped - truth)[~shell].max() < EXACT


@pytest.mark.parametrize("method", UNWRAPPINGS)
@pytest.mark.parametrize("shape", [(11, 12, 13), (1, 30, 7), (25, 1, 1)])
def test_one_echo_is_enough_and_any_shape(method, shape):
    x, y, z = np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij")
    truth = (1.1 * x + 0.9 * y - 0.7 * z)[..., None]
    unwrapped = UNWRAPPINGS[method](wrapped(truth), np.ones_like(truth), np.ones(shape, bool), [0.01])
    error = unwrapped - truth
    assert error.shape == truth.shape and np.abs(error - np.median(error)).max() < 1e-3  # laplacian: measured 2e-5


@pytest.mark.parametrize("times", [[0.004, 0.010], [0.001, 0.008, 0.015], [0.005, 0.010, 0.015, 0.020, 0.025]])
@pytest.mark.parametrize("method", EXACTLY)
def test_any_echo_times(method, times):
    x, y, z = axes()
    field = 40 * x + 30 * y * z
    truth = np.stack([2 * np.pi * field * t for t in times], axis=-1).astype(np.float32)
    unwrapped = UNWRAPPINGS[method](wrapped(truth), np.ones_like(truth), np.ones(SHAPE, bool), times)
    assert np.abs(unwrapped - truth).max() < EXACT


def test_noisy_echoes_are_read_with_their_neighbours():
    """SNR 3: 1.7e-3 of voxels and echoes are wrong when each is read by itself, 1.8e-5 with the neighbours (measured)."""
    x, y, z = axes()
    random, truth = np.random.default_rng(4), np.stack([2 * np.pi * (40 * x + 20 * y * z) * t for t in TIMES], axis=-1)
    signal = np.exp(1j * truth) + (random.normal(0, 1 / 3, truth.shape) + 1j * random.normal(0, 1 / 3, truth.shape))
    phase, magnitude = np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32)
    unwrapped = UNWRAPPINGS["tree"](phase, magnitude, np.ones(SHAPE, bool), TIMES)
    wrong = np.rint((unwrapped - truth) / (2 * np.pi)) != 0
    assert wrong.mean() < 1e-4


def test_a_first_echo_far_before_the_second_is_no_template():
    """Eight times the noise of 1 ms would reach 8 ms: 1 ms is read back from the later echoes instead."""
    x, y, z = axes()
    times, random = [0.001, 0.008, 0.015], np.random.default_rng(5)
    truth = np.stack([2 * np.pi * (40 * x + 20 * y * z) * t for t in times], axis=-1)
    noisy = (truth + random.normal(0, 0.3, truth.shape)).astype(np.float32)
    unwrapped = UNWRAPPINGS["tree"](wrapped(noisy), np.ones_like(noisy), np.ones(SHAPE, bool), times)
    assert np.abs(unwrapped - noisy).max() < EXACT


@pytest.mark.parametrize("method", UNWRAPPINGS)
def test_nothing_outside_the_mask_counts(method):
    phase, magnitude, mask, _, _ = head(0.05)
    random = np.random.default_rng(6)
    other, loud = phase.copy(), magnitude.copy()
    other[~mask], loud[~mask] = random.uniform(-np.pi, np.pi, other[~mask].shape), 5
    body = mask.copy()
    body[:3, :3, :3] = False
    a, b = (UNWRAPPINGS[method](p, m, mask, TIMES) for p, m in ((phase, magnitude), (other, loud)))
    assert np.abs(a - b)[body].max() < EXACT


def test_laplacian_has_the_laplacian_of_the_truth_inside_the_mask():
    phase, magnitude, mask, truth, _ = head(0.0)
    error = (UNWRAPPINGS["laplacian"](phase, magnitude, mask, TIMES) - truth).astype(np.float64)
    inner = binary_erosion(mask)
    bend = sum(np.roll(error, s, axis=a) for a in range(3) for s in (1, -1)) - 6 * error
    assert np.abs(bend[inner]).max() < 1e-3  # measured 2e-4: what is left is harmonic
    assert np.abs(error[inner]).max() > 1, "and it is not 0: the method is approximate"
    with pytest.raises(ChiflowError):
        require_exact(error.astype(np.float32) + truth, phase, mask)


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
    quality = edge_quality(in_turns(phase), np.ones(SHAPE, np.float32), 0)
    assert quality.shape == (22, 24, 25)
    assert 0 < quality[11].max() < 0.3 < 0.9 < quality[5].min() <= 1
    later = (1.25 * x).astype(np.float32)
    quality = edge_quality(in_turns(0.5 * x), np.ones(SHAPE, np.float32), 0, in_turns(later + 2.5 * (np.arange(23) > 11)[:, None, None]), 0.4)
    assert quality[11].max() < 0.6 < 0.9 < quality[5].min(), "a jump that only the other echo has"


def test_inexact_phase_is_refused():
    phase, _, mask, _, _ = head(0.0)
    with pytest.raises(ChiflowError, match="multiple of 2π"):
        require_exact(phase + np.float32(0.01) * mask[..., None], phase, mask)


def test_a_phase_of_exactly_zero_in_the_mask_is_no_hole():
    mask = np.zeros((3, 4, 5), bool)
    mask[1:] = True
    phase = np.zeros((3, 4, 5, 2), np.float32)
    phase[1, ..., 1] = 0.5
    kept = marked(phase.copy(), mask)
    assert np.array_equal(kept.any(axis=3), mask)
    assert np.abs(kept - phase).max() <= EXACT and np.array_equal(kept[1], phase[1])
