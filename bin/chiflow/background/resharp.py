"""RESHARP: SHARP with one sphere, its deconvolution regularised by the size of the local field.

    local = argmin ‖M (δ − S) * (l − f)‖² + λ ‖l‖²,      M where the sphere stays in the mask

Reference: Sun and Wilman 2014 (10.1002/mrm.24765).
"""

import torch

from chiflow.background.filling import filled
from chiflow.background.result import LocalField
from chiflow.background.spheres import SphereDeviation, smallest_local_field
from chiflow.core.geometry import Geometry

RADIUS_MM = 5.5
PENALTY = 3e-4  # within 1 % of the best for noise of 0.0005 to 0.005 ppm; noise asks for none, the local field keeps its own
ITERATIONS = 60
TOLERANCE = 2e-3


def resharp(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0,
            magnitude: torch.Tensor | None = None, *, radius_mm: float = RADIUS_MM, penalty: float = PENALTY, iterations: int = ITERATIONS, tolerance: float = TOLERANCE) -> LocalField:
    """Local field in ppm in the mask that it holds in, one sphere narrower than the mask given.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability; voxels of next to none are filled from the others first.
    radius_mm : of the sphere, at least one voxel (its longest side). penalty : λ. iterations : at most. tolerance : of the normal residual.

    Raises ChiflowError when the sphere does not fit into the mask.
    """
    deviation = SphereDeviation(mask, geometry, [max(radius_mm, *geometry.voxel_size)])
    total = filled(field, mask, geometry, weight)
    local, record = smallest_local_field(total, deviation, penalty, iterations, tolerance, "RESHARP")
    return LocalField(local * deviation.kept, deviation.kept, {"RadiusMm": deviation.radii_mm[0], "Penalty": penalty} | record)
