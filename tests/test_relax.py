"""R2*, T2* and S0 of decays that are known: laws of every method, the noise floor, and what each method promises alone."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from chiflow.core.errors import ChiflowError
from chiflow.relax import RELAXATIONS, arlo, loglinear, noise_of_echoes

SHAPE = (11, 12, 13)
EVEN = [0.004, 0.010, 0.016, 0.022]
UNEVEN = ([0.003, 0.011, 0.013], [0.005, 0.02])
METHODS = pytest.mark.parametrize("fit", RELAXATIONS.values(), ids=RELAXATIONS)


def decay(rate, times, s0=700.0, sigma=0.0, shape=SHAPE, seed=1):
    """Magnitude (X, Y, Z, E) float32 of a decay with complex noise σ."""
    clean = np.stack([np.broadcast_to(s0 * np.exp(-rate * t), shape) for t in times], axis=-1)
    noise = sigma * np.random.default_rng(seed).normal(size=(2, *clean.shape))
    return np.hypot(clean + noise[0], noise[1]).astype(np.float32)


def everywhere(magnitude):
    return np.ones(magnitude.shape[:3], bool)


@pytest.mark.parametrize("name, times", [*[(name, EVEN) for name in RELAXATIONS], *[("loglinear", times) for times in UNEVEN]])
def test_exact_decay_gives_exact_maps(name, times):
    rate = np.random.default_rng(0).uniform(5, 120, SHAPE)
    magnitude = decay(rate, times)
    fitted = RELAXATIONS[name](magnitude, everywhere(magnitude), times, 0.0)
    tolerance = 1e-4 if name == "loglinear" else (120 * 0.006) ** 4 / 180  # float32 magnitude, 1e-7 / (R2* ΔTE); error of Simpson's rule
    assert np.allclose(fitted.r2star, rate, rtol=tolerance)
    assert np.allclose(fitted.t2star, 1 / rate, rtol=tolerance)
    assert np.allclose(fitted.s0, 700, rtol=4 * tolerance)  # R2* TE is up to 2.6


@METHODS
def test_unit_of_the_magnitude_does_not_matter(fit):
    magnitude, mask = decay(30, EVEN, sigma=20.0), np.arange(13) % 3 > np.zeros((11, 12, 1))
    plain, scaled = fit(magnitude, mask, EVEN, 20.0), fit(1e3 * magnitude, mask, EVEN, 2e4)
    assert np.allclose(scaled.r2star, plain.r2star, rtol=1e-5) and np.allclose(scaled.s0, 1e3 * plain.s0, rtol=1e-5)
    assert all((volume[~mask] == 0).all() and (volume[mask] > 0).any() for volume in (plain.r2star, plain.t2star, plain.s0))


@METHODS
def test_noise_does_not_bias_the_mean_rate(fit):
    times = [*EVEN, 0.028, 0.034]
    magnitude = decay(100, times, s0=1.0, sigma=0.05, shape=(51, 52, 53))  # from the fifth echo on near the noise floor
    r2star = fit(magnitude, everywhere(magnitude), times, 0.05).r2star
    assert r2star.mean() == pytest.approx(100, abs=0.22)  # −0.02 and +0.20 measured; weights from M: −10; σ not taken off: −5


def test_echoes_at_the_noise_floor_do_not_count():
    times = [0.004, 0.010, 0.016, 0.05, 0.06, 0.07, 0.08, 0.09]
    magnitude = decay(100, times, s0=1.0, sigma=0.01, shape=(31, 32, 33))  # from the fourth on below σ
    all_echoes, early = (loglinear(magnitude[..., :n], everywhere(magnitude), times[:n], 0.01).r2star for n in (8, 3))
    assert all_echoes.mean() == pytest.approx(100, abs=0.1)  # −0.08 measured, standard error 0.02
    assert all_echoes.std() < 1.02 * early.std()


def test_arlo_is_the_least_square_of_its_own_prediction():
    signal, third = decay(45, EVEN, s0=1.0, sigma=0.05, shape=(1, 1, 5)), 0.002
    fitted = arlo(signal, everywhere(signal), EVEN, 0.0).t2star[0, 0]

    def misfit(time, s):
        predicted = ((time - third) * s[:2] - 4 * third * s[1:3]) / (time + third)
        return float(((s[2:] - predicted) ** 2).sum())

    naive = [minimize_scalar(misfit, bounds=(0.005, 0.2), args=(s.astype(float),), method="bounded", options={"xatol": 1e-9}).x for s in signal[0, 0]]
    assert np.allclose(fitted, naive, rtol=1e-5)


@pytest.mark.parametrize("times", UNEVEN)
def test_arlo_refuses_uneven_echoes_and_names_the_other_method(times):
    magnitude = decay(30, times)
    with pytest.raises(ChiflowError, match="evenly spaced.*--method loglinear"):
        arlo(magnitude, everywhere(magnitude), times, 0.0)


@METHODS
def test_growing_signal_and_zero_signal_stay_in_range(fit):
    magnitude = np.ones((3, 3, 3, 3), np.float32) * np.float32([1.0, 1.5, 2.0])
    magnitude[0] = 0
    fitted = fit(magnitude, np.ones((3, 3, 3), bool), EVEN[:3], 0.01)
    assert (fitted.r2star[1:] == 0).all() and (fitted.t2star[1:] == 1).all()
    assert all(np.isfinite(volume).all() for volume in (fitted.r2star, fitted.t2star, fitted.s0))
    assert (fitted.r2star <= 1000).all() and (fitted.s0[0] < 0.01).all()


@METHODS
def test_noise_alone_gives_bounded_maps(fit):
    magnitude = decay(0, EVEN, s0=0.0, sigma=1.0, shape=(21, 22, 23))
    fitted = fit(magnitude, everywhere(magnitude), EVEN, 1.0)
    assert fitted.s0.max() < 31 and np.isfinite(fitted.r2star).all()  # 26 σ and 28 σ measured


@pytest.mark.parametrize("echoes, air, expected", [(4, True, 15), (4, False, 15), (2, True, 15), (2, False, 0)])
def test_noise_is_found_with_air_or_with_echoes_to_spare(echoes, air, expected):
    magnitude = decay(np.random.default_rng(2).uniform(10, 60, (40, 40, 40)), EVEN[:echoes], sigma=15.0, shape=(40, 40, 40))
    mask = np.broadcast_to(np.arange(40) >= 22, (40, 40, 40))
    if air:
        magnitude[:, :, :22] = decay(0, EVEN[:echoes], s0=0.0, sigma=15.0, shape=(40, 40, 22), seed=3)
    assert noise_of_echoes(magnitude, mask, EVEN[:echoes]) == pytest.approx(expected, rel=0.02)  # 1 % measured
