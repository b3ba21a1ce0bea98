"""LBV: the background is the harmonic field that has the total field's values on the boundary of the mask.

    Δu = 0 inside,   u = f on the boundary,      Δu = Σ_a (u(x + v_a) − 2 u(x) + u(x − v_a)) / v_a²
    local = f − u − h,      h = argmin ‖W (f − u − h)‖² over the harmonic polynomials of degree ≤ 6

by conjugate gradients on −Δ, from the solution on a grid twice as coarse. The local field is 0 on the boundary by assumption, so that layer is
not in the mask returned. What differs from 0 there, and noise, goes inside as a harmonic field, its smooth part undamped: unreliable voxels of
the boundary are peeled off first, and h fits the smooth part again to the whole field (core error of a simulated head 27 % → 17 %).

References: Zhou 2014 (10.1002/nbm.3064), Whittaker 1903 (10.1007/BF01444290) for the polynomials.
"""

import math
from collections.abc import Iterator

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
DEGREE = 6
FIT_MM = 2.0  # distance of the voxels that h is fitted to: it is smooth
RIM = (slice(1, -1),) * 3


def lbv(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0,
        magnitude: torch.Tensor | None = None, *, reliable: float = RELIABLE, peeled_mm: float = PEELED_MM, degree: int = DEGREE, iterations: int = ITERATIONS,
        tolerance: float = TOLERANCE) -> LocalField:
    """Local field in ppm in the mask without its boundary.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability. reliable : least weight of a boundary voxel.
    peeled_mm : depth to which worse ones are peeled off. degree : of h, −1 for none. iterations : at most, on each grid.
    tolerance : of the residual, relative. Voxels of weight 0 are not in the mask returned. sigma_ppm and magnitude are not used.
    """
    rimmed = lambda volume: F.pad(volume, (1,) * 6)
    weights = rimmed(mask.float() if weight is None else weight * mask)
    values = torch.where(weights > 0, rimmed(field), 0)
    domain = peeled(rimmed(mask), weights, reliable, round(peeled_mm / min(geometry.voxel_size)))
    inside = interior(domain)
    harmonic, record = extended(values, inside, domain & ~inside, geometry.voxel_size, iterations, tolerance)
    kept = (inside & (weights > 0))[RIM]
    local = (values - harmonic)[RIM] * kept
    local = local - harmonic_fit(local, weights[RIM] * kept, geometry, degree) * kept
    return LocalField(local, kept, record | {"Degree": degree, "PeeledVoxels": int(mask.sum() - domain.sum())})


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


def harmonic_fit(field: torch.Tensor, weight: torch.Tensor, geometry: Geometry, degree: int) -> torch.Tensor:
    """h (X, Y, Z) in ppm, with W = weight.

    The real and imaginary parts of (z + i (x cos α + y sin α))ˡ, α = π j / (l + 1), j = 0 … l, are the harmonic polynomials of degree l.
    """
    steps = tuple(slice(None, None, max(1, int(FIT_MM / v))) for v in geometry.voxel_size)
    sampled = torch.nonzero((weight[steps] > 0).flatten()).flatten()
    square = (weight[steps].flatten()[sampled] ** 2).double()
    seen = [function[steps].flatten()[sampled].double() for function in polynomials(geometry, degree, field.device)]
    if not seen or not sampled.numel():
        return torch.zeros_like(field)
    seen = torch.stack(seen)
    gram, right = (seen * square) @ seen.T, (seen * square) @ field[steps].flatten()[sampled].double()
    factors = torch.linalg.pinv(gram, hermitian=True, rtol=1e-10) @ right
    return sum(factor.float() * function for factor, function in zip(factors, polynomials(geometry, degree, field.device)))


def polynomials(geometry: Geometry, degree: int, device=None) -> Iterator[torch.Tensor]:
    """Functions (X, Y, Z) that span the harmonic polynomials up to a degree, one by one; the longest half axis is 1."""
    longest = max(n * v for n, v in zip(geometry.shape, geometry.voxel_size)) / 2
    axes = [(torch.arange(n, device=device) - (n - 1) / 2) * v / longest for n, v in zip(geometry.shape, geometry.voxel_size)]
    x, y, z = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    for power in range(degree + 1):
        for j in range(power + 1):
            angle = math.pi * j / (power + 1)
            base = torch.complex(*torch.broadcast_tensors(z, x * math.cos(angle) + y * math.sin(angle)))
            value = math.prod([base] * power, start=torch.ones_like(base))  # integer powers of complex tensors are slow
            yield value.real
            if power:
                yield value.imag
