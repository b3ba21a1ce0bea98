"""Where the voxels are and where B0 points.

    b = R⁻¹ (0, 0, 1)

with R the direction cosines of the affine: scanner z is B0, so the last row of R is B0 in voxel axes, sign of each axis included.
"""

from dataclasses import dataclass

import numpy as np

from chiflow.core.errors import ChiflowError

ORTHOGONAL = 1e-3  # largest cosine between two axes that still counts as a right angle (sheared affines reach 1e-2)


@dataclass(frozen=True)
class Geometry:
    """Grid of a 3D volume: shape (voxels), voxel_size (mm) and b0, the unit B0 direction in voxel axes."""

    shape: tuple[int, int, int]
    voxel_size: tuple[float, float, float] = (1.0, 1.0, 1.0)
    b0: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def __post_init__(self):
        length = float(np.linalg.norm(self.b0))
        if not np.isfinite(length) or length < 1e-6:
            raise ChiflowError(f"B0Direction {list(self.b0)} is not a direction")
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape[:3]))
        object.__setattr__(self, "voxel_size", tuple(float(v) for v in self.voxel_size[:3]))
        object.__setattr__(self, "b0", tuple(float(x) / length for x in self.b0))

    def turned(self, order: tuple[int, ...], flips: tuple[int, ...]) -> "Geometry":
        """The same grid with its axes in another order, and then some of them flipped."""
        shape, size, b0 = (tuple(values[a] for a in order) for values in (self.shape, self.voxel_size, self.b0))
        return Geometry(shape, size, tuple(-b if axis in flips else b for axis, b in enumerate(b0)))


def geometry_of(affine: np.ndarray, shape: tuple[int, ...], b0: tuple[float, ...] | None = None) -> Geometry:
    """Geometry of a volume with a 4×4 voxel-to-scanner affine (mm); b0 (voxel axes) overrides what the affine says.

    Raises ChiflowError for an affine that is singular or sheared.
    """
    voxel_size = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.all(np.isfinite(affine)) or np.any(voxel_size < 1e-6):
        raise ChiflowError(f"the affine {affine[:3].tolist()} has no voxel size")
    rotation = affine[:3, :3] / voxel_size
    shear = np.abs(rotation.T @ rotation - np.eye(3)).max()
    if shear > ORTHOGONAL:
        raise ChiflowError(f"the voxel axes of the affine are not at right angles (cosine {shear:.3f}): resample the image first")
    return Geometry(shape[:3], tuple(voxel_size), tuple(rotation[2]) if b0 is None else tuple(b0))
