"""Masked, weighted total variation.

    min over χ   ½ ‖W (D χ − f)‖² + λ ‖∇χ‖₁

ADMM with ∇χ split off, penalty ρ = λ / (3 rms f), and the χ step solved by conjugate gradients on D W² D + ρ ∇ᵀ∇, since W and D do not
commute. λ and W follow the misfit (core/variation/misfit.py). χ is a map on the mask: outside it nothing is known. All rules scale with the field, so χ is
homogeneous in (f, σ).

References: Bilgic 2014 (10.1002/mrm.25029), Milovic 2018 (10.1002/mrm.27073).
"""

import torch

from chiflow.core.geometry import Geometry
from chiflow.core.gradient import gradient, gradient_adjoint
from chiflow.core.progress import progress
from chiflow.core.solvers import conjugate_gradient, soft_threshold
from chiflow.core.variation.misfit import lambda_for, refine, within
from chiflow.invert.problem import RIM, MaskedProblem
from chiflow.invert.result import Susceptibility

STEP_PER_FIELD = 3.0  # λ/ρ, the gradient that one iteration can remove, in units of the field's root mean square
ITERATIONS = 25
REFINED_AT = (5, 10, 15)  # iterations; the misfit settles after them
INNER_ITERATIONS = 3


def tv(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
       magnitude: torch.Tensor | None = None, *, lambda_ppm: float | None = None, iterations: int = ITERATIONS) -> Susceptibility:
    """χ in ppm with λ.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field, where the rule for λ starts.
    lambda_ppm : λ, by the rule when None. iterations : of ADMM. `magnitude` is not used.
    """
    problem = MaskedProblem(field, mask, geometry, weight)
    rms = problem.power**0.5
    sigma = within(sigma_ppm, rms)
    search = TotalVariation(problem, problem.warm_start(sigma**2), STEP_PER_FIELD * max(rms, 1e-12))
    search.take(lambda_for(sigma, rms) if lambda_ppm is None else lambda_ppm)
    for iteration in progress(range(iterations), "TV"):
        if iteration in REFINED_AT:
            sigma = refine(problem, search.chi, sigma, rms, search.strength)
            search.take(lambda_for(sigma, rms) if lambda_ppm is None else lambda_ppm)
        search.iterate()
    return Susceptibility(search.chi[RIM] * mask, {"LambdaPpm": search.strength, "SigmaPpm": sigma, "Iterations": iterations})


class TotalVariation:
    """The state of ADMM: chi on the problem's rimmed box, ∇χ split off, and the scaled dual. step : λ/ρ in ppm."""

    def __init__(self, problem: MaskedProblem, chi: torch.Tensor, step: float):
        self.problem, self.chi, self.step = problem, chi, step
        self.voxel_size = problem.geometry.voxel_size
        self.split = gradient(chi, self.voxel_size)
        self.dual = torch.zeros_like(self.split)

    def take(self, strength: float) -> None:
        """Go on with another λ in ppm, and with the weights that the problem has now."""
        self.strength, self.penalty = strength, strength / self.step
        self.right = self._right()
        self.residual = self.right - self._normal(self.chi)

    def iterate(self) -> None:
        """One step of χ, of the split and of the dual."""
        self.chi, self.residual = conjugate_gradient(self._normal, self.right, self.chi, INNER_ITERATIONS, residual=self.residual)
        slope = gradient(self.chi, self.voxel_size) + self.dual
        self.split = soft_threshold(slope, self.step)
        self.dual = slope - self.split
        previous, self.right = self.right, self._right()
        self.residual = self.residual + self.right - previous

    def _normal(self, x: torch.Tensor) -> torch.Tensor:
        return self.problem.normal(x, self.penalty)

    def _right(self) -> torch.Tensor:
        return self.problem.data + self.penalty * self.problem.inside * gradient_adjoint(self.split - self.dual, self.voxel_size)
