"""The network of the total field on voxels of any size: it works on voxels of about 2.4 mm, where it was trained, and the fit on those of the scan.

    χ = χ₁ + δ − J D δ,      δ = what the network changes inside, interpolated; χ₁ is made of χ₀ of the scan's voxels and t of the coarse ones, interpolated

What is ambiguous between inside and outside is smooth, so coarse voxels hold it; χ₀, J and D are those of the fine grid, and J undoes what they see of t and δ.
The network's change is the mean over flips of the axes and of the sign, each turned back.
"""

from dataclasses import dataclass, replace

import torch
from torch.nn.functional import avg_pool3d, interpolate, pad

from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress
from chiflow.core.total.net import TotalNet
from chiflow.core.total.start import TotalStart, explained, informed, local_field, middle_of, outside_of, placed, started
from chiflow.core.total.rounds import total_start

WORKING_MM = 2.4
FINE_STEPS = 15
MEMBERS = (((), 1.0), ((0, 1, 2), -1.0), ((0,), 1.0), ((1, 2), -1.0))  # axes that are flipped, sign


@dataclass(frozen=True)
class TotalFit:
    """The fit of a scan: first (χ₀) and fine (χ₁) on its voxels, coarse where the network starts; mask (X, Y, Z) bool, the factors between them,
    and the middle of the grid, where the volume lies."""

    first: TotalStart
    fine: TotalStart
    coarse: TotalStart
    mask: torch.Tensor
    factors: tuple[int, ...]
    middle: tuple[slice, ...]

    def widened(self, volume: torch.Tensor) -> torch.Tensor:
        """A volume in the mask of the coarse grid (ppm) on the voxels of the scan (X, Y, Z)."""
        part = tuple(slice((p - n) // 2, (p - n) // 2 + n) for p, n in zip(volume.shape, (-(-n // f) for n, f in zip(self.mask.shape, self.factors))))
        return finer((volume * self.coarse.mask)[part], self.coarse.mask[part], self.mask, self.factors)


@dataclass(frozen=True)
class TotalResult:
    """Tensors (X, Y, Z) in ppm, 0 outside the mask: chi (χ_in), local (f − D χ_out) and background (D χ_out)."""

    chi: torch.Tensor
    local: torch.Tensor
    background: torch.Tensor


@torch.no_grad()
def total_fit(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float,
              magnitude: torch.Tensor | None) -> TotalFit:
    """The fit of a total field, told what guided TV finds; arguments as those of start.py's `started`."""
    first, factors = started(field, mask, geometry, weight, sigma_ppm, magnitude), factors_for(geometry)
    same = max(factors) == 1
    coarse = total_start(*coarser(field, mask, geometry, weight, sigma_ppm, magnitude, factors), first if same else None)
    fit = TotalFit(first, first, coarse, mask, factors, middle_of(geometry)[0])
    return replace(fit, fine=coarse if same else informed(first, fit.widened(coarse.prior * coarse.rms_ppm)))


@torch.no_grad()
def total_result(found: TotalFit, network: TotalNet | None = None) -> TotalResult:
    """Sources and local field of a fit, with what a network changes."""
    fine, sources, fit = found.fine, found.fine.sources, found.fine.fit
    if network:
        delta = placed(found.widened(averaged(network, found.coarse) * found.coarse.rms_ppm), found.middle, fine.mask.shape) / fine.rms_ppm
        sources = sources + delta - explained(fit.forward(delta), fit, fine.deviation, FINE_STEPS)
    outside = outside_of(sources, fine)
    maps = (sources - outside, local_field(sources, fine, fit), fit.forward(outside))
    return TotalResult(*(volume[found.middle] * found.mask * fine.rms_ppm for volume in maps))


def averaged(network: TotalNet, start: TotalStart) -> torch.Tensor:
    """What the network changes of the sources, on the grid of the start and in its units."""
    changes = []
    for flips, sign in progress(MEMBERS, "Network"):
        found = network(turned(start, flips=flips, sign=sign)).sources[-1]
        changes.append(sign * found.flip(flips) - start.sources)
    return torch.stack(changes).mean(0)


def turned(start: TotalStart, order: tuple[int, ...] = (0, 1, 2), flips: tuple[int, ...] = (), sign: float = 1.0, contrast: float = 1.0) -> TotalStart:
    """The same scan with its axes in another order, then some of them flipped, and the sign of field and χ, and of the guide, changed."""
    move = lambda volume: volume.permute(order).flip(flips)
    kept = {name: move(getattr(start, name)) for name in ("mask", "weight", "outer", "deviation", "depth")}
    signed = {name: sign * move(getattr(start, name)) for name in ("field", "sources", "prior")}
    return replace(start, geometry=start.geometry.turned(order, flips), guide=contrast * move(start.guide), **kept, **signed)


def factors_for(geometry: Geometry) -> tuple[int, ...]:
    """Voxels along each axis that the network takes as one."""
    return tuple(max(round(WORKING_MM / v), 1) for v in geometry.voxel_size)


def coarser_geometry(geometry: Geometry, factors: tuple[int, ...]) -> Geometry:
    """The grid of blocks of voxels."""
    return Geometry(tuple(-(-n // f) for n, f in zip(geometry.shape, factors)), tuple(v * f for v, f in zip(geometry.voxel_size, factors)), geometry.b0)


def coarser(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float, magnitude: torch.Tensor | None,
            factors: tuple[int, ...]) -> tuple:
    """The scan on blocks of voxels: means over the part of a block that lies in the mask, which is where that is most of it."""
    wide = [p for n, f in zip(reversed(geometry.shape), reversed(factors)) for p in (0, -n % f)]
    mean = lambda volume: avg_pool3d(pad(volume, wide)[None, None], factors)[0, 0]
    inside = mask.float()
    share = mean(inside)
    blocks = share >= 0.5
    within = lambda volume: torch.where(blocks, mean(volume * inside) / share.clamp(min=1e-6), 0)
    weights = within(inside if weight is None else weight)
    number = factors[0] * factors[1] * factors[2]
    return (within(field), blocks, coarser_geometry(geometry, factors), weights, sigma_ppm / number**0.5, None if magnitude is None else mean(magnitude))


def finer(delta: torch.Tensor, blocks: torch.Tensor, mask: torch.Tensor, factors: tuple[int, ...]) -> torch.Tensor:
    """A change on blocks (float mask) at the voxels of the mask, linear between the middles of the blocks."""
    wide = lambda volume: interpolate(volume[None, None], scale_factor=tuple(float(f) for f in factors), mode="trilinear")[0, 0][tuple(slice(n) for n in mask.shape)]
    return wide(delta) / wide(blocks).clamp(min=0.25) * mask
