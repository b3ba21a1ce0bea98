"""Total: the total field in one step, by a fit of sources that knows what guided TV finds inside (core/total.py), and FANSI of the local field that it leaves.

    local = f − D χ_out,      χ and the rest of the background from the local field as in fansi.py

The fit alone takes away what of the local field looks harmonic near the rim; told of χ inside, it keeps most of that. Fit and guided TV work on voxels of about 2.4 mm
and on those of the scan (total_scale.py).
"""

import torch

from chiflow.core.geometry import Geometry
from chiflow.invert.fansi import fansi
from chiflow.invert.remainder import with_remainder
from chiflow.invert.result import Susceptibility
from chiflow.invert.total_scale import total_result


def total(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
          magnitude: torch.Tensor | None = None) -> Susceptibility:
    """χ in ppm of the total field, and its background.

    field : (X, Y, Z) ppm, background not removed. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field. magnitude : (X, Y, Z) any
    unit, whose edges guide, or None.
    """
    fitted = total_result(None, field, mask, geometry, weight, sigma_ppm, magnitude)
    known = mask.float() if weight is None else weight
    weights, sigma, _ = with_remainder(fitted.local, mask, geometry, known, sigma_ppm)
    found = fansi(fitted.local, mask, geometry, weights, sigma, magnitude)
    local = float(fitted.local[mask].square().mean() ** 0.5)
    return Susceptibility(found.chi, found.parameters | {"LocalRmsPpm": local}, fitted.background + found.background)
