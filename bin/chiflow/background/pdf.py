"""PDF: the background is the field of dipoles outside the mask, fitted to the total field inside.

    min over χ outside the mask   ‖W (f − D χ)‖²,      local = f − D χ

by conjugate gradients on the normal equations; stopping early regularises.

Reference: Liu 2011 (10.1002/nbm.1670).
"""

import torch

from chiflow.background.result import LocalField
from chiflow.core.dipole import dipole_kernel
from chiflow.core.fourier import filtered, padded_shape
from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress
from chiflow.core.solvers import conjugate_gradient_steps

PADDING = 1.5  # room for sources around the mask; the grid is periodic, so it lies on all sides
ITERATIONS = 60
TOLERANCE = 1e-3


def pdf(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0, *,
        iterations: int = ITERATIONS, tolerance: float = TOLERANCE) -> LocalField:
    """Local field in ppm in the whole mask.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability. iterations : at most. tolerance : of the normal residual.
    """
    shape = padded_shape(geometry.shape, PADDING)
    kernel = dipole_kernel(geometry, shape, field.device)
    inside = torch.zeros(shape, dtype=torch.bool, device=field.device)
    inside[: field.shape[0], : field.shape[1], : field.shape[2]] = mask
    outside, data = (~inside).float(), torch.zeros(shape, device=field.device)
    weights = torch.zeros_like(data)
    corner = tuple(slice(n) for n in field.shape)
    weights[corner] = (mask.float() if weight is None else weight * mask) ** 2
    data[corner] = field
    dipole = lambda x: filtered(x, kernel, shape)
    normal = lambda x: outside * dipole(weights * dipole(x))
    steps = conjugate_gradient_steps(normal, outside * dipole(weights * data), torch.zeros_like(data), iterations, tolerance)
    for sources, _ in progress(steps, "PDF"):
        pass
    return LocalField((data - dipole(sources))[corner] * mask, mask, {"Iterations": iterations})
