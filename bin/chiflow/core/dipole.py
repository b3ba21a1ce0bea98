"""The magnetic field of a susceptibility distribution.

    D(k) = 1/3 − (k·b)²/|k|²,   D(0) = 0          field = F⁻¹ D F χ

k in cycles/mm from the true voxel size, b the unit B0 direction in voxel axes. On a Nyquist plane of an even grid +k and −k share one
sample, so D takes the mean of both: the mixed terms of (k·b)² vanish there. Without this a tilted kernel rings at every strong edge.

References: Salomir 2003 (10.1002/cmr.b.10083), Marques and Bowtell 2005 (10.1002/cmr.b.20034).
"""

import torch

from chiflow.core.fourier import filtered, geometry_k, padded_shape
from chiflow.core.geometry import Geometry

PADDING = 1.25  # field of view kept around the object; the field of the periodic copy falls with the third power of distance


def dipole_kernel(geometry: Geometry, shape: tuple[int, ...] | None = None, device=None) -> torch.Tensor:
    """Half spectrum of D, float32, on a grid of `shape` (the geometry's own by default) with the geometry's voxels and B0."""
    shape = geometry.shape if shape is None else shape
    k, odd = geometry_k(geometry, shape, device)
    b = geometry.b0
    k2 = sum(component**2 for component in k)
    mixed = odd[0] * odd[1] * (b[0] * b[1]) + odd[0] * odd[2] * (b[0] * b[2]) + odd[1] * odd[2] * (b[1] * b[2])
    kb2 = sum((component * cosine) ** 2 for component, cosine in zip(k, b)) + 2 * mixed
    k2[0, 0, 0] = 1
    kernel = 1 / 3 - kb2 / k2
    kernel[0, 0, 0] = 0
    return kernel


class DipoleOperator:
    """field = D χ on a padded grid; both (X, Y, Z) float32 in ppm. D is real and even, so it is its own adjoint."""

    def __init__(self, geometry: Geometry, padding: float = PADDING, device=None):
        self.geometry = geometry
        self.padded = padded_shape(geometry.shape, padding)
        self.kernel = dipole_kernel(geometry, self.padded, device)

    def forward(self, chi: torch.Tensor) -> torch.Tensor:
        """Field in ppm of a susceptibility map in ppm."""
        return filtered(chi, self.kernel, self.padded)

    def adjoint(self, field: torch.Tensor) -> torch.Tensor:
        """Dᵀ field, equal to D field."""
        return self.forward(field)
