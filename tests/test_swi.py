"""Susceptibility weighting: what must darken, what must not, no rim at the edge, and the projection against a loop."""

from itertools import permutations

import numpy as np
import pytest

from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import Geometry
from chiflow.swi import combined_magnitude, highpass, minimum_projection, susceptibility_weighted
from chiflow.swi.highpass import HARMONICS, smooth_part
from chiflow.swi.weighting import mean_phase, reference_time

SHAPE, VOXEL, TIMES = (21, 22, 19), (1.0, 0.8, 1.5), [0.005, 0.012, 0.020]
GEOMETRY = Geometry(SHAPE, VOXEL)
GRID = np.stack(np.meshgrid(*[(np.arange(n) - n // 2) * v for n, v in zip(SHAPE, VOXEL)], indexing="ij"))
BALL = (GRID**2).sum(axis=0) < 7.5**2


def echoes(field_hz, times=TIMES):
    return np.stack([2 * np.pi * field_hz * t for t in times], axis=-1).astype(np.float32)


@pytest.fixture
def magnitude():
    random = np.random.default_rng(0)
    return (random.uniform(50, 150, (*SHAPE, 1)) * np.exp(-30 * np.array(TIMES))).astype(np.float32)


@pytest.fixture
def vein():
    """A thin vertical tube off the centre."""
    return BALL & (np.abs(GRID[0] - 2) < 0.9) & (np.abs(GRID[1] + 1) < 0.9)


def test_a_paramagnetic_vein_is_dark_and_a_diamagnetic_one_is_not(magnitude, vein):
    plain = combined_magnitude(magnitude, TIMES)
    dark, bright = (susceptibility_weighted(echoes(sign * 12 * vein + 3), magnitude, BALL, TIMES, GEOMETRY) / plain for sign in (1, -1))
    assert dark[vein].max() < 0.19 and dark[~vein].min() > 0.98  # 0.17 and 0.990 measured; (1 − 2 · 12 Hz · 16 ms)⁴ = 0.144 before the high pass
    assert bright[vein].min() == 1.0


@pytest.mark.parametrize("times", [TIMES, TIMES[:1]])
def test_constant_phase_gives_the_magnitude(magnitude, times):
    magnitude = magnitude[..., : len(times)]
    weighted = susceptibility_weighted(np.full_like(magnitude, 1.3) * times / np.float32(0.01), magnitude, BALL, times, GEOMETRY)
    assert np.allclose(weighted, combined_magnitude(magnitude, times), rtol=1e-5)


def test_scaling_the_magnitude_scales_the_image(magnitude, vein):
    phase = echoes(12 * vein + GRID[0])
    plain, scaled = (susceptibility_weighted(phase, factor * magnitude, BALL, TIMES, GEOMETRY) for factor in (1, np.float32(1e-4)))
    assert np.allclose(scaled, 1e-4 * plain, rtol=1e-5)


@pytest.mark.parametrize("field", [
    3 * GRID[0] - 2 * GRID[1] + GRID[2] + 5,
    0.3 * (GRID[0] ** 2 - GRID[2] ** 2) + 0.2 * GRID[0] * GRID[1],
    0.2 * (GRID[0] ** 2 + GRID[1] ** 2 - 2 * GRID[2] ** 2) + GRID[1],
], ids=["linear", "saddle", "axial"])
def test_phase_from_outside_leaves_no_rim(magnitude, field):
    weighted = susceptibility_weighted(echoes(field), magnitude, BALL, TIMES, GEOMETRY) / combined_magnitude(magnitude, TIMES)
    assert np.abs(weighted - 1).max() < 2e-5  # 1.7e-5 measured, of RIDGE; a weighted mean leaves 0.8


def test_what_lies_outside_the_mask_or_was_not_unwrapped_does_not_matter(magnitude, vein):
    phase, hole = echoes(12 * vein + GRID[2] + 30), (np.abs(GRID) < 1.2).all(axis=0)
    phase[hole] = 0
    spoiled = np.where(BALL[..., None], phase, 40)
    plain, other = (susceptibility_weighted(p, magnitude, BALL, TIMES, GEOMETRY) for p in (phase, spoiled))
    assert np.array_equal(plain, other)
    assert np.array_equal(plain[~BALL | hole], combined_magnitude(magnitude, TIMES)[~BALL | hole])
    smooth = BALL & ~hole & (np.abs(GRID[0] - 2) > 2)
    assert (plain / combined_magnitude(magnitude, TIMES))[smooth].min() > 0.99


def test_the_smooth_part_is_the_fit_done_voxel_by_voxel(monkeypatch):
    monkeypatch.setattr(highpass, "SLAB", 5)
    random, sigma = np.random.default_rng(3), (1.3, 1.7, 0.9)
    values, weight = random.normal(size=SHAPE), np.where(BALL, random.uniform(0.2, 2, SHAPE), 0)
    smooth = smooth_part(values, weight, sigma)
    where = np.argwhere(BALL)
    for voxel in where[random.integers(len(where), size=12)]:
        offset = where - voxel
        near = (np.abs(offset) <= np.ceil(3 * np.array(sigma))).all(axis=1)
        there, u = tuple(where[near].T), offset[near] / sigma
        basis = np.stack([sum(c * np.prod(u ** np.array(p), axis=1) for p, c in h.items()) for h in HARMONICS], axis=-1)
        root = np.sqrt(np.exp(-(u**2).sum(axis=1) / 2) * weight[there])
        fitted = np.linalg.lstsq(basis * root[:, None], values[there] * root, rcond=None)[0]
        assert smooth[tuple(voxel)] == pytest.approx(fitted[0], abs=1e-3)  # RIDGE
    assert (smooth[~BALL] == 0).all()


def test_an_echo_without_signal_does_not_count(magnitude, vein):
    phase = echoes(12 * vein + 3)
    magnitude[..., 2] = 0
    good, _ = mean_phase(phase, magnitude, BALL, TIMES)
    phase[..., 2] = 17
    spoiled, weight = mean_phase(phase, magnitude, BALL, TIMES)
    assert np.array_equal(good, spoiled) and (weight[BALL] > 0).all()
    assert reference_time(magnitude, BALL, TIMES) < TIMES[1]
    assert np.allclose(good[BALL], 2 * np.pi * reference_time(magnitude, BALL, TIMES) * (12 * vein + 3)[BALL], rtol=1e-5)


def test_weights_of_the_magnitude_are_the_best_for_small_differences_of_r2star():
    def contrast_to_noise(weights):
        signal = np.exp(-25 * np.array(TIMES))
        return (weights * TIMES * signal**2).sum() / np.sqrt((weights**2 * signal**2).sum())

    random = np.random.default_rng(4)
    assert contrast_to_noise(np.array(TIMES)) > max(contrast_to_noise(random.uniform(0, 1, 3)) for _ in range(500))
    magnitude = random.uniform(1, 2, (3, 3, 3, 3)).astype(np.float32)
    naive = np.sqrt(sum(t * magnitude[..., e] ** 2 for e, t in enumerate(TIMES)) / sum(TIMES))
    assert np.allclose(combined_magnitude(magnitude, TIMES), naive, rtol=1e-6)


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:])
def test_the_order_of_the_axes_does_not_matter(magnitude, vein, order):
    phase, turned = echoes(12 * vein + GRID[1]), Geometry([SHAPE[a] for a in order], [VOXEL[a] for a in order], [(0, 0.3, -1)[a] for a in order])
    weighted = susceptibility_weighted(phase, magnitude, BALL, TIMES, GEOMETRY)
    other = susceptibility_weighted(phase.transpose(*order, 3), magnitude.transpose(*order, 3), BALL.transpose(order), TIMES, turned)
    assert np.allclose(other, weighted.transpose(order), rtol=1e-3)
    projected = minimum_projection(weighted, BALL, Geometry(SHAPE, VOXEL, (0, 0.3, -1)))
    assert np.array_equal(minimum_projection(weighted.transpose(order), BALL.transpose(order), turned), projected.transpose(order))


@pytest.mark.parametrize("slab_mm, slices", [(0, 1), (4, 3), (6.2, 4), (500, 333)])
def test_projection_is_the_lowest_value_in_the_slab(slab_mm, slices):
    image = np.random.default_rng(5).uniform(1, 2, SHAPE).astype(np.float32)
    projected = minimum_projection(image, BALL, Geometry(SHAPE, VOXEL, (0, 0.3, -1)), slab_mm=slab_mm)
    for k in range(SHAPE[2]):
        slab = slice(max(0, k - slices // 2), k - slices // 2 + slices)
        naive = np.where(BALL[..., slab], image[..., slab], np.inf).min(axis=2)
        assert np.array_equal(projected[..., k], np.where(BALL[..., k], naive, 0))
    assert (projected <= image).all()


def test_wrapped_phase_is_refused(magnitude):
    phase = echoes(4 * GRID[0])
    susceptibility_weighted(phase, magnitude, BALL, TIMES, GEOMETRY)
    with pytest.raises(ChiflowError, match="unwrap it first"):
        susceptibility_weighted((phase + np.float32(np.pi)) % np.float32(2 * np.pi) - np.float32(np.pi), magnitude, BALL, TIMES, GEOMETRY)
