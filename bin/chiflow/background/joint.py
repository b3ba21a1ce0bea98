"""Joint: sources inside and outside the mask are fitted to the total field together.

    min over y   ‖W (f − D P y)‖² + λ² ‖y‖²,      χ = P y,      P = 0.03 inside, 1 − 0.7 exp(−d / 4 mm) at the distance d outside
    local = f − D χ_outside;      D χ_inside where W = 0

It is the expected background when χ is Gaussian with those deviations (ppm, up to a common factor, which cancels). Projection on outside
sources alone (PDF) takes away whatever of the local field looks harmonic near the rim; here inside sources compete for it. On simulated heads
the error is flat around the constants: P inside from 0.015 to 0.03 and λ from 0.0003 to 0.003 change it by one point in 30, with noise of
0.001 to 0.005 ppm.

References: Liu 2011 (10.1002/nbm.1670) for the projection, Chatnuntawech 2017 (10.1002/nbm.3570) for one fit of both.
"""

import torch

from chiflow.background.result import LocalField
from chiflow.core.source_fit import SourceFit
from chiflow.core.geometry import Geometry

INSIDE = 0.03  # deviation of χ of brain over that of bone and air: 0.03 ppm and 1 ppm
RIDGE = 0.003  # noise and model error of 0.003 ppm against the same 1 ppm
ITERATIONS = 120
TOLERANCE = 1e-3


def joint(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0,
          magnitude: torch.Tensor | None = None, *, inside: float = INSIDE, ridge: float = RIDGE, iterations: int = ITERATIONS, tolerance: float = TOLERANCE) -> LocalField:
    """Local field in ppm in the whole mask; voxels of weight 0 get the field of the sources that their neighbours found.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability. inside : deviation of χ in the mask over that outside.
    ridge : λ. iterations : at most. tolerance : of the normal residual, relative. magnitude is not used, nor is sigma_ppm: the result hardly depends on λ.
    """
    fit = SourceFit(field, mask, geometry, weight)
    chi, record = fit.solve(torch.where(fit.inside, inside, fit.outside), ridge, iterations, tolerance, "Joint sources")
    local = fit.field - fit.forward(chi * ~fit.inside)
    local = torch.where(fit.squared > 0, local, fit.forward(chi * fit.inside))
    return LocalField(local * mask, mask, record | {"InsideDeviation": inside})
