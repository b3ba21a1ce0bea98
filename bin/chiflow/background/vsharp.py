"""V-SHARP: a harmonic field equals its mean over any sphere; the largest sphere that stays in the mask serves each voxel.

    B f = f − S_r(x) * f,      local = argmin ‖B (l − f)‖² + λ ‖l‖²

The papers divide by the kernel of the largest sphere everywhere, though most voxels near the border saw a smaller one: what the small
spheres took off a smooth local field is then lost. Here the deconvolution knows which sphere each voxel saw.

References: Wu 2012 (10.1002/mrm.23000), Özbay 2017 (10.1002/nbm.3550).
"""

import math

import torch

from chiflow.background.filling import filled
from chiflow.background.result import LocalField
from chiflow.background.spheres import SphereDeviation, smallest_local_field
from chiflow.core.geometry import Geometry

LARGEST_MM = 20.0
GROWTH = 2.2  # more radii between them lower the error by less than 0.5 % of the local field
PENALTY = 3e-4  # within 1 % of the best for noise of 0.0005 to 0.005 ppm; noise asks for none, the local field keeps its own
ITERATIONS = 30
TOLERANCE = 4e-3


def vsharp(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0,
           magnitude: torch.Tensor | None = None, *, largest_mm: float = LARGEST_MM, penalty: float = PENALTY, iterations: int = ITERATIONS, tolerance: float = TOLERANCE) -> LocalField:
    """Local field in ppm in the mask that it holds in, one smallest sphere narrower than the mask given.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability; voxels of next to none are filled from the others first.
    largest_mm : radius of the largest sphere; the smallest is one voxel (its longest side), those between grow by about `GROWTH`.
    penalty : λ. iterations : at most. tolerance : of the normal residual.

    Raises ChiflowError when no sphere fits into the mask.
    """
    deviation = SphereDeviation(mask, geometry, growing_radii(max(geometry.voxel_size), largest_mm))
    total = filled(field, mask, geometry, weight)
    local, record = smallest_local_field(total, deviation, penalty, iterations, tolerance, "V-SHARP")
    return LocalField(local * deviation.kept, deviation.kept, {"RadiiMm": [round(r, 3) for r in deviation.radii_mm], "Penalty": penalty} | record)


def growing_radii(smallest_mm: float, largest_mm: float) -> list[float]:
    """Radii in mm from the smallest to the largest, each the same factor near `GROWTH` above the one before."""
    ratio = max(largest_mm / smallest_mm, 1.0)
    steps = round(math.log(ratio) / math.log(GROWTH))
    return [smallest_mm * ratio ** (n / max(steps, 1)) for n in range(steps + 1)]
