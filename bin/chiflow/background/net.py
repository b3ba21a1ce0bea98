"""Learned background removal: the network of the total field (core/total/), of whose sources those outside the mask are taken off.

    local = f − D χ_out

differs from the total field by the field of sources outside and on the surface of the mask, whatever the network says. HalfWidthsPpm in its parameters is what
90 % of the errors on held-out heads stayed below, at each DepthMm below the mask's surface, in units of the local field's root mean square, here in ppm.
"""

from pathlib import Path

import torch

from chiflow.background.result import LocalField
from chiflow.core.geometry import Geometry
from chiflow.core.total.trained import WEIGHTS, by_network


def net(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
        magnitude: torch.Tensor | None = None, *, weights: Path = WEIGHTS, guard: bool = True) -> LocalField:
    """Local field in ppm in the whole mask; voxels of weight 0 get the field of the sources that their neighbours found.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability. sigma_ppm : noise of the field. magnitude : (X, Y, Z) any unit, whose
    edges guide, or None. weights : of the network. guard : leave it out (`informed`) where the scan is unlike its training.
    Raises ChiflowError for weights that are refused.
    """
    found = by_network(field, mask, geometry, weight, sigma_ppm, magnitude, weights, guard)
    depths, widths = found.half_widths("OfLocal")
    doubt = {"DepthMm": depths, "HalfWidthsPpm": [float(f"{width:.3g}") for width in widths]}
    return LocalField(found.result.local, mask, found.parameters | doubt, found.checks, found.warnings)
