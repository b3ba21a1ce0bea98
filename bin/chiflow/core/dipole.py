"""The magnetic field of a susceptibility distribution.

    D(k) = 1/3 − (k·b)²/|k|²,   D(0) = 0          field = F⁻¹ D̄ F χ

k in cycles/mm from the true voxel size, b the unit B0 direction in voxel axes. A voxel holds the mean of χ over its box, so a sample of the
grid holds k and its aliases q = k + n/v. D̄ is the mean of D over them, each with the power that a body has there as voxels see it:

    D̄(k) = Σ_q D(q) P(q) / Σ_q P(q),      P(q) = |q|⁻² Π_a sinc²(q_a v_a),      n_a = 0 and the nearest alias of each axis

It is D where the grid is fine. Towards Nyquist, where D of a tilted B0 would jump from one border of the grid to the other and ring at
every edge, it is smooth: the fields of structures thinner than a voxel come out 10 to 15 % nearer to those of a grid three times finer.

References: Salomir 2003 (10.1002/cmr.b.10083), Marques and Bowtell 2005 (10.1002/cmr.b.20034).
"""

from itertools import product

import torch

from chiflow.core.fourier import filtered, k_axes, padded_shape
from chiflow.core.geometry import Geometry

PADDING = 1.25  # field of view kept around the object; the field of the periodic copy falls with the third power of distance


def dipole_kernel(geometry: Geometry, shape: tuple[int, ...] | None = None, device=None) -> torch.Tensor:
    """Half spectrum of D̄, float32, on a grid of `shape` (the geometry's own by default) with the geometry's voxels and B0."""
    shape = geometry.shape if shape is None else shape
    axes = [_aliases(k, size) for k, size in zip(k_axes(shape, geometry.voxel_size, device), geometry.voxel_size)]
    total, power = 0, 0
    for (x, weight_x), (y, weight_y), (z, weight_z) in product(*axes):
        along = _plane(x, y, z, *geometry.b0) ** 2
        square = _plane(x**2, y**2, z**2)
        square = square.clamp_(min=1e-12)
        share = (weight_x[:, None, None] * weight_y[None, :, None] * weight_z[None, None, :]) / square
        total = total + share * (1 / 3 - along / square)
        power = power + share
    kernel = total / power
    kernel[0, 0, 0] = 0
    return kernel


def _aliases(k: torch.Tensor, size: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """k along one axis and its nearest alias, each with sinc²."""
    other = k - torch.where(k < 0, -1.0, 1.0) / size
    return [(q, torch.sinc(q * size) ** 2) for q in (k, other)]


def _plane(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor, a: float = 1.0, b: float = 1.0, c: float = 1.0) -> torch.Tensor:
    """a x + b y + c z on the grid of three axes."""
    return (a * x)[:, None, None] + (b * y)[None, :, None] + (c * z)[None, None, :]


class DipoleOperator:
    """field = D̄ χ on a padded grid; both (X, Y, Z) float32 in ppm. D̄ is real and even, so it is its own adjoint."""

    def __init__(self, geometry: Geometry, padding: float = PADDING, device=None, margin_mm: float = 0.0):
        self.geometry = geometry
        self.padded = padded_shape(geometry.shape, padding, tuple(int(-(-margin_mm // v)) for v in geometry.voxel_size))
        self.kernel = dipole_kernel(geometry, self.padded, device)

    def forward(self, chi: torch.Tensor) -> torch.Tensor:
        """Field in ppm of a susceptibility map in ppm."""
        return filtered(chi, self.kernel, self.padded)

    def adjoint(self, field: torch.Tensor) -> torch.Tensor:
        """Dᵀ field, equal to D field."""
        return self.forward(field)
