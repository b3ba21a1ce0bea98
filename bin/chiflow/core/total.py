"""The network of the total field: sources inside and outside a mask, of which it moves what the field does not tell apart.

    χ₀ = the fit of sources to the field (source_fit.py), P = 0.03 ppm inside, 3 ppm outside;      χ₁ = χ₀ + 1.2 (t − J D t);      for k = 1 … K:
    χ ← χ + z − J D z,      z = CNN_k(χ_in, G χ_in, χ̄_in, f − D χ_out, χ_out, D χ_out, W (f − D χ), 3 σ / W, guide, mask, depth, t)  in the mask

t is χ as an inversion of the local field f − D χ₀_out finds it, guided TV for one, less its mean. The voxels of the mask's surface lie partly outside, next to
bone and air: their deviation is √(0.03² + 0.025²) ppm, and of what t does not explain in them, y = χ − t, the share y² / (y² + κ²) counts as outside (κ three times
the median of |χ₀| inside, y that of χ₀). So χ_out is χ outside the mask and that share of y on its surface, χ_in the rest.

G χ_in is what χ_in would be if it were a g + b near each voxel, g the guide: a guided filter with boxes of 20 mm, whose mean of χ_in is χ̄_in.
J explains a field by sources as the fit does, by n steps of conjugate gradients with P = 0.3 ppm inside, which get in 12 steps where 0.03 ppm gets in 60: what
of z is seen in the field is taken back, and what remains hardly changes the field in the mask (a tenth of that of z is left). It is the fit with the mean z of
the prior in place of 0, so an idea of χ inside is enough to tell a local field from a background: half of the true χ takes a third off the error of the local
field. The last layer of each CNN starts at 0: untrained, the network is χ₁.

    local = f − D χ_out,      χ = χ_in

differs from f by the field of sources outside and on the surface of the mask, whatever the CNN says. Everything is in units of the root mean square of
f − D χ₀_out in the mask.

References: Hammernik 2018 (10.1002/mrm.26977) for unrolling, Schwab 2019 (10.1088/1361-6420/aaf14a) for learning what the data do not see, He 2013
(10.1109/TPAMI.2012.213) for the guided filter, Liu 2017 (10.1002/mrm.26331) for total field inversion.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.functional import avg_pool3d

from chiflow.core.blocks import Correction
from chiflow.core.fourier import padded_shape
from chiflow.core.geometry import Geometry
from chiflow.core.guide import standardised
from chiflow.core.solvers import conjugate_gradient
from chiflow.core.source_fit import MARGIN_MM, SourceFit

INSIDE_PPM, OUTSIDE_PPM, RIDGE = 0.03, 3.0, 0.002
SURFACE_PPM, SURFACE_LIMIT = 0.025, 3.0
CHANGE_PPM = 0.3
PRIOR_SHARE, PRIOR_STEPS = 1.2, 12
FIT_ITERATIONS, FIT_TOLERANCE = 200, 2e-4
CHANNELS = (32, 56)
ITERATIONS = 1
STEPS = 10
INPUTS = 12
SCALE = 3.0  # χ in units of the local field's rms
DEPTH_MM = 5.0
BOX_MM = 10.0  # half the width of the guided filter's boxes
LEAST_CONTRAST = 0.1  # variance of a guide that explains nothing


@dataclass(frozen=True)
class TotalStart:
    """Tensors on a periodic grid with the mask in its middle and room for sources around it: field, sources (χ₀ or χ₁) and prior (t, or 0) in units of rms_ppm, mask (float),
    weight (W), outer (share of χ − t that counts as outside), deviation (P, ppm), depth (exp(−d / 5 mm) inside, −exp(−d / 5 mm) outside), guide (0 without one).

    geometry : of the grid. sigma : noise of the field where the weight is 1, in units of rms_ppm.
    """

    geometry: Geometry
    field: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor
    sources: torch.Tensor
    prior: torch.Tensor
    outer: torch.Tensor
    deviation: torch.Tensor
    depth: torch.Tensor
    guide: torch.Tensor
    sigma: float
    rms_ppm: float

    @property
    def fit(self) -> SourceFit:
        """The fit on this grid."""
        return SourceFit(self.field, self.mask > 0, self.geometry, self.weight, margin_mm=0)


@dataclass(frozen=True)
class TotalSolution:
    """On the grid of the start, in its units: sources of each step, the last one last, and the local fields that go with them, 0 outside the mask."""

    sources: list[torch.Tensor]
    local: list[torch.Tensor]


def started(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float,
            magnitude: torch.Tensor | None, iterations: int = FIT_ITERATIONS) -> TotalStart:
    """The start for a total field (ppm), a mask (bool), W and a magnitude in any unit, or None; tensors (X, Y, Z)."""
    middle, wide = middle_of(geometry)
    place = lambda volume: placed(volume, middle, wide.shape)
    inside, weights = place(mask), place(mask.float() if weight is None else weight * mask)
    fit = SourceFit(place(field), inside, wide, weights, margin_mm=0)
    depth = SourceFit(place(field), ~inside, wide, None, margin_mm=0).distance
    rim = surface(inside)
    deviation = torch.where(inside, torch.where(rim, math.hypot(INSIDE_PPM, SURFACE_PPM), INSIDE_PPM), OUTSIDE_PPM * fit.outside)
    sources, _ = fit.solve(deviation, RIDGE, iterations, FIT_TOLERANCE, "Sources")
    outer = (~inside).float()
    local = fit.field - fit.forward(sources * outer)
    rms = max(float(local[fit.squared > 0].square().mean() ** 0.5), 1e-12)
    guide = torch.zeros_like(field) if magnitude is None else standardised(magnitude, mask, geometry)
    near = torch.exp(-depth / DEPTH_MM) * inside - torch.exp(-fit.distance / DEPTH_MM) * ~inside
    return TotalStart(wide, fit.field / rms, inside.float(), weights, sources / rms, torch.zeros_like(sources), outer, deviation, near, place(guide), sigma_ppm / rms, rms)


def surface(inside: torch.Tensor) -> torch.Tensor:
    """Voxels of a mask (X, Y, Z) bool, empty on the border of the grid, with one of their six neighbours outside."""
    deep = inside.clone()
    for axis in range(3):
        deep &= inside.roll(1, axis) & inside.roll(-1, axis)
    return inside & ~deep


def informed(start: TotalStart, chi: torch.Tensor) -> TotalStart:
    """The start with χ₁ for χ₀, from χ (X, Y, Z) in ppm of an inversion of its local field."""
    inside, fit, x = start.mask > 0, start.fit, start.sources
    first = [(p - n) // 2 for p, n in zip(inside.shape, chi.shape)]
    prior = placed(chi, tuple(slice(f, f + n) for f, n in zip(first, chi.shape)), inside.shape)
    prior = (prior - prior[inside].mean()) * inside / start.rms_ppm
    unexplained, limit = (x - prior) ** 2, (SURFACE_LIMIT * x[inside].abs().median()) ** 2
    outer = torch.where(inside, surface(inside) * unexplained / (unexplained + limit).clamp(min=1e-30), 1.0)
    change = prior - explained(fit.forward(prior), fit, start.deviation, PRIOR_STEPS)
    return replace(start, sources=x + PRIOR_SHARE * change, prior=prior, outer=outer)


def outside_of(x: torch.Tensor, start: TotalStart) -> torch.Tensor:
    """χ_out of all sources."""
    return start.outer * (x - start.prior)


def middle_of(geometry: Geometry) -> tuple[tuple[slice, ...], Geometry]:
    """Where the volume lies on the grid with room around it, and that grid."""
    shape = padded_shape(geometry.shape, margin=tuple(math.ceil(MARGIN_MM / v) for v in geometry.voxel_size))
    first = [(p - n) // 2 for p, n in zip(shape, geometry.shape)]
    return tuple(slice(f, f + n) for f, n in zip(first, geometry.shape)), Geometry(shape, geometry.voxel_size, geometry.b0)


def placed(volume: torch.Tensor, middle: tuple[slice, ...], shape: tuple[int, ...]) -> torch.Tensor:
    """The volume (X, Y, Z) in the middle of a grid of 0."""
    result = torch.zeros(shape, dtype=volume.dtype, device=volume.device)
    result[middle] = volume
    return result


class TotalNet(nn.Module):
    """The TotalSolution of a TotalStart. steps : of J."""

    def __init__(self, channels: tuple[int, int] = CHANNELS, iterations: int = ITERATIONS, deep_blocks: int = 2, steps: int = STEPS):
        super().__init__()
        self.corrections = nn.ModuleList(Correction(INPUTS, channels, deep_blocks) for _ in range(iterations))
        self.steps = steps

    def forward(self, start: TotalStart) -> TotalSolution:
        fit, x = start.fit, start.sources
        found = TotalSolution([], [])
        for correction in self.corrections:
            z = SCALE * start.mask * correction(inputs(x, start, fit))
            x = x + z - explained(fit.forward(z), fit, start.deviation, self.steps)
            found.sources.append(x)
            found.local.append(local_field(x, start, fit))
        return found


def explained(field: torch.Tensor, fit: SourceFit, deviation: torch.Tensor, steps: int) -> torch.Tensor:
    """J of a field (X, Y, Z): sources of the fit after some steps from 0, with the deviation of the fit outside and CHANGE_PPM inside."""
    deviation = torch.where(fit.inside, CHANGE_PPM, deviation)
    right = deviation * fit.adjoint(fit.squared * field)
    return deviation * conjugate_gradient(fit.normal(deviation, RIDGE), right, torch.zeros_like(right), steps)[0]


def local_field(x: torch.Tensor, start: TotalStart, fit: SourceFit | None = None) -> torch.Tensor:
    """f − D χ_out in the mask; D χ_in where nothing was measured. fit : that of the start, when it is there already."""
    fit, outside = fit or start.fit, outside_of(x, start)
    return torch.where(fit.squared > 0, fit.field - fit.forward(outside), fit.forward(x - outside)) * start.mask


def inputs(x: torch.Tensor, start: TotalStart, fit: SourceFit) -> torch.Tensor:
    """What a CNN sees, (INPUTS, X, Y, Z), each about 1."""
    outside = outside_of(x, start)
    background = fit.forward(outside)
    misfit = start.weight * (start.field - background - fit.forward(x - outside))
    doubt = (start.sigma / start.weight.clamp(min=0.1)).clamp(max=1)
    explained_by_guide, mean = guided_filter(start.mask * x, start)
    inner = [x / SCALE, explained_by_guide / SCALE, mean / SCALE, start.field - background, 10 * misfit, 3 * doubt, start.guide / 2, start.prior / SCALE]
    return torch.stack([*(start.mask * volume for volume in inner), torch.asinh(x * (1 - start.mask) / 10) / 3, background / 30, start.mask, start.depth])


def guided_filter(x: torch.Tensor, start: TotalStart) -> tuple[torch.Tensor, torch.Tensor]:
    """G x and the mean of x in boxes, of the voxels in the mask; x is 0 outside it."""
    guide, count = start.guide, box_mean(start.mask, start.geometry).clamp(min=1e-3)
    mean = lambda volume: box_mean(volume, start.geometry) / count
    mean_x, mean_guide = mean(x), mean(guide)
    slope = (mean(x * guide) - mean_x * mean_guide) / (mean(guide**2) - mean_guide**2 + LEAST_CONTRAST)
    level = mean_x - slope * mean_guide
    return mean(start.mask * slope) * guide + mean(start.mask * level), mean_x


def box_mean(volume: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Mean of a volume (X, Y, Z) in boxes, with 0 around it."""
    for axis, size in enumerate(geometry.voxel_size):
        reach = [0, 0, 0]
        reach[axis] = min(max(round(BOX_MM / size), 1), (volume.shape[axis] - 1) // 2)
        volume = avg_pool3d(volume[None, None], [2 * r + 1 for r in reach], 1, reach)[0, 0]
    return volume
