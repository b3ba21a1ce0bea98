"""The learned inversion of the total field: χ and the background from one pass of the network (core/total/), on voxels of any size.

    χ = χ_in,      background = D χ_out

Its uncertainty says how wrong χ was on held-out heads at the depth of a voxel below the mask's surface, in units of the local field's root mean square: the
card has the half-widths that held 90 % of the voxels.
"""

from pathlib import Path

import numpy as np
import torch

from chiflow.core.depth import depth_mm
from chiflow.core.geometry import Geometry
from chiflow.core.total.trained import WEIGHTS, by_network
from chiflow.invert.result import QUANTILE_OF_NORMAL, Susceptibility


def net_total(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
              magnitude: torch.Tensor | None = None, *, weights: Path = WEIGHTS, guard: bool = True) -> Susceptibility:
    """χ in ppm of the total field, the background that goes with it, and its uncertainty.

    field : (X, Y, Z) ppm, background not removed. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field. magnitude : (X, Y, Z) any
    unit, whose edges guide. weights : of the network. guard : leave the network out where the scan is unlike its training.
    Raises ChiflowError for weights that are refused.
    """
    found = by_network(field, mask, geometry, weight, sigma_ppm, magnitude, weights, guard)
    half = np.interp(depth_mm(mask, geometry).cpu().numpy(), *found.half_widths("OfChi"))
    uncertainty = torch.from_numpy(half.astype(np.float32)).to(field.device) * mask / QUANTILE_OF_NORMAL
    return Susceptibility(found.result.chi, found.parameters, found.result.background, uncertainty, found.warnings, found.checks)
