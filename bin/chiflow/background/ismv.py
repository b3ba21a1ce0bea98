"""iSMV: the background is what spherical means leave as it is, with the total field as its value in the rim of the mask.

    b = S * b where the sphere stays in the mask (M),     b = f in the rim,     local = f − b

The paper repeats b ← S * b, which needs hundreds of means. M (δ − S) M is symmetric and positive, so conjugate gradients get there in tens:

    M (δ − S) * (M l) = M (δ − S) * f

Reference: Wen 2014 (10.1002/mrm.24998).
"""

import torch

from chiflow.background.filling import filled
from chiflow.background.result import LocalField
from chiflow.background.spheres import SphereDeviation, last_of
from chiflow.core.geometry import Geometry
from chiflow.core.solvers import conjugate_gradient_steps

RADIUS_MM = 4.5
ITERATIONS = 100
TOLERANCE = 1e-3


def ismv(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0,
         magnitude: torch.Tensor | None = None, *, radius_mm: float = RADIUS_MM, iterations: int = ITERATIONS, tolerance: float = TOLERANCE) -> LocalField:
    """Local field in ppm in the mask that it holds in, one sphere narrower than the mask given.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability; voxels of next to none are filled from the others first.
    radius_mm : of the sphere, at least one voxel (its longest side). iterations : at most. tolerance : of the residual.

    Raises ChiflowError when the sphere does not fit into the mask.
    """
    deviation = SphereDeviation(mask, geometry, [max(radius_mm, *geometry.voxel_size)])
    right = deviation.forward(filled(field, mask, geometry, weight))
    steps = conjugate_gradient_steps(deviation.forward, right, torch.zeros_like(field), iterations, tolerance)
    local, record = last_of(steps, right, "iSMV")
    return LocalField(local, deviation.kept, {"RadiusMm": deviation.radii_mm[0]} | record)
