"""R2* and T2* from the magnitude of the echoes.

    ln M_e = ln M0 − R2* TE_e,     weighted least squares with w = (M_e² − σ²)₊     R2* within [0, 1000] 1/s,  T2* = 1 / R2*

The variance of ln M is σ²/M² for noise σ; taking σ² off keeps echoes at the noise floor out of the fit.
"""

import numpy as np

from chiflow.core.signal_mask import air_noise

LARGEST_R2STAR = 1000.0
LARGEST_T2STAR = 1.0


def fit_r2star(magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """R2* in 1/s and T2* in s, both (X, Y, Z) float32 and 0 outside the mask.

    magnitude : (X, Y, Z, E), E ≥ 2. mask : (X, Y, Z) bool. echo_times_s : E times in s. T2* is at most 1 s, where R2* is 0 as well.
    """
    times = np.asarray(echo_times_s, dtype=np.float64)
    signal = magnitude[mask].astype(np.float64)
    weights = np.maximum(signal**2 - air_noise(magnitude[..., 0]) ** 2, 1e-6 * signal[:, :1] ** 2 + 1e-30)
    logs = np.log(np.maximum(signal, 1e-12 * max(float(signal.max(initial=0)), 1e-30)))
    total = weights.sum(axis=1)
    mean_time, mean_log = weights @ times / total, (weights * logs).sum(axis=1) / total
    spread = (weights * (times - mean_time[:, None]) ** 2).sum(axis=1)
    slope = (weights * (times - mean_time[:, None]) * (logs - mean_log[:, None])).sum(axis=1)
    rate = np.clip(-slope / np.maximum(spread, 1e-300), 0, LARGEST_R2STAR)
    r2star, t2star = np.zeros((2, *mask.shape), dtype=np.float32)
    r2star[mask] = rate
    t2star[mask] = 1 / np.maximum(rate, 1 / LARGEST_T2STAR)
    return r2star, t2star
