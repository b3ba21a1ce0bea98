"""Weighted linear fit.

    f = Σ w φ TE / (2π Σ w TE²),      w = magnitude²  (phase noise is σ / magnitude)
"""

import numpy as np

from chiflow.core.units import TWO_PI
from chiflow.fieldmap.result import FieldMap, field_map


def fit_linear(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float]) -> FieldMap:
    """Weighted linear fit through the origin over the echoes.

    phase : (X, Y, Z, E) rad, unwrapped and free of offset. magnitude : (X, Y, Z, E). mask : (X, Y, Z) bool. echo_times_s : E ≥ 1 times in s.
    """
    times = np.asarray(echo_times_s, dtype=np.float32)
    values, weights = phase[mask], magnitude[mask] ** 2
    slope = (weights * values) @ times / np.maximum(weights @ times**2, np.float32(1e-30))
    return field_map(slope / np.float32(TWO_PI), values, weights, mask, times)
