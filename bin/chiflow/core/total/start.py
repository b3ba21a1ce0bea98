"""Sources inside and outside a mask fitted to a total field, told what an inversion finds inside.

    χ₀ = the fit of sources to the field (core/source_fit.py), P = 0.03 ppm inside, 3 ppm outside;      χ₁ = χ₀ + 1.2 (t − J D t)

t is χ as an inversion of the local field f − D χ₀_out finds it, guided TV for one, less its mean. J explains a field by sources as the fit does, by n steps
of conjugate gradients with P = 0.3 ppm inside, which get in 12 steps where 0.03 ppm gets in 60: what of t is seen in the field is taken back, and what remains
hardly changes the field in the mask (a tenth of that of t is left). It is the fit with the mean t of the prior in place of 0, so an idea of χ inside is enough to
tell a local field from a background: half of the true χ takes a third off the error of the local field.

The voxels of the mask's surface lie partly outside, next to bone and air: their deviation is √(0.03² + 0.025²) ppm, and of what t does not explain in them,
y = χ − t, the share y² / (y² + κ²) counts as outside (κ three times the median of |χ₀| inside, y that of χ₀). So χ_out is χ outside the mask and that share
of y on its surface, χ_in the rest.

    local = f − D χ_out,      χ = χ_in

differs from f by the field of sources outside and on the surface of the mask, whatever t is. Everything is in units of the root mean square of
f − D χ₀_out in the mask.

Reference: Liu 2017 (10.1002/mrm.26331) for total field inversion.
"""

import math
from dataclasses import dataclass, replace

import torch

from chiflow.core.fourier import padded_shape
from chiflow.core.geometry import Geometry
from chiflow.core.variation.guide import standardised
from chiflow.core.solvers import conjugate_gradient
from chiflow.core.source_fit import MARGIN_MM, SourceFit

INSIDE_PPM, OUTSIDE_PPM, RIDGE = 0.03, 3.0, 0.002
SURFACE_PPM, SURFACE_LIMIT = 0.025, 3.0
CHANGE_PPM = 0.3
PRIOR_SHARE, PRIOR_STEPS = 1.2, 12
FIT_ITERATIONS, FIT_TOLERANCE = 200, 2e-4
DEPTH_MM = 5.0


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


def explained(field: torch.Tensor, fit: SourceFit, deviation: torch.Tensor, steps: int) -> torch.Tensor:
    """J of a field (X, Y, Z): sources of the fit after some steps from 0, with the deviation of the fit outside and CHANGE_PPM inside."""
    deviation = torch.where(fit.inside, CHANGE_PPM, deviation)
    right = deviation * fit.adjoint(fit.squared * field)
    return deviation * conjugate_gradient(fit.normal(deviation, RIDGE), right, torch.zeros_like(right), steps)[0]


def local_field(x: torch.Tensor, start: TotalStart, fit: SourceFit | None = None) -> torch.Tensor:
    """f − D χ_out in the mask; D χ_in where nothing was measured. fit : that of the start, when it is there already."""
    fit, outside = fit or start.fit, outside_of(x, start)
    return torch.where(fit.squared > 0, fit.field - fit.forward(outside), fit.forward(x - outside)) * start.mask
