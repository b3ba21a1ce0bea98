"""Alternate slices with the sign flipped, found from the signal whatever the vendor.

    c_n(k) = Σ Re(S_k* S_k+n) / Σ |S_k* S_k+n|            over the voxels of slices k and k + n, and over the coils

Where every other slice is turned by π, c_1 is near −1 and c_2 positive; a phase that is continuous from slice to slice has c_1 near 1, one
that is random has both near 0, and a steep ramp that reaches c_1 = −0.5 has c_2 = −0.5.
"""

import numpy as np

from chiflow.intake.signal import LARGEST_PHASE

OPPOSITE = -0.5  # of c_1: measured −0.60 … −0.94 in flipped slices of 5 mm, 0.46 … 1 in others
MOST_SLICES = 0.8
ALIKE = 0.3  # of c_2 over all slices: measured 0.6 in the same flipped slices
SAMPLES = 64  # along each side of a slice: enough to see its sign


class SliceSigns:
    """c_1 and c_2 along each axis, gathered over coils."""

    def __init__(self):
        self._sums = {}

    def add(self, magnitude: np.ndarray, phase: np.ndarray) -> None:
        """Add an echo of a coil, (X, Y, Z) each."""
        for axis in range(3):
            some = tuple(slice(None, None, 1 if a == axis else max(1, n // SAMPLES)) for a, n in enumerate(phase.shape))
            slices = np.moveaxis(magnitude[some] * np.exp(1j * phase[some]), axis, 0)
            for lag in (1, 2):
                products = np.conj(slices[:-lag]) * slices[lag:]
                sums = np.array([products.real.sum(axis=(1, 2)), np.abs(products).sum(axis=(1, 2))])
                self._sums[axis, lag] = self._sums.get((axis, lag), 0) + sums

    def flipped_axis(self) -> int | None:
        """The axis along which every other slice is turned by π, None without one."""
        return next((axis for axis in range(3) if self._is_flipped(axis)), None)

    def _is_flipped(self, axis: int) -> bool:
        (next_one, next_whole), (after, after_whole) = self._sums[axis, 1], self._sums[axis, 2]
        opposite = next_one < OPPOSITE * np.maximum(next_whole, 1e-30)
        return bool(np.mean(opposite) >= MOST_SLICES and after.sum() >= ALIKE * after_whole.sum())


def turn_slices(phase: np.ndarray, axis: int) -> None:
    """Turn every other slice of (X, Y, Z, E) rad by π, in place."""
    odd = np.moveaxis(phase, axis, 0)[1::2]
    odd += np.where(odd > 0, -np.pi, np.pi).astype(np.float32)
    np.clip(odd, -LARGEST_PHASE, LARGEST_PHASE, out=odd)
