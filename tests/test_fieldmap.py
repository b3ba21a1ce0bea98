"""The field fit finds the field, knows its noise, and sees bad voxels."""

import numpy as np
import pytest

from chiflow.fieldmap import fit_field

TIMES = [0.004, 0.010, 0.016, 0.022]
SHAPE = (21, 22, 23)


def measured(noise, seed=0):
    random = np.random.default_rng(seed)
    field = random.uniform(-80, 80, SHAPE).astype(np.float32)
    magnitude = np.stack([np.exp(-t * random.uniform(10, 60, SHAPE)) for t in TIMES], axis=-1).astype(np.float32)
    phase = np.stack([2 * np.pi * field * t for t in TIMES], axis=-1) + noise * random.normal(size=magnitude.shape) / magnitude
    return phase.astype(np.float32), magnitude, field


@pytest.mark.parametrize("scale", [1.0, 1e-4, 3000.0])
def test_exact_phase_gives_the_exact_field_in_any_unit_of_magnitude(scale):
    phase, magnitude, field = measured(0.0)
    fitted = fit_field(phase, scale * magnitude, np.ones(SHAPE, bool), TIMES)
    assert np.allclose(fitted.field_hz, field, atol=1e-3)  # 80 Hz in float32
    assert fitted.quality.min() > 1 - 1e-5


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_noise_map_is_the_error_and_the_fit_is_the_best_there_is(noise):
    phase, magnitude, field = measured(noise)
    fitted = fit_field(phase, magnitude, np.ones(SHAPE, bool), TIMES)
    z = (fitted.field_hz - field) / fitted.noise_hz
    assert np.std(z) == pytest.approx(1, abs=0.03)  # 10⁴ voxels: standard error 0.7 %, and 1.3 % of the median behind σ
    power = (magnitude**2) @ np.square(TIMES)
    best = noise / (2 * np.pi * np.sqrt(power))  # Cramér–Rao bound of a line through the origin
    assert np.median(fitted.noise_hz / best) == pytest.approx(1, abs=0.03)


def test_a_voxel_off_by_a_wrap_loses_quality():
    phase, magnitude, _ = measured(0.01)
    phase[3, 4, 5, 2] += 2.5
    fitted = fit_field(phase, magnitude, np.ones(SHAPE, bool), TIMES)
    assert fitted.quality[3, 4, 5] < 0.7 < np.percentile(fitted.quality, 1)


def test_outside_the_mask_is_zero():
    phase, magnitude, _ = measured(0.01)
    mask = np.zeros(SHAPE, bool)
    mask[5:10] = True
    fitted = fit_field(phase, magnitude, mask, TIMES)
    for volume in (fitted.field_hz, fitted.noise_hz, fitted.quality):
        assert not volume[~mask].any()
        assert volume[mask].any()
