"""Exact unwrapping of every echo: output = input + 2π · integer.

The template echo is unwrapped in space along a maximum spanning tree; every other echo in time, against what the echoes already
unwrapped predict for it:

    n_e = round((2π f_e TE_e − φe) / 2π),      2π f_e = Σ w φ TE / Σ w TE²  over the echoes before it,  w = magnitude²

Reference: Dymerska 2021 (10.1002/mrm.28563).
"""

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.spanning_tree import add_wraps, unwrap_volume
from chiflow.core.units import TWO_PI

EXACT = 1e-4  # rad: 2π n in float32 is off by 2e-5 at n = 40


def unwrap_tree(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float]) -> np.ndarray:
    """Unwrapped phase (X, Y, Z, E) float32 rad, 0 outside the mask, from offset-free phase (X, Y, Z, E) in rad.

    magnitude : (X, Y, Z, E). mask : (X, Y, Z) bool. echo_times_s : E times in s. The first echo is the template.
    """
    times = np.asarray(echo_times_s, dtype=np.float32)
    result = np.zeros_like(phase)
    other, ratio = (phase[..., 1], times[0] / times[1]) if len(times) > 1 else (None, 1.0)
    result[..., 0] = unwrap_volume(phase[..., 0], magnitude[..., 0], mask, other, ratio)
    values, weights = phase[mask], magnitude[mask] ** 2
    numerator = weights[:, 0] * result[..., 0][mask] * times[0]
    denominator = weights[:, 0] * times[0] ** 2
    for echo in range(1, len(times)):
        predicted = numerator / np.maximum(denominator, np.float32(1e-30)) * times[echo]
        unwrapped = add_wraps(values[:, echo], np.rint((predicted - values[:, echo]) * np.float32(1 / TWO_PI)))
        result[..., echo][mask] = unwrapped
        numerator += weights[:, echo] * unwrapped * times[echo]
        denominator += weights[:, echo] * times[echo] ** 2
    return result


UNWRAPPINGS = {"tree": unwrap_tree}


def require_exact(unwrapped: np.ndarray, phase: np.ndarray, mask: np.ndarray) -> None:
    """Raise ChiflowError unless unwrapped − phase is a multiple of 2π everywhere in the mask."""
    turns = (unwrapped[mask].astype(np.float64) - phase[mask]) / TWO_PI
    worst = float(np.abs(turns - np.rint(turns)).max(initial=0)) * TWO_PI
    if not worst <= EXACT:
        raise ChiflowError(f"unwrapped phase differs from the input by {worst:.3g} rad more than a multiple of 2π")
