"""PDF: the background is the field of dipoles outside the mask, fitted to the total field inside.

    min over y   ‖W (f − D P y)‖² + λ² ‖y‖²,      local = f − D P y,      P = 0 inside the mask

by conjugate gradients until the residual is small. λ is what the local field, unknown to this model, weighs against the background: it makes
the minimum one that iterations reach, where plain projection has to stop early.

Reference: Liu 2011 (10.1002/nbm.1670).
"""

import torch

from chiflow.background.result import LocalField
from chiflow.core.source_fit import SourceFit
from chiflow.core.geometry import Geometry

RIDGE = 0.01  # local field of 0.01 ppm against sources of 1 ppm
ITERATIONS = 100
TOLERANCE = 1e-3


def pdf(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0,
        magnitude: torch.Tensor | None = None, *, ridge: float = RIDGE, iterations: int = ITERATIONS, tolerance: float = TOLERANCE) -> LocalField:
    """Local field in ppm in the mask, less the voxels of weight 0: nothing is known of the local field there.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability. ridge : λ. iterations : at most.
    tolerance : of the normal residual, relative. magnitude is not used, nor is sigma_ppm: the local field is stronger than the noise.
    """
    fit = SourceFit(field, mask, geometry, weight)
    sources, record = fit.solve(fit.outside, ridge, iterations, tolerance, "PDF")
    known = fit.squared > 0
    return LocalField((fit.field - fit.forward(sources)) * known, known, record)
