"""HD-QSM, hybrid data fidelity: total variation with an L1 data term first, which lets outliers go, then with an L2 one, which averages noise.

    stage 1   min over χ   σ ‖W (D χ − f)‖₁ + λ ‖∇χ‖₁
    stage 2   min over χ   ½ ‖W (D χ − f)‖² + λ ‖∇χ‖₁

Stage 1 starts from 0 and is ADMM with ∇χ and the misfit y = W (D χ − f) split off: in the χ step of TV, W f + y − v stands in the place of W f, and

    y = S(W (D χ − f) + v, c σ),      v ← W (D χ − f) + v − y,      λ₁ = c λ,      c = rms f / σ

c speeds the dual v up, the minimum is the same. Stage 2 goes on from there as TV does, λ and W following the misfit (core/variation/misfit.py): stage 1 has
left the outliers standing out of it, so they are weighted out before they pull at χ.

Reference: Lambert 2022 (10.1002/mrm.29218).
"""

import torch

from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress
from chiflow.core.solvers import soft_threshold
from chiflow.core.variation.misfit import lambda_for, refine, within
from chiflow.invert.problem import RIM, MaskedProblem
from chiflow.invert.result import Susceptibility
from chiflow.invert.tv import STEP_PER_FIELD, TotalVariation

L1_ITERATIONS = 12
L2_ITERATIONS = 15
REFINED_AT = (0, 3, 7)  # iterations of stage 2


def hdqsm(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
          magnitude: torch.Tensor | None = None, *, lambda_ppm: float | None = None, l1_iterations: int = L1_ITERATIONS,
          l2_iterations: int = L2_ITERATIONS) -> Susceptibility:
    """χ in ppm with λ.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field, where the rule for λ starts.
    lambda_ppm : λ of stage 2, by the rule when None. l1_iterations, l2_iterations : of ADMM in each stage. `magnitude` is not used.
    """
    problem = MaskedProblem(field, mask, geometry, weight)
    rms = problem.power**0.5
    sigma = within(sigma_ppm, rms)
    search = TotalVariation(problem, torch.zeros_like(problem.data), STEP_PER_FIELD * max(rms, 1e-12))
    robust(search, max(rms, 1e-12), max(rms, 1e-12) / sigma * lambda_for(sigma, rms), l1_iterations)
    for iteration in progress(range(l2_iterations), "HD-QSM, L2"):
        if iteration in REFINED_AT:
            sigma = refine(problem, search.chi, sigma, rms, lambda_for(sigma, rms))
            search.take(lambda_for(sigma, rms) if lambda_ppm is None else lambda_ppm)
        search.iterate()
    found = {"LambdaPpm": search.strength, "SigmaPpm": sigma, "L1Iterations": l1_iterations, "L2Iterations": l2_iterations}
    return Susceptibility(search.chi[RIM] * mask, found)


def robust(search: TotalVariation, threshold: float, strength: float, iterations: int) -> None:
    """Stage 1 from where the search is; threshold : c σ, strength : λ₁, both in ppm."""
    problem, weight = search.problem, search.problem.reliability
    dual = torch.zeros_like(search.chi)
    search.take(strength)
    for _ in progress(range(iterations), "HD-QSM, L1"):
        slack = weight * (problem.forward(search.chi) - problem.field) + dual
        split = soft_threshold(slack, threshold)
        dual = slack - split
        before, problem.data = problem.data, problem.inside * problem.forward(weight * (weight * problem.field + split - dual))
        search.right = search.right + problem.data - before
        search.residual = search.residual + problem.data - before
        search.iterate()
