"""Informed: sources inside and outside the mask are fitted together, and told twice what guided TV finds inside (core/total/).

    local = f − D χ_out

A fit that knows only how large χ is takes away what of the local field looks harmonic near the rim. Told of χ, it keeps most of that, and of the mask's
surface it gives to the outside what lies there: partial bone and air. What is taken off is the field of sources outside and on the surface, whatever it was told.

References: Liu 2011 (10.1002/nbm.1670) and Liu 2017 (10.1002/mrm.26331) for the sources, Chen 2007 (10.1145/1276377.1276506) for what a guide explains.
"""

import torch

from chiflow.background.result import LocalField
from chiflow.core.geometry import Geometry
from chiflow.core.total.scale import total_fit, total_result


def informed(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
             magnitude: torch.Tensor | None = None) -> LocalField:
    """Local field in ppm in the whole mask; voxels of weight 0 get the field of the sources that their neighbours found.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) reliability. sigma_ppm : noise of the field. magnitude : (X, Y, Z) any unit, whose
    edges guide, or None.
    """
    local = total_result(total_fit(field, mask, geometry, weight, sigma_ppm, magnitude)).local
    return LocalField(local, mask, {"Guided": magnitude is not None, "LocalRmsPpm": float(local[mask].square().mean() ** 0.5)})
