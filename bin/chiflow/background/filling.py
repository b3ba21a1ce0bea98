"""Voxels that cannot be trusted get the harmonic field that meets their trusted neighbours: a background is harmonic there too.

    Σ_a (v̄ / v_a)² Σ_± m(x ± a) (f(x ± a) − f(x)) = 0,      m the mask, v̄ the smallest voxel side

so one bad voxel costs itself and not every sphere or stencil that it lies in.
"""

import torch

from chiflow.core.geometry import Geometry
from chiflow.core.solvers import conjugate_gradient

LEAST_WEIGHT = 0.2  # five times the noise of a typical voxel
ITERATIONS = 200
TOLERANCE = 1e-3


def filled(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, *,
           least_weight: float = LEAST_WEIGHT) -> torch.Tensor:
    """The field (X, Y, Z) in ppm in the mask, 0 outside, with voxels of a weight below `least_weight` filled from the others."""
    trusted = mask if weight is None else mask & (weight >= least_weight)
    known = torch.where(trusted, field, torch.zeros_like(field))
    if torch.equal(trusted, mask):
        return known
    unknown = (mask & ~trusted).float()
    right = -unknown * masked_laplacian(known, mask, geometry)
    filling, _ = conjugate_gradient(lambda x: unknown * masked_laplacian(x, mask, geometry), right, torch.zeros_like(field), ITERATIONS, TOLERANCE)
    return known + filling


def masked_laplacian(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """−v̄² ∇² f by differences between neighbours that are both in the mask: symmetric and positive."""
    result = torch.zeros_like(field)
    for axis, size in enumerate(geometry.voxel_size):
        ahead, behind = (slice(None),) * axis + (slice(1, None),), (slice(None),) * axis + (slice(-1),)
        flow = torch.diff(field, dim=axis) * (mask[ahead] & mask[behind]) * (min(geometry.voxel_size) / size) ** 2
        result[ahead] += flow
        result[behind] -= flow
    return result
