"""Whether unwrapped phase is the input plus multiples of 2π, and where it is none."""

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.units import TWO_PI

LEAST_RAD = 1e-6  # what stands for a phase of exactly 0
EXACT = 1e-4  # rad: 2π n in float32 is off by 2e-5 at n = 40


def require_exact(unwrapped: np.ndarray, phase: np.ndarray, mask: np.ndarray) -> None:
    """Raise ChiflowError unless unwrapped − phase is a multiple of 2π everywhere in the mask."""
    difference = unwrapped.T[..., mask.T] - phase.T[..., mask.T]  # .T: images lie in memory with x fastest
    worst = float(np.abs(difference - TWO_PI * np.rint(difference / TWO_PI)).max(initial=0))
    if not worst <= EXACT:
        raise ChiflowError(f"unwrapped phase differs from the input by {worst:.3g} rad more than a multiple of 2π")


def marked(unwrapped: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Unwrapped phase (X, Y, Z, E) rad in which 0 in all echoes means outside the mask: what is exactly that inside gets LEAST_RAD, in place."""
    nothing = mask & ~unwrapped.any(axis=3)
    unwrapped[nothing, 0] = LEAST_RAD
    return unwrapped
