"""Susceptibility sources fitted to a field, the base of the projection methods.

    min over y   ‖W (f − D P y)‖² + λ² ‖y‖²,      χ = P y

P is the standard deviation expected of χ in each voxel of a grid that has a margin around the mask, 0 where no source is allowed. The grid is
periodic, so its margin lies on all sides. Any field that is harmonic in the mask is that of some sources around it: a narrow margin is enough.
"""

import math
from functools import cached_property

import torch
from scipy.ndimage import distance_transform_edt

from chiflow.core.dipole import dipole_kernel
from chiflow.core.fourier import inverse, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress
from chiflow.core.solvers import Operator, conjugate_gradient_steps

MARGIN_MM = 15.0
NEAR = 0.7  # share of the deviation that sources next to the mask lack
REACH_MM = 4.0


class SourceFit:
    """The fit on the padded grid of one mask: `inside` (padded) is the mask, `corner` cuts the volume out, `outside` is P of the sources
    around it, 1 far away and 1 − 0.7 exp(−d / 4 mm) at the distance d, which keeps the rim from being explained by its next neighbours alone.
    """

    def __init__(self, field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, margin_mm: float = MARGIN_MM):
        self.margin = tuple(math.ceil(margin_mm / v) for v in geometry.voxel_size)
        self.padded = padded_shape(geometry.shape, margin=self.margin)
        self.corner = tuple(slice(n) for n in geometry.shape)
        self.kernel = dipole_kernel(geometry, self.padded, field.device)
        self.inside = torch.zeros(self.padded, dtype=torch.bool, device=field.device)
        self.inside[self.corner] = mask
        self.squared = (mask.float() if weight is None else weight * mask) ** 2
        self.field = torch.where(self.squared > 0, field, 0)
        self.geometry = geometry

    @cached_property
    def outside(self) -> torch.Tensor:
        """P of the sources around the mask, on the padded grid."""
        return (1 - NEAR * torch.exp(-self.distance / REACH_MM)) * ~self.inside

    @cached_property
    def distance(self) -> torch.Tensor:
        """Distance of every voxel to the mask in mm on the periodic grid, 0 in it."""
        half = tuple((p - n) // 2 for p, n in zip(self.padded, self.geometry.shape))
        centred = torch.roll(self.inside, half, (0, 1, 2))
        distance = torch.from_numpy(distance_transform_edt(~centred.cpu().numpy(), sampling=self.geometry.voxel_size))
        return torch.roll(distance.float().to(self.inside.device), tuple(-h for h in half), (0, 1, 2))

    def forward(self, chi: torch.Tensor) -> torch.Tensor:
        """D χ (X, Y, Z) in ppm of sources on the padded grid."""
        return inverse(self.kernel * transform(chi, self.padded), self.padded, self.squared.shape)

    def adjoint(self, field: torch.Tensor) -> torch.Tensor:
        """Dᵀ of a field (X, Y, Z), on the padded grid."""
        return inverse(self.kernel * transform(field, self.padded), self.padded, self.padded)

    def normal(self, deviation: torch.Tensor, ridge: float) -> Operator:
        """P D W² D P + λ² of P = deviation and λ = ridge."""
        return lambda y: deviation * self.adjoint(self.squared * self.forward(deviation * y)) + ridge**2 * y

    def solve(self, deviation: torch.Tensor, ridge: float, iterations: int, tolerance: float, name: str) -> tuple[torch.Tensor, dict]:
        """χ in ppm on the padded grid with P = deviation and λ = ridge, and what the record shows of the iterations."""
        right = deviation * self.adjoint(self.squared * self.field)
        steps = conjugate_gradient_steps(self.normal(deviation, ridge), right, torch.zeros_like(right), iterations, tolerance)
        done = -1
        for done, (whitened, residual) in enumerate(progress(steps, name)):
            pass
        share = float(residual.norm() / right.norm().clamp(min=1e-30))
        return deviation * whitened, {"Iterations": done, "Residual": share, "Ridge": ridge}
