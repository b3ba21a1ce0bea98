"""From any grid to the network's and back, axis by axis.

    W[i, j] ∝ max(0, 1 − |x_i − y_j| / w),   w = max(old spacing, new spacing),   rows sum to 1

x: centres of the new voxels, y: of the old ones, both grids centred at one place. Towards a finer grid this is linear interpolation, towards
a coarser one a triangle as wide as two new voxels, so that nothing aliases. It acts along voxel axes: flips and permutations commute with it.
"""

import numpy as np

SPACING_MM = 2.0
GRID = 16  # the network halves its grid four times


def interpolation(old: int, old_mm: float, new: int, new_mm: float) -> np.ndarray:
    """Weights (new, old) float32 from `old` voxels of old_mm to `new` voxels of new_mm."""
    x = (np.arange(new) - (new - 1) / 2) * new_mm
    y = (np.arange(old) - (old - 1) / 2) * old_mm
    distance = np.abs(np.clip(x, y[0], y[-1])[:, None] - y)
    weights = np.maximum(0, 1 - distance / max(old_mm, new_mm))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def resampled(volume: np.ndarray, old_mm: tuple[float, ...], shape: tuple[int, ...], new_mm: tuple[float, ...]) -> np.ndarray:
    """A volume (X, Y, Z) on another grid with the same centre and axes."""
    for axis in range(3):
        weights = interpolation(volume.shape[axis], old_mm[axis], shape[axis], new_mm[axis])
        volume = np.moveaxis(np.tensordot(weights, volume, (1, axis)), 0, axis)
    return volume


def normalised(image: np.ndarray) -> np.ndarray:
    """The image in units of Σ x² / Σ x, which zeros around it do not change, float32; at most 4."""
    total = float(image.sum(dtype=np.float64))
    return np.minimum(image * np.float32(total / max(float((image * image).sum(dtype=np.float64)), 1e-30)), 4).astype(np.float32)


def padded(volume: np.ndarray, multiple: int = GRID) -> np.ndarray:
    """The volume with zeros around it, each axis a multiple of the network's grid; the centre stays within half a voxel."""
    missing = [-n % multiple for n in volume.shape]
    return np.pad(volume, [(m // 2, m - m // 2) for m in missing])


def unpadded(volume: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What `padded` was given, of this shape."""
    starts = [(n - s) // 2 for n, s in zip(volume.shape, shape)]
    return volume[tuple(slice(start, start + s) for start, s in zip(starts, shape))]
