"""FANSI with a harmonic field: nonlinear total variation that leaves to the background what background removal left of it.

    min over χ, q, c   1/(2 s²) ‖W (exp(i s (D χ + φ_h)) − exp(i s f))‖² + λ ‖M ∇(χ − S c)‖₁ + (σ / 2 rms f)² ‖q‖²,      φ_h = D q,      s = 0.2 / rms f

φ_h is harmonic in the mask, the field of sources q outside: where the paper penalises ∇²φ_h in the mask, here it is 0 by construction. What a
background removal leaves is mostly of this kind; the last term keeps q from explaining what belongs to the brain. Sources inside and outside are
solved for at once, by ADMM with M ∇(χ − S c) split off; M is 0 outside the mask. S c are the images that the magnitude explains (core/variation/images.py), as in
guided TV; without a magnitude there are none. σ and W follow the misfit (core/variation/misfit.py), and λ is twice its rule: remainders are smooth, white noise is not.

The gradient of the data term is D W² sin(s r) / s of the residual r = D χ + φ_h − f, that of a quadratic term with the weight W² sinc(s r),
set anew in every iteration. All rules scale with the field, so χ is homogeneous in (f, σ).

References: Milovic 2018 (10.1002/mrm.27073), Milovic 2019 (10.1002/mrm.27483) for the harmonic field.
"""

import torch

from chiflow.core.geometry import Geometry
from chiflow.core.variation.guide import standardised
from chiflow.core.progress import progress
from chiflow.core.variation.images import GuideImages
from chiflow.core.variation.misfit import lambda_for, refine, within
from chiflow.invert.result import Susceptibility
from chiflow.core.variation.sources import PADDING, SourceProblem, SourceSearch

PHASE_RAD = 0.2
LAMBDA_PER_RULE = 2.0
OUTSIDE_PER_FIELD = 2.0  # deviation of q in units of the field's root mean square
REFINED_AT = (5, 10, 15)  # iterations; the misfit settles after them
STEP_PER_FIELD = 3.0  # λ/ρ in units of the field's root mean square
START_ITERATIONS = 20
ITERATIONS = 25


def fansi(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
          magnitude: torch.Tensor | None = None, *, lambda_ppm: float | None = None, phase_rad: float = PHASE_RAD,
          iterations: int = ITERATIONS) -> Susceptibility:
    """χ in ppm with λ.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field. lambda_ppm : λ, by the rule when None.
    phase_rad : s · rms f. iterations : of ADMM, at most. magnitude : (X, Y, Z) any unit, or None.
    """
    problem = SourceProblem(field, mask, geometry, weight, PADDING)
    rms = max(problem.power(problem.field), 1e-20) ** 0.5
    sigma = within(sigma_ppm, rms)
    rule = lambda: LAMBDA_PER_RULE * lambda_for(sigma, rms) if lambda_ppm is None else lambda_ppm
    ridge = lambda: (sigma / (OUTSIDE_PER_FIELD * rms)) ** 2
    influence = lambda residual: problem.squared * torch.sinc(phase_rad / (torch.pi * rms) * residual).clamp(min=0)
    images = None if magnitude is None else GuideImages(standardised(magnitude, mask, geometry), mask, geometry)
    search = SourceSearch(problem, problem.fitted(1.0, torch.zeros_like(problem.field), START_ITERATIONS), STEP_PER_FIELD * rms, images)
    for iteration in progress(range(iterations), "FANSI"):
        if iteration in REFINED_AT:
            sigma = refine(problem, search.chi, sigma, rms, rule())
        if search.iterate(rule(), influence(problem.field - problem.forward(search.chi)), ridge()) and iteration > REFINED_AT[-1]:
            break
    harmonic = problem.forward((1 - problem.inside) * search.chi)
    parameters = {"LambdaPpm": rule(), "SigmaPpm": sigma, "HarmonicRmsPpm": problem.power(harmonic) ** 0.5, "ScaleRadPerPpm": phase_rad / rms,
                  "Iterations": iteration + 1}
    return Susceptibility(search.chi[problem.kept] * mask, parameters, harmonic[problem.kept] * mask)
