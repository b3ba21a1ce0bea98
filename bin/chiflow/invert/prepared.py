"""What the network starts from: the field and a few iterations of guided TV (core/variation/guided.py), all in units of the field's root mean square.

χ of the network times that unit is χ in ppm: (c f, c σ) gives c χ, whatever the network is.
"""

from dataclasses import dataclass, replace

import torch

from chiflow.core.geometry import Geometry
from chiflow.core.variation.guided import Rules, guided


@dataclass(frozen=True)
class Prepared:
    """Tensors (X, Y, Z): field less harmonic, ridge, start and explained (S c) in units of rms_ppm, mask (float), weight (W, refined), guide (0 without one).

    harmonic : in units of rms_ppm, what guided TV gave to sources outside the mask; with closed there are none. padding : of the grid. sigma : of the field where the
    weight is 1, in units of rms_ppm, from the misfit.
    """

    geometry: Geometry
    field: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor
    ridge: torch.Tensor
    start: torch.Tensor
    explained: torch.Tensor
    harmonic: torch.Tensor
    guide: torch.Tensor
    sigma: float
    rms_ppm: float
    closed: bool
    padding: float


def prepared(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float,
             magnitude: torch.Tensor | None, least_sigma_ppm: float = 0.0, rules: Rules | None = None) -> Prepared:
    """The start for a field (ppm), a mask (bool), W and a magnitude in any unit; tensors (X, Y, Z). least_sigma_ppm and rules : see guided."""
    found = guided(field, mask, geometry, weight, sigma_ppm, magnitude, least_sigma_ppm, rules=rules)
    unit = lambda volume: volume / found.rms
    local = unit(field - found.harmonic) * mask * (field != 0)  # where nothing was measured nothing is
    return Prepared(geometry, local, mask.float(), found.weight, unit(found.ridge), unit(found.chi), unit(found.explained), unit(found.harmonic),
                    found.guide, found.sigma / found.rms, found.rms, found.closed, found.padding)


def turned(start: Prepared, flips: tuple[int, ...] = (), sign: float = 1.0, order: tuple[int, int, int] = (0, 1, 2), contrast: float = 1.0) -> Prepared:
    """The same scan with its axes in another order, then some of them flipped, and the sign of field and χ, and of the guide, changed."""
    move = lambda volume: volume.permute(order).flip(flips)
    kept = {name: move(getattr(start, name)) for name in ("mask", "weight")}
    signed = {name: sign * move(getattr(start, name)) for name in ("field", "ridge", "start", "explained", "harmonic")}
    return replace(start, geometry=start.geometry.turned(order, flips), guide=contrast * move(start.guide), **kept, **signed)
