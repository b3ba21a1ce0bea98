"""Log-linear fit that knows the noise floor.

    E[ln M] = ln A + ½ E₁(x),     x = A² / 2σ²,     A = S0 exp(−R2* TE)

holds exactly for a Rician M of amplitude A and noise σ: above the floor ln M has no bias, at the floor it stops to fall. Its slope in ln A is
1 − e^(−x) and its variance about 1 / (2x + 24/π²): σ²/A² above the floor, π²/24 at it. Gauss-Newton steps of the weighted fit of ln M then are

    z = ln A + (ln M − E[ln M]) / (1 − e^(−x)),     w = (1 − e^(−x))² (2x + 24/π²),     z ≈ ln S0 − R2* TE

so that an echo at the floor loses its weight. A is the fitted amplitude: weights from M itself favour echoes that noise made bright, R2* is too small.
"""

import numpy as np
from scipy.special import exp1

from chiflow.relax.decay import Relaxation, relaxation, within_limits

STEPS = 4
CHUNK = 200_000  # voxels at a time, to bound memory
LOWEST, LONGEST = -1.0, 2.0  # ln A / σ at which an echo is taken to lie, at least, and its step: noise alone gives no bound
VARIANCE_AT_FLOOR = np.pi**2 / 24
LEAST_NOISE = 1e-4  # of the largest magnitude; levels of 12 bits are as coarse
LEAST_SIGNAL = 0.1  # of the noise; Rayleigh noise is below that in one voxel of 200


def loglinear(magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float], noise: float) -> Relaxation:
    """R2*, T2* and S0 by a weighted fit of ln M over the echoes.

    magnitude : (X, Y, Z, E), E ≥ 2. mask : (X, Y, Z) bool. echo_times_s : E times in s. noise : σ of each channel of the complex signal, in the
    unit of the magnitude; 0 when it is not known.
    """
    times = np.asarray(echo_times_s, dtype=np.float64)
    signal = magnitude[mask]
    sigma = max(noise, LEAST_NOISE * float(signal.max(initial=0)), 1e-30)
    parts = [fit(signal[first : first + CHUNK] / np.float64(sigma), times) for first in range(0, len(signal), CHUNK)]
    rate, start = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))
    return relaxation(rate, sigma * np.exp(start), mask)


def fit(signal: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R2* in 1/s and ln S0, both (V,), of a signal (V, E) in units of σ."""
    logs = np.log(np.maximum(signal, LEAST_SIGNAL))
    rate, start = line(logs, np.exp(2 * logs), times)
    for _ in range(STEPS):
        amplitude = np.clip(start[:, None] - rate[:, None] * times, LOWEST, 300)
        x = np.exp(2 * amplitude) / 2
        slope = -np.expm1(-x)
        weights = slope**2 * (2 * x + 1 / VARIANCE_AT_FLOOR)
        rate, start = line(amplitude + np.clip((logs - amplitude - exp1(x) / 2) / slope, -LONGEST, LONGEST), weights, times)
    return rate, start


def line(values: np.ndarray, weights: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R2* within its limits and ln S0, both (V,), of the weighted line through values (V, E) = ln S0 − R2* TE."""
    total = weights.sum(axis=1)
    mean_time, mean = weights @ times / total, (weights * values).sum(axis=1) / total
    lever = weights * (times - mean_time[:, None])
    rate = within_limits(-(lever * (values - mean[:, None])).sum(axis=1) / np.maximum((lever * times).sum(axis=1), 1e-300))
    return rate, mean + rate * mean_time
