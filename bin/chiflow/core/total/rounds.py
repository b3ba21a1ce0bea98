"""Where the network of the total field starts: the fit of sources, and guided TV of the local field that it leaves (start.py)."""

from dataclasses import replace

import torch

from chiflow.core.geometry import Geometry
from chiflow.core.total.start import TotalStart, informed, local_field, middle_of, started
from chiflow.core.variation.guided import OPEN, guided
from chiflow.core.variation.remainder import with_remainder

RULES = replace(OPEN, iterations=12)
ROUNDS = 2  # NRMSE of the local field at 2 mm, simulated head and held-out heads 18 and 20: 31.6, 38.4, 50.3; after one round 27.9, 31.8, 37.0; two 27.3, 30.8, 35.6


def total_start(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float,
                magnitude: torch.Tensor | None, first: TotalStart | None = None) -> TotalStart:
    """The start for a total field (ppm), a mask (bool), W and a magnitude in any unit, or None; tensors (X, Y, Z). first : χ₀, when it is there already."""
    start = first = first or started(field, mask, geometry, weight, sigma_ppm, magnitude)
    middle, _ = middle_of(geometry)
    known = mask.float() if weight is None else weight
    for _ in range(ROUNDS):
        local = local_field(start.sources, start)[middle] * start.rms_ppm
        weights, sigma, least = with_remainder(local, mask, geometry, known, sigma_ppm)
        start = informed(first, guided(local, mask, geometry, weights, sigma, magnitude, least, rules=RULES).chi)
    return start
