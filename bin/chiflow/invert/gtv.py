"""Guided total variation (core/variation/guided.py): TV counts only what the magnitude does not explain, and little where the magnitude has an edge."""

from dataclasses import replace

import torch

from chiflow.core.geometry import Geometry
from chiflow.core.variation.guided import EXACT, OPEN, guided
from chiflow.invert.result import Susceptibility


def gtv(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
        magnitude: torch.Tensor | None = None, *, least_sigma_ppm: float = 0.0, lambda_ppm: float | None = None,
        iterations: int | None = None) -> Susceptibility:
    """χ in ppm with λ.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field, where the rule for λ starts. magnitude :
    (X, Y, Z) any unit, or None. least_sigma_ppm : of the errors that no misfit shows (core/variation/remainder.py); 0 for an exact field. lambda_ppm : λ, by the
    rule when None. iterations : of ADMM, 14 for an exact field and 20 for others when None.
    """
    rules = OPEN if least_sigma_ppm else EXACT
    rules = replace(rules, iterations=iterations or rules.iterations)
    found = guided(field, mask, geometry, weight, sigma_ppm, magnitude, least_sigma_ppm, lambda_ppm, rules)
    parameters = {"LambdaPpm": found.strength, "SigmaPpm": found.sigma, "Iterations": rules.iterations, "Guided": magnitude is not None, "Closed": found.closed}
    return Susceptibility(found.chi, parameters, None if found.closed else found.harmonic)
