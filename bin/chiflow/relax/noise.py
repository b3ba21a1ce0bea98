"""Noise of the magnitude, twice, and the smaller one counts: each can only be too large.

    σ from the air outside the mask, when the first echo in the mask is above 3 σ      (too large when the image has no air)
    σ² = median of Σ M² (ln M − fit)² / median of χ²(E − 2),  E ≥ 3                   (too large when the decay is no exponential)
"""

import numpy as np
from scipy.special import chdtri

from chiflow.core.signal_mask import air_noise
from chiflow.relax.loglinear import line

LEAST_SNR = 3.0
ENOUGH = 200_000  # voxels for a median


def noise_of_echoes(magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float]) -> float:
    """σ of each channel of the complex signal, in the unit of the magnitude; 0 when neither estimate can be made.

    magnitude : (X, Y, Z, E), E ≥ 2. mask : (X, Y, Z) bool. echo_times_s : E times in s.
    """
    signal = magnitude[mask]
    signal = signal[:: max(1, len(signal) // ENOUGH)].astype(np.float64)
    air = air_noise(magnitude[~mask, 0])
    estimates = [air if np.median(signal[:, 0]) > LEAST_SNR * air else 0.0]
    signal = signal[(signal > 0).all(axis=1)]
    if signal.shape[1] > 2 and len(signal):
        times, logs, weights = np.asarray(echo_times_s, dtype=np.float64), np.log(signal), signal**2
        rate, start = line(logs, weights, times)
        chi2 = (weights * (logs - start[:, None] + rate[:, None] * times) ** 2).sum(axis=1)
        estimates.append(float(np.sqrt(np.median(chi2) / chdtri(len(times) - 2, 0.5))))
    return min((sigma for sigma in estimates if sigma > 0), default=0.0)
