"""The field fits find the field, know its noise, and see bad voxels."""

import numpy as np
import pytest

from chiflow.fieldmap import FIELD_FITS
from chiflow.fieldmap.linear import fit_linear

TIMES = [0.004, 0.010, 0.016, 0.022]
SHAPE = (21, 22, 23)
EVERYWHERE = np.ones(SHAPE, bool)

each_fit = pytest.mark.parametrize("fit", FIELD_FITS.values(), ids=FIELD_FITS)


def measured(noise, seed=0):
    random = np.random.default_rng(seed)
    field = random.uniform(-80, 80, SHAPE).astype(np.float32)
    magnitude = np.stack([np.exp(-t * random.uniform(10, 60, SHAPE)) for t in TIMES], axis=-1).astype(np.float32)
    phase = np.stack([2 * np.pi * field * t for t in TIMES], axis=-1) + noise * random.normal(size=magnitude.shape) / magnitude
    return phase.astype(np.float32), magnitude, field


@each_fit
@pytest.mark.parametrize("scale", [1.0, 1e-4, 3000.0])
def test_exact_phase_gives_the_exact_field_in_any_unit_of_magnitude(fit, scale):
    phase, magnitude, field = measured(0.0)
    fitted = fit(phase, scale * magnitude, EVERYWHERE, TIMES)
    assert np.allclose(fitted.field_hz, field, atol=1e-3)  # 80 Hz in float32
    assert fitted.quality.min() > 1 - 1e-5


@each_fit
@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_noise_map_is_the_error_and_the_fit_is_the_best_there_is(fit, noise):
    phase, magnitude, field = measured(noise)
    fitted = fit(phase, magnitude, EVERYWHERE, TIMES)
    z = (fitted.field_hz - field) / fitted.noise_hz
    assert np.std(z) == pytest.approx(1, abs=0.035)  # 10⁴ voxels: standard error 0.7 %, 1.3 % of the median behind σ, 1 % of σ_v
    power = (magnitude**2) @ np.square(TIMES)
    best = noise / (2 * np.pi * np.sqrt(power))  # Cramér–Rao bound of a line through the origin
    assert np.median(fitted.noise_hz / best) == pytest.approx(1, abs=0.03)


def test_both_fits_agree_within_noise():
    phase, magnitude, field = measured(0.05)
    one, two = (fit(phase, magnitude, EVERYWHERE, TIMES) for fit in FIELD_FITS.values())
    assert np.std((one.field_hz - two.field_hz) / one.noise_hz) < 0.05  # measured 0.02


@each_fit
def test_a_voxel_whose_echoes_disagree_loses_quality_and_gains_noise(fit):
    phase, magnitude, _ = measured(0.01)
    phase[3, 4, 5, 2] += 2.5
    fitted = fit(phase, magnitude, EVERYWHERE, TIMES)
    assert fitted.quality[3, 4, 5] < 0.7 < np.percentile(fitted.quality, 1)
    assert fitted.noise_hz[3, 4, 5] > 10 * np.median(fitted.noise_hz)


def test_an_echo_off_by_a_turn_does_the_nonlinear_fit_no_harm():
    phase, magnitude, field = measured(0.01)
    phase[..., 1] += np.where(np.random.default_rng(1).random(SHAPE) < 0.1, np.float32(2 * np.pi), 0)
    assert np.abs(FIELD_FITS["nonlinear"](phase, magnitude, EVERYWHERE, TIMES).field_hz - field).max() < 1  # Hz, 8 σ of the worst voxel
    assert np.abs(fit_linear(phase, magnitude, EVERYWHERE, TIMES).field_hz - field).max() > 5


@each_fit
def test_a_single_echo_knows_its_noise_from_its_neighbours(fit):
    random, time = np.random.default_rng(2), 0.02
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    field, sigma = 30 * x + 20 * y * z, 0.08
    phase = (2 * np.pi * time * field + sigma * random.normal(size=SHAPE)).astype(np.float32)
    phase[15:, 15:, 15:] = random.uniform(-np.pi, np.pi, phase[15:, 15:, 15:].shape)
    fitted = fit(phase[..., None], np.full((*SHAPE, 1), 300, np.float32), EVERYWHERE, [time])
    smooth = np.s_[1:14, 1:14, 1:14]
    assert np.std((fitted.field_hz - field)[smooth]) == pytest.approx(sigma / (2 * np.pi * time), rel=0.05)  # 2197 voxels: 1.5 %
    assert np.median(fitted.noise_hz) == pytest.approx(sigma / (2 * np.pi * time), rel=0.1)
    assert np.percentile(fitted.quality[smooth], 1) > 0.7 > np.median(fitted.quality[17:20, 17:21, 17:22])


@each_fit
def test_outside_the_mask_is_zero(fit):
    phase, magnitude, _ = measured(0.01)
    mask = np.zeros(SHAPE, bool)
    mask[5:10] = True
    fitted = fit(phase, magnitude, mask, TIMES)
    for volume in (fitted.field_hz, fitted.noise_hz, fitted.quality):
        assert not volume[~mask].any()
        assert volume[mask].any()
