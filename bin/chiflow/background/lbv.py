"""LBV: the background is the harmonic field that has the total field's values on the boundary of the mask.

    Δu = 0 inside,   u = f on the boundary,      local = f − u
    Δu = Σ_a (u(x + v_a) − 2 u(x) + u(x − v_a)) / v_a²

by conjugate gradients on −Δ, from the solution on a grid twice as coarse. The local field is 0 on the boundary by assumption, so that layer is
not in the mask returned. A boundary voxel's error goes inside undamped: unreliable ones are peeled off first.

Reference: Zhou 2014 (10.1002/nbm.3064).
"""

import torch
import torch.nn.functional as F

from chiflow.background.result import LocalField
from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress
from chiflow.core.solvers import conjugate_gradient_steps

RELIABLE = 0.5  # least weight of a boundary voxel
PEELED_MM = 6.0
ITERATIONS = 300
TOLERANCE = 1e-4
COARSEST = 8
RIM = (slice(1, -1),) * 3


def lbv(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0, *,
        reliable: float = RELIABLE, peeled_mm: float = PEELED_MM, iterations: int = ITERATIONS, tolerance: float = TOLERANCE) -> LocalField:
    """Local field in ppm in the mask without its boundary.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability. reliable : least weight of a boundary voxel.
    peeled_mm : depth to which worse ones are peeled off. iterations : at most, on each grid. tolerance : of the residual, relative.
    """
    rimmed = lambda volume: F.pad(volume, (1,) * 6)
    weights = rimmed(mask.float() if weight is None else weight * mask)
    values = torch.where(weights > 0, rimmed(field), 0)
    domain = peeled(rimmed(mask), weights, reliable, round(peeled_mm / min(geometry.voxel_size)))
    inside = interior(domain)
    harmonic, record = extended(values, inside, domain & ~inside, geometry.voxel_size, iterations, tolerance)
    kept = (inside & (weights > 0))[RIM]
    return LocalField((values - harmonic)[RIM] * kept, kept, record | {"PeeledVoxels": int(mask.sum() - domain.sum())})


def interior(domain: torch.Tensor) -> torch.Tensor:
    """Voxels of a domain (X, Y, Z) bool, empty on the border of the volume, whose six neighbours are in it."""
    result = domain.clone()
    for axis in range(3):
        result &= domain.roll(1, axis) & domain.roll(-1, axis)
    return result


def peeled(domain: torch.Tensor, weight: torch.Tensor, reliable: float, layers: int) -> torch.Tensor:
    """The domain less the boundary voxels of a weight below `reliable`, layer by layer."""
    for _ in range(layers):
        bad = domain & ~interior(domain) & (weight < reliable)
        if not bad.any():
            break
        domain = domain & ~bad
    return domain


def extended(values: torch.Tensor, inside: torch.Tensor, boundary: torch.Tensor, voxel_size: tuple[float, ...], iterations: int,
             tolerance: float) -> tuple[torch.Tensor, dict]:
    """u in ppm of the values on the boundary, and what the record shows of the iterations on the finest grid."""
    known = values * boundary
    normal = lambda u: inside * -laplacian(u, voxel_size)
    right = inside * laplacian(known, voxel_size)
    start = inside * _coarse(known, inside, boundary, voxel_size, iterations, tolerance)
    done, residual = 0, right
    for done, (start, residual) in enumerate(progress(conjugate_gradient_steps(normal, right, start, iterations, tolerance), "LBV")):
        pass
    return start + known, {"Iterations": done, "Residual": float(residual.norm() / right.norm().clamp(min=1e-30))}


def _coarse(known: torch.Tensor, inside: torch.Tensor, boundary: torch.Tensor, voxel_size: tuple[float, ...], iterations: int,
            tolerance: float) -> torch.Tensor:
    """u of a grid of twice the voxel size, interpolated; 0 when that grid is too small. A coarse voxel has the mean of its boundary values."""
    if min(known.shape) < 2 * COARSEST:
        return torch.zeros_like(known)
    even = [n % 2 for n in reversed(known.shape)]
    pooled = lambda volume: F.pad(F.avg_pool3d(F.pad(volume, (0, even[0], 0, even[1], 0, even[2]))[None, None], 2)[0, 0], (1,) * 6)
    share = pooled(boundary.float())
    coarse_inside = (pooled(inside.float()) > 0) & (share == 0)
    harmonic, _ = extended(pooled(known) / share.clamp(min=1 / 8), coarse_inside, share > 0, tuple(2 * v for v in voxel_size), iterations, tolerance)
    fine = F.interpolate(harmonic[RIM][None, None], scale_factor=2, mode="trilinear")[0, 0]
    return fine[tuple(slice(n) for n in known.shape)]


def laplacian(u: torch.Tensor, voxel_size: tuple[float, ...]) -> torch.Tensor:
    """Δu in ppm/mm² of a volume (X, Y, Z) that is 0 on its border."""
    return sum((u.roll(1, axis) + u.roll(-1, axis) - 2 * u) / size**2 for axis, size in enumerate(voxel_size))
