"""V-SHARP: a harmonic field equals its mean over any sphere; the largest sphere that stays in the mask serves each voxel.

    B f = f − S_r(x) * f,      local = argmin ‖B (l − f)‖² + λ ‖l‖²

The papers divide by the kernel of the largest sphere everywhere, though most voxels near the border saw a smaller one: what the small
spheres took off a smooth local field is then lost. Here the deconvolution knows which sphere each voxel saw.

References: Wu 2012 (10.1002/mrm.23000), Özbay 2017 (10.1002/nbm.3550).
"""

import torch

from chiflow.background.filling import filled
from chiflow.background.result import LocalField
from chiflow.background.spheres import SphereDeviation, smallest_local_field
from chiflow.core.geometry import Geometry

LARGEST_MM = 20.0
PENALTY = 3e-4
ITERATIONS = 30
TOLERANCE = 5e-3


def vsharp(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0, *,
           largest_mm: float = LARGEST_MM, penalty: float = PENALTY, iterations: int = ITERATIONS, tolerance: float = TOLERANCE) -> LocalField:
    """Local field in ppm in the mask that it holds in, one smallest sphere narrower than the mask given.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability; voxels of next to none are filled from the others first.
    largest_mm : no sphere is larger; the smallest is one voxel (its longest side) and each is twice the one before. penalty : λ.
    iterations : at most. tolerance : of the normal residual.

    Raises ChiflowError when no sphere fits into the mask.
    """
    radii = [max(geometry.voxel_size)]
    while 2 * radii[-1] <= largest_mm:
        radii.append(2 * radii[-1])
    deviation = SphereDeviation(mask, geometry, radii)
    total = filled(field, mask, geometry, weight)
    local, record = smallest_local_field(total, deviation, penalty, iterations, tolerance, "V-SHARP")
    return LocalField(local * deviation.kept, deviation.kept, {"RadiiMm": deviation.radii_mm, "Penalty": penalty} | record)
