"""A coarse grid for what varies over centimetres: block means down, cubic splines up."""

import numpy as np
from scipy.interpolate import CubicSpline

COARSE_MM = 2.0


class Blocks:
    """Blocks of whole voxels, about COARSE_MM wide, that cover a volume of `shape` with voxels of `voxel_size` mm."""

    def __init__(self, shape: tuple[int, ...], voxel_size: tuple[float, ...]):
        self.shape = shape[:3]
        self.factors = tuple(max(1, min(round(COARSE_MM / v), n // 4)) for n, v in zip(shape, voxel_size))
        self.voxel_size = tuple(f * v for f, v in zip(self.factors, voxel_size))

    def mean(self, volume: np.ndarray) -> np.ndarray:
        """Mean over the blocks of a volume (X, Y, Z), real or complex; blocks beyond its end are filled with 0."""
        for axis, factor in enumerate(self.factors):
            if factor > 1:
                starts = np.arange(0, volume.shape[axis], factor)
                volume = np.add.reduceat(volume, starts, axis=axis) / np.float32(factor)
        return volume

    def spread(self, phase: np.ndarray) -> np.ndarray:
        """A smooth coarse phase in rad on the fine grid, (X, Y, Z) float32 from −π to π; wraps do not matter to it."""
        return np.arctan2(self._interpolated(np.sin(phase)), self._interpolated(np.cos(phase)))

    def _interpolated(self, volume: np.ndarray) -> np.ndarray:
        for axis, (factor, count) in enumerate(zip(self.factors, self.shape)):
            if factor > 1:
                centres = np.arange(volume.shape[axis]) * factor + (factor - 1) / 2
                volume = np.moveaxis(_interpolation(centres, count) @ np.moveaxis(volume, axis, -2), -2, axis)
        return volume


def _interpolation(centres: np.ndarray, count: int) -> np.ndarray:
    """Matrix (count, blocks) float32 of the cubic spline through values at `centres`, read at 0 … count − 1."""
    return CubicSpline(centres, np.eye(centres.size), bc_type="natural")(np.arange(count)).astype(np.float32)
