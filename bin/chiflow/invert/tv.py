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

from chiflow.core.geometry import Geometry
from chiflow.core.gradient import gradient, gradient_adjoint
from chiflow.core.progress import progress
from chiflow.core.solvers import conjugate_gradient, soft_threshold
from chiflow.invert.problem import RIM, MaskedProblem
from chiflow.invert.result import Susceptibility

LAMBDA_PER_SIGMA = 0.045
MODEL_ERROR = 0.2
STEP_PER_FIELD = 3.0  # λ/ρ, the gradient that one iteration can remove, in units of the field's root mean square
ITERATIONS = 25
INNER_ITERATIONS = 3


def tv(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
       magnitude: torch.Tensor | None = None, *, lambda_ppm: float | None = None, model_error: float = MODEL_ERROR, iterations: int = ITERATIONS) -> Susceptibility:
    """χ in ppm with λ.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field. lambda_ppm : λ, by the rule when None.
    model_error : share of the field's root mean square. iterations : of ADMM.
    """
    problem = MaskedProblem(field, mask, geometry, weight)
    sigma2 = sigma_ppm**2 + model_error**2 * problem.power
    strength = LAMBDA_PER_SIGMA * sigma2**0.5 if lambda_ppm is None else lambda_ppm
    step = STEP_PER_FIELD * max(problem.power, 1e-20) ** 0.5
    penalty = strength / step
    chi = problem.warm_start(sigma2)
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
    return Susceptibility(chi[RIM] * mask, {"LambdaPpm": strength, "SigmaPpm": sigma2**0.5, "Iterations": iterations})
