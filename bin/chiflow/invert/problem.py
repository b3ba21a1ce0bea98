"""The masked, weighted data term that the iterative inversions share.

    ½ ‖W (D χ − f)‖²,      χ = 0 outside the mask

W is 0 outside the mask: nothing is known there, and a field filled with zeros would be a false measurement. W and D do not commute, so their
normal equations are solved by conjugate gradients.
"""

import torch

from chiflow.core.dipole import PADDING, dipole_kernel
from chiflow.core.fourier import filtered, inverse, k_grid, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.core.gradient import scales
from chiflow.core.solvers import conjugate_gradient
from chiflow.core.variation.misfit import ridge_for

WARM_ITERATIONS = 20
RIM = (slice(1, -1),) * 3


class MaskedProblem:
    """The data term of one inversion, on the box of the mask with a rim of one voxel: `RIM` cuts it off again.

    On the rim χ is 0, so differences across the border of the periodic grid are 0 as well, and ∇ᵀ∇ is a multiplication in k space with

        L(k) = Σ_a (v̄ / v_a)² (2 − 2 cos 2π k_a v_a)

    inside : the mask, float. reliability : W as given. squared : W² as used. field : f in the rim. data : D W² f in the mask.
    power : the weighted mean of f² in ppm².
    """

    def __init__(self, field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None):
        self.geometry = Geometry(tuple(n + 2 for n in geometry.shape), geometry.voxel_size, geometry.b0)
        self.inside = rimmed(mask.float())
        self.reliability = self.inside if weight is None else rimmed(weight * mask)
        self.field = rimmed(field)
        self.padded = padded_shape(self.geometry.shape, PADDING)
        self.dipole = dipole_kernel(self.geometry, self.padded, field.device)
        self.laplacian = laplacian_kernel(self.padded, geometry.voxel_size, field.device)
        self.weigh(self.reliability)
        self.power = float((self.squared * self.field**2).sum() / self.squared.sum().clamp(min=1e-12))

    def weigh(self, weight: torch.Tensor) -> None:
        """Take other weights W."""
        self.squared = weight**2
        self.data = self.inside * filtered(self.squared * self.field, self.dipole, self.padded)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """D x, for x that is 0 outside the mask."""
        return filtered(x, self.dipole, self.padded)

    def normal(self, x: torch.Tensor, penalty: float = 0.0) -> torch.Tensor:
        """D W² D x + penalty · ∇ᵀ∇ x in the mask, for x that is 0 outside it: four transforms."""
        spectrum, shape = transform(x, self.padded), self.geometry.shape
        predicted = inverse(self.dipole * spectrum, self.padded, shape)
        back = self.dipole * transform(self.squared * predicted, self.padded)
        if penalty:
            back += penalty * self.laplacian * spectrum
        return self.inside * inverse(back, self.padded, shape)

    def warm_start(self, sigma2: float) -> torch.Tensor:
        """χ after 20 conjugate gradient steps on D W² D + λ0, for a field with the error variance σ² (ppm²)."""
        ridge = ridge_for(sigma2, self.power)
        chi, _ = conjugate_gradient(lambda x: self.normal(x) + ridge * x, self.data, torch.zeros_like(self.data), WARM_ITERATIONS)
        return chi


def rimmed(volume: torch.Tensor) -> torch.Tensor:
    """The volume with a rim of one voxel of zeros."""
    return torch.nn.functional.pad(volume, (1,) * 6)


def laplacian_kernel(shape: tuple[int, ...], voxel_size: tuple[float, ...], device=None) -> torch.Tensor:
    """Half spectrum of ∇ᵀ∇ on a periodic grid."""
    terms = zip(k_grid(shape, voxel_size, device), voxel_size, scales(voxel_size))
    return sum(scale**2 * (2 - 2 * torch.cos(2 * torch.pi * k * size)) for k, size, scale in terms)
