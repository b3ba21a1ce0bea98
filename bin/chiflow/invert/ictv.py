"""ICTV: χ as a structure with few edges and a texture with a smooth spectrum (decomposition.py), with an uncertainty for each voxel (bootstrap.py).

Reference: Chambolle and Lions 1997 (10.1007/s002110050258) for infimal convolution.
"""

import torch

from chiflow.core.geometry import Geometry
from chiflow.invert.bootstrap import bootstrapped
from chiflow.invert.decomposition import PASSES, decomposed
from chiflow.invert.result import Susceptibility


def ictv(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
         magnitude: torch.Tensor | None = None, *, lambda_ppm: float | None = None, passes: tuple[int, ...] = PASSES) -> Susceptibility:
    """χ in ppm with λ and σ_e, and its uncertainty.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field, the least that σ_e can be. lambda_ppm : λ, by the
    rule when None. passes : iterations of ADMM between fillings. `magnitude` is not used.
    """
    found = decomposed(field, mask, geometry, weight, sigma_ppm, lambda_ppm, passes)
    parameters = {"LambdaPpm": found.strength * found.rms_ppm, "ErrorPpm": found.share * found.rms_ppm, "Iterations": sum(passes)}
    return Susceptibility(found.chi * found.rms_ppm, parameters, uncertainty=bootstrapped(found, mask, geometry))
