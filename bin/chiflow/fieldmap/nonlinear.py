"""Nonlinear fit of the complex signal.

    min over f   Σ |S_e − |S_e| exp(2πi f TE)|²  =  min  Σ 2 w (1 − cos(φ − 2πf TE)),      w = magnitude²

by Gauss-Newton from the linear fit. An echo that is off by a turn of 2π does no harm, and what is far off the line counts less.

Reference: Liu 2013 (10.1002/mrm.24272).
"""

import numpy as np

from chiflow.core.units import TWO_PI
from chiflow.fieldmap.linear import fit_linear
from chiflow.fieldmap.result import FieldMap, field_map

STEPS = 8


def fit_nonlinear(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float]) -> FieldMap:
    """Fit of exp(2πi f TE) to the complex signal of the echoes; arguments as fit_linear."""
    times = np.asarray(echo_times_s, dtype=np.float32)
    values, weights = phase[mask], magnitude[mask] ** 2
    power = np.maximum(weights @ times**2, np.float32(1e-30))
    field = fit_linear(phase, magnitude, mask, echo_times_s).field_hz[mask]
    for _ in range(STEPS):
        misfit = values - np.float32(TWO_PI) * field[:, None] * times
        field += (weights * np.sin(misfit)) @ times / (power * np.float32(TWO_PI))
    return field_map(field, values, weights, mask, times)
