"""Where the network of the total field starts: the fit of sources, and guided TV of the local field that it leaves (core/total.py)."""

from dataclasses import replace

import torch

from chiflow.core.geometry import Geometry
from chiflow.core.total import TotalStart, informed, local_field, middle_of, started
from chiflow.invert.gtv import OPEN, guided
from chiflow.invert.remainder import with_remainder

RULES = replace(OPEN, iterations=12)


def total_start(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float,
                magnitude: torch.Tensor | None) -> TotalStart:
    """The start for a total field (ppm), a mask (bool), W and a magnitude in any unit, or None; tensors (X, Y, Z)."""
    start = started(field, mask, geometry, weight, sigma_ppm, magnitude)
    middle, _ = middle_of(geometry)
    local = local_field(start.sources, start)[middle] * start.rms_ppm
    weights, sigma, least = with_remainder(local, mask, geometry, mask.float() if weight is None else weight, sigma_ppm)
    return informed(start, guided(local, mask, geometry, weights, sigma, magnitude, least, rules=RULES).chi)
