"""Means over spheres: a harmonic field equals its mean over any sphere, so what differs from the mean is local.

    (B f)(x) = f(x) − mean of f over the ball of radius r(x) around x,     x where such a ball stays in the mask

B h = 0 for the field h of sources outside the mask. The local field is the smallest l that explains what B leaves of the field f:

    l = argmin ‖B (l − f)‖² + λ ‖l‖²

Starting from 0 and stopping early leaves a background that the voxels do not sample finely in the background.

References: Schweser 2011 (10.1016/j.neuroimage.2010.10.070), Sun and Wilman 2014 (10.1002/mrm.24765).
"""

from typing import Any

import torch

from chiflow.core.depth import depth_mm
from chiflow.core.errors import ChiflowError
from chiflow.core.fourier import inverse, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress
from chiflow.core.solvers import conjugate_gradient_steps

ROUNDING = 1 + 1e-5  # a radius of one voxel reaches the next voxel


class SphereDeviation:
    """B with the largest of `radii_mm` that fits around each voxel; radii around which no voxel of the mask has room are left out.

    kept : (X, Y, Z) bool, where B holds. radii_mm : those in use, largest first. The balls stay in the volume, so no padding is needed.

    Raises ChiflowError when no ball fits into the mask.
    """

    def __init__(self, mask: torch.Tensor, geometry: Geometry, radii_mm: list[float]):
        depth = depth_mm(mask, geometry)
        self.volume, self.shape = geometry.shape, padded_shape(geometry.shape)
        self.kept, self.radii_mm, self.parts = torch.zeros_like(mask), [], []
        for radius in sorted(radii_mm, reverse=True):
            reach = (depth > radius * ROUNDING) & ~self.kept
            if reach.any():
                high_pass = 1 - torch.fft.rfftn(sphere(radius, self.shape, geometry.voxel_size, mask.device)).real
                self.parts.append((reach, high_pass))
                self.radii_mm.append(radius)
                self.kept = self.kept | reach
        if not self.parts:
            raise ChiflowError(f"no sphere of {min(radii_mm):.3g} mm fits into the mask of {int(mask.sum())} voxels: check the mask or take pdf")

    def forward(self, field: torch.Tensor) -> torch.Tensor:
        """B f, 0 where B does not hold."""
        spectrum = transform(field, self.shape)
        return sum(reach * inverse(spectrum * high_pass, self.shape, self.volume) for reach, high_pass in self.parts)

    def adjoint(self, deviation: torch.Tensor) -> torch.Tensor:
        """Bᵀ g."""
        spectrum = sum(transform(reach * deviation, self.shape) * high_pass for reach, high_pass in self.parts)
        return inverse(spectrum, self.shape, self.volume)


def smallest_local_field(field: torch.Tensor, deviation: SphereDeviation, penalty: float, iterations: int, tolerance: float,
                         name: str) -> tuple[torch.Tensor, dict[str, Any]]:
    """l in ppm by conjugate gradients on the normal equations until their residual is `tolerance` of the right side, and the record of it."""
    right = deviation.adjoint(deviation.forward(field))
    normal = lambda x: deviation.adjoint(deviation.forward(x)) + penalty * x
    return last_of(conjugate_gradient_steps(normal, right, torch.zeros_like(field), iterations, tolerance), right, name)


def last_of(steps, right: torch.Tensor, name: str) -> tuple[torch.Tensor, dict[str, Any]]:
    """The last iterate of conjugate_gradient_steps, with the number of steps and the relative residual for the record."""
    for count, (local, residual) in enumerate(progress(steps, name)):
        pass
    share = float(residual.norm() / right.norm().clamp(min=torch.finfo(right.dtype).tiny))
    return local, {"Iterations": count, "Residual": round(share, 6)}


def sphere(radius_mm: float, shape: tuple[int, ...], voxel_size: tuple[float, ...], device=None) -> torch.Tensor:
    """Ball of a radius in mm with sum 1, centred on voxel (0, 0, 0) of a periodic grid, that harmonic polynomials of the second degree do not see:

        S ∝ 1 − c₁ (x² − y²) − c₂ (y² − z²) in the ball,      Σ S x² = Σ S y² = Σ S z²

    On voxels of equal sides c = 0. On others the voxels of a plain ball reach further along one axis: its mean of a curved background is off.
    """
    axes = [torch.fft.fftfreq(n, 1 / (n * v), dtype=torch.float64) for n, v in zip(shape, voxel_size)]
    x2, y2, z2 = torch.broadcast_tensors(axes[0][:, None, None] ** 2, axes[1][None, :, None] ** 2, axes[2][None, None, :] ** 2)
    inside = x2 + y2 + z2 <= (radius_mm * ROUNDING) ** 2
    unseen = torch.stack([x2[inside] - y2[inside], y2[inside] - z2[inside]]) / radius_mm**2
    share = 1 - torch.linalg.lstsq(unseen @ unseen.T, unseen.sum(1, keepdim=True)).solution[:, 0] @ unseen
    share = share.clamp(min=0)  # only slices six times thicker than the voxels are wide come below; iSMV needs δ − S to be positive
    ball = torch.zeros(tuple(shape), dtype=torch.float64)
    ball[inside] = share / share.sum()
    return ball.float().to(device)
