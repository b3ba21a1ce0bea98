"""ARLO: auto-regression on linear operations, for evenly spaced echoes.

An exponential is T2* times its own fall, ∫ S dt = T2* (Sᵢ − Sᵢ₊₂) over two spacings Δ. With Simpson's rule, aᵢ = Δ/3 (Sᵢ + 4 Sᵢ₊₁ + Sᵢ₊₂),
and dᵢ = Sᵢ − Sᵢ₊₂, the next echo follows from the two before it:

    Sᵢ₊₂ = ((T2* − Δ/3) Sᵢ − 4Δ/3 Sᵢ₊₁) / (T2* + Δ/3)

Its squared error, Σ ((aᵢ − T2* dᵢ) / (T2* + Δ/3))², is least at

    T2* = (Σ aᵢ² + Δ/3 Σ aᵢ dᵢ) / (Σ aᵢ dᵢ + Δ/3 Σ dᵢ²)

Noise σ: S = √(M² − σ²)₊ has the mean A to first order, for a Rician M of amplitude A. S0 = Σ S e / Σ e² with e = exp(−R2* TE).
Simpson's rule is off by (R2* Δ)⁴/180. Reference: Pei 2015 (10.1002/mrm.25137).
"""

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.relax.decay import Relaxation, relaxation, within_limits

EVEN = 0.01  # of the spacing: by how much echo times may differ from even ones (they are given to 0.01 ms)


def arlo(magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float], noise: float) -> Relaxation:
    """R2*, T2* and S0 by ARLO.

    magnitude : (X, Y, Z, E), E ≥ 3. mask : (X, Y, Z) bool. echo_times_s : E evenly spaced times in s. noise : σ of each channel of the complex
    signal, in the unit of the magnitude; 0 when it is not known. Raises ChiflowError for fewer than 3 echoes or an uneven spacing.
    """
    times = np.asarray(echo_times_s, dtype=np.float64)
    third = even_spacing(times) / 3
    signal = np.sqrt(np.maximum(magnitude[mask].astype(np.float64) ** 2 - noise**2, 0))
    first, middle, last = signal[:, :-2], signal[:, 1:-1], signal[:, 2:]
    area, fall = third * (first + 4 * middle + last), first - last
    above = (area * fall).sum(axis=1) + third * (fall**2).sum(axis=1)
    rate = within_limits(above / np.maximum((area**2).sum(axis=1) + third * (area * fall).sum(axis=1), 1e-300))
    decay = np.exp(-rate[:, None] * times)
    return relaxation(rate, (signal * decay).sum(axis=1) / np.maximum((decay**2).sum(axis=1), 1e-300), mask)


def even_spacing(times: np.ndarray) -> float:
    """Δ in s of echo times in s. Raises ChiflowError unless there are three or more at even distances."""
    steps = np.diff(times)
    if len(times) < 3 or np.ptp(steps) > EVEN * steps.mean():
        raise ChiflowError(f"arlo needs three or more evenly spaced echoes, the echo times are {times.tolist()} s: take --method loglinear")
    return float(steps.mean())
