"""R2* of a decay that is known."""

import numpy as np
import pytest

from chiflow.relax import fit_r2star

SHAPE = (21, 22, 23)


@pytest.mark.parametrize("times", [[0.004, 0.010, 0.016, 0.022], [0.003, 0.011, 0.013], [0.005, 0.02]])
def test_exact_decay_gives_exact_rate(times):
    rate = np.random.default_rng(0).uniform(5, 120, SHAPE)
    magnitude = np.stack([700 * np.exp(-rate * t) for t in times], axis=-1).astype(np.float32)
    r2star, t2star = fit_r2star(magnitude, np.ones(SHAPE, bool), times)
    assert np.allclose(r2star, rate, rtol=1e-4)  # float32 magnitude, 1e-7 / (R2* ΔTE)
    assert np.allclose(t2star, 1 / rate, rtol=1e-4)


def test_noise_does_not_bias_the_mean_rate():
    times, random = [0.004, 0.010, 0.016, 0.022], np.random.default_rng(1)
    clean = np.stack([np.full(SHAPE, np.exp(-30 * t)) for t in times], axis=-1)
    noisy = np.abs(clean + 0.02 * (random.normal(size=clean.shape) + 1j * random.normal(size=clean.shape))).astype(np.float32)
    r2star, _ = fit_r2star(noisy, np.ones(SHAPE, bool), times)
    assert r2star.mean() == pytest.approx(30, abs=0.3)  # σ of one voxel 2.6 1/s over 10⁴ voxels, and a Rician bias of 0.5 σ²/M² per echo


def test_growing_signal_and_zero_signal_stay_in_range():
    magnitude = np.ones((3, 3, 3, 2), np.float32) * [1.0, 1.5]
    magnitude[0] = 0
    r2star, t2star = fit_r2star(magnitude.astype(np.float32), np.ones((3, 3, 3), bool), [0.004, 0.01])
    assert (r2star[1:] == 0).all() and (t2star[1:] == 1).all()
    assert np.isfinite(r2star).all() and np.isfinite(t2star).all()
