"""A voxel grid in scanner space (mm, right-anterior-superior, z along B0), and the slab orders of a scanner."""

from dataclasses import dataclass

import numpy as np

from chiflow.core.errors import ChiflowError

ORIENTATIONS = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}  # scanner axis along each voxel axis


@dataclass(frozen=True)
class Grid:
    """shape (voxels) and affine (4, 4): voxel to scanner coordinates in mm."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def voxel_size(self) -> np.ndarray:
        """Voxel edge along each axis in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    def finer(self, factors: tuple[int, int, int]) -> "Grid":
        """The grid that splits every voxel into `factors` along its axes."""
        inner = np.diag([*(1 / f for f in factors), 1.0])
        inner[:3, 3] = [(1 - f) / (2 * f) for f in factors]
        return Grid(tuple(n * f for n, f in zip(self.shape, factors)), self.affine @ inner)


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Right-handed rotation (3, 3) about a coordinate axis."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    result = np.eye(3)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    result[a, a], result[a, b], result[b, a], result[b, b] = c, -s, s, c
    return result


def slab(shape, voxel_size, tilt_deg: float = 0.0, turn_deg: float = 0.0, orientation: str = "axial", centre=(0.0, 8.0, 2.0)) -> Grid:
    """Imaging slab about `centre` (mm): voxel axes of the orientation, turned about z, then tilted about x (degrees)."""
    if orientation not in ORIENTATIONS:
        raise ChiflowError(f"unknown orientation '{orientation}': choose from {', '.join(ORIENTATIONS)}")
    axes = np.eye(3)[:, list(ORIENTATIONS[orientation])]
    affine = np.eye(4)
    affine[:3, :3] = rotation(0, tilt_deg) @ rotation(2, turn_deg) @ axes @ np.diag(voxel_size)
    affine[:3, 3] = np.asarray(centre) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(tuple(shape), affine)


def box_mean(volume: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Mean over blocks of `factors` voxels: (fX, fY, fZ) → (X, Y, Z)."""
    if tuple(factors) == (1, 1, 1):
        return volume
    x, y, z = (n // f for n, f in zip(volume.shape, factors))
    return volume.reshape(x, factors[0], y, factors[1], z, factors[2]).mean(axis=(1, 3, 5))
