"""What every relaxation fit gives.

    S(TE) = S0 exp(−R2* TE),     R2* within [0, 1000] 1/s,     T2* = 1 / R2*, at most 1 s
"""

from dataclasses import dataclass

import numpy as np

LARGEST_R2STAR = 1000.0
LARGEST_T2STAR = 1.0


@dataclass(frozen=True)
class Relaxation:
    """r2star in 1/s, t2star in s and s0 in the unit of the magnitude, all (X, Y, Z) float32 and 0 outside the mask."""

    r2star: np.ndarray
    t2star: np.ndarray
    s0: np.ndarray


def within_limits(rate: np.ndarray) -> np.ndarray:
    """R2* (1/s) cut to what a scan can show."""
    return np.clip(rate, 0, LARGEST_R2STAR)


def relaxation(rate: np.ndarray, s0: np.ndarray, mask: np.ndarray) -> Relaxation:
    """The maps of R2* (V,) 1/s and S0 (V,) of the V voxels in a mask (X, Y, Z) bool."""
    maps = np.zeros((3, *mask.shape), dtype=np.float32)
    for volume, values in zip(maps, (rate, 1 / np.maximum(rate, 1 / LARGEST_T2STAR), s0)):
        volume[mask] = values
    return Relaxation(*maps)
