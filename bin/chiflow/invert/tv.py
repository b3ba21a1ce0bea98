"""Masked, weighted total variation.

    min over χ   ½ ‖W (D χ − f)‖² + λ ‖∇χ‖₁,      λ = 0.045 σ,   σ² = σ_noise² + (0.2 rms f)²

ADMM with ∇χ split off, penalty ρ = λ / (3 rms f), and the χ step solved by conjugate gradients on D W² D + ρ ∇ᵀ∇, since W and D do not
commute. It starts from 20 conjugate gradient steps on D W² D + λ0 with

    λ0 = 1e-3 + 0.089 σ² / max(var f − σ², 0.1 var f),      0.089 = mean of D²

The second part of σ stands for what the model does not know: remains of the background, anisotropy, motion. χ is a map on the mask:
outside it nothing is known. All rules scale with the field, so χ is homogeneous in (f, σ).

References: Bilgic 2014 (10.1002/mrm.25029), Milovic 2018 (10.1002/mrm.27073).
"""

import torch

from chiflow.core.dipole import PADDING, dipole_kernel
from chiflow.core.fourier import filtered, inverse, k_grid, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.core.gradient import gradient, gradient_adjoint, scales
from chiflow.core.progress import progress
from chiflow.core.solvers import conjugate_gradient, soft_threshold

LAMBDA_PER_SIGMA = 0.045
MODEL_ERROR = 0.2
STEP_PER_FIELD = 3.0  # λ/ρ, the gradient that one iteration can remove, in units of the field's root mean square
MEAN_D2 = 0.089
WARM_ITERATIONS = 20
ITERATIONS = 25
INNER_ITERATIONS = 3
RIM = (slice(1, -1),) * 3


def tv(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3, *,
       lambda_ppm: float | None = None, model_error: float = MODEL_ERROR, iterations: int = ITERATIONS) -> torch.Tensor:
    """χ (X, Y, Z) in ppm, 0 outside the mask.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field. lambda_ppm : λ, by the rule when None.
    model_error : share of the field's root mean square. iterations : of ADMM.
    """
    problem = MaskedProblem(field, mask, geometry, weight)
    sigma2 = sigma_ppm**2 + model_error**2 * problem.power
    strength = LAMBDA_PER_SIGMA * sigma2**0.5 if lambda_ppm is None else lambda_ppm
    step = STEP_PER_FIELD * max(problem.power, 1e-20) ** 0.5
    penalty = strength / step
    ridge = 1e-3 + MEAN_D2 * sigma2 / max(problem.power - sigma2, 0.1 * problem.power, 1e-20)
    chi, _ = conjugate_gradient(lambda x: problem.normal(x, 0.0) + ridge * x, problem.data, torch.zeros_like(problem.data), WARM_ITERATIONS)
    normal = lambda x: problem.normal(x, penalty)
    smoothness = lambda g: penalty * problem.inside * gradient_adjoint(g, geometry.voxel_size)
    split, dual = gradient(chi, geometry.voxel_size), torch.zeros((3, *chi.shape), device=field.device)
    right = problem.data + smoothness(split - dual)
    residual = right - normal(chi)
    for _ in progress(range(iterations), "TV"):
        chi, residual = conjugate_gradient(normal, right, chi, INNER_ITERATIONS, residual=residual)
        slope = gradient(chi, geometry.voxel_size) + dual
        split = soft_threshold(slope, step)
        dual = slope - split
        previous, right = right, problem.data + smoothness(split - dual)
        residual = residual + right - previous
    return chi[RIM] * mask


class MaskedProblem:
    """The data term and the smoothness of one inversion, on the box of the mask with a rim of one voxel.

    On the rim χ is 0, so differences across the border of the periodic grid are 0 as well, and ∇ᵀ∇ is a multiplication in k space with

        L(k) = Σ_a (v̄ / v_a)² (2 − 2 cos 2π k_a v_a)
    """

    def __init__(self, field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None):
        rimmed = lambda volume: torch.nn.functional.pad(volume, (1,) * 6)
        self.geometry = Geometry(tuple(n + 2 for n in geometry.shape), geometry.voxel_size, geometry.b0)
        self.inside = rimmed(mask.float())
        self.squared = self.inside if weight is None else rimmed(weight * mask) ** 2
        self.padded = padded_shape(self.geometry.shape, PADDING)
        self.dipole = dipole_kernel(self.geometry, self.padded, field.device)
        self.laplacian = laplacian_kernel(self.padded, geometry.voxel_size, field.device)
        measured = rimmed(field)
        weighted = self.squared * measured
        self.data = self.inside * filtered(weighted, self.dipole, self.padded)
        self.power = float((weighted * measured).sum() / self.squared.sum().clamp(min=1e-12))

    def normal(self, x: torch.Tensor, penalty: float) -> torch.Tensor:
        """D W² D x + penalty · ∇ᵀ∇ x in the mask, for x that is 0 outside it: four transforms."""
        spectrum, shape = transform(x, self.padded), self.geometry.shape
        predicted = inverse(self.dipole * spectrum, self.padded, shape)
        back = self.dipole * transform(self.squared * predicted, self.padded)
        return self.inside * inverse(back + penalty * self.laplacian * spectrum, self.padded, shape)


def laplacian_kernel(shape: tuple[int, ...], voxel_size: tuple[float, ...], device=None) -> torch.Tensor:
    """Half spectrum of ∇ᵀ∇ on a periodic grid."""
    terms = zip(k_grid(shape, voxel_size, device), voxel_size, scales(voxel_size))
    return sum(scale**2 * (2 - 2 * torch.cos(2 * torch.pi * k * size)) for k, size, scale in terms)
