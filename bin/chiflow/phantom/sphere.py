"""The analytic field of a sphere in vacuum.

    ΔB / B0 = Δχ/3 (a/r)³ (3 cos²θ − 1)   outside,      0   inside

θ is the angle to B0; Δχ and the field in ppm (Lorentz-corrected, as D(0) = 0 and D = 1/3 − cos² have it).
"""

import numpy as np

from chiflow.core.geometry import Geometry
from chiflow.phantom.shapes import coverage


def _offsets(geometry: Geometry, centre_voxel) -> tuple[np.ndarray, ...]:
    axes = [(np.arange(n) - c) * v for n, c, v in zip(geometry.shape, centre_voxel, geometry.voxel_size)]
    return tuple(np.meshgrid(*axes, indexing="ij", sparse=True))


def sphere_chi(geometry: Geometry, radius_mm: float, chi_ppm: float = 1.0, centre_voxel=None) -> np.ndarray:
    """χ (X, Y, Z) float32 in ppm of a sphere with partial volume at its surface."""
    x, y, z = _offsets(geometry, _centre(geometry, centre_voxel))
    width = float(np.prod(geometry.voxel_size) ** (1 / 3))
    return (chi_ppm * coverage(np.sqrt(x**2 + y**2 + z**2) - radius_mm, width)).astype(np.float32)


def sphere_field(geometry: Geometry, radius_mm: float, chi_ppm: float = 1.0, centre_voxel=None) -> np.ndarray:
    """Field (X, Y, Z) float32 in ppm for any voxel size and B0 direction of the geometry."""
    x, y, z = _offsets(geometry, _centre(geometry, centre_voxel))
    r2 = np.maximum(x**2 + y**2 + z**2, radius_mm**2 * 1e-12)
    along = x * geometry.b0[0] + y * geometry.b0[1] + z * geometry.b0[2]
    outside = chi_ppm / 3 * radius_mm**3 * r2**-1.5 * (3 * along**2 / r2 - 1)
    return np.where(r2 > radius_mm**2, outside, 0).astype(np.float32)


def _centre(geometry: Geometry, centre_voxel) -> np.ndarray:
    return (np.array(geometry.shape) - 1) / 2 if centre_voxel is None else np.asarray(centre_voxel, float)
