"""What every inversion is followed by: reference, residual and figures, the same for all methods.

    residual = D χ − f;      χ ← χ − mean over the reference region
"""

from dataclasses import dataclass
from typing import Any

import torch

from chiflow.core.dipole import DipoleOperator
from chiflow.core.geometry import Geometry
from chiflow.invert.result import Susceptibility


@dataclass(frozen=True)
class Inversion:
    """chi and residual (X, Y, Z) in ppm, ratio = residual / noise of the voxel, 0 outside the mask, with parameters and figures for the record."""

    chi: torch.Tensor
    residual: torch.Tensor
    ratio: torch.Tensor
    parameters: dict[str, Any]
    figures: dict[str, float]


def judged(found: Susceptibility, field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor, sigma_ppm: float,
           region: torch.Tensor | None = None, region_name: str = "whole mask") -> Inversion:
    """Reference the map of a method of INVERSIONS to the mean of a region (default: the mask), and compare what it predicts with the field."""
    chi, region = found.chi, mask if region is None else region
    residual = (DipoleOperator(geometry, device=field.device).forward(chi) - field) * mask
    chi = (chi - chi[mask].mean()) * mask
    ratio = residual * weight / max(sigma_ppm, 1e-12)
    reference, spread = chi[region].mean(), chi[region].std(correction=0)
    figures = {
        "ReferenceMeanPpm": reference, "ReferenceSdPpm": spread, "ReferenceVoxels": region.sum(), "WholeMaskSdPpm": chi[mask].std(),
        "FieldNoisePpm": sigma_ppm, "ResidualRmsPpm": residual[mask].square().mean().sqrt(), "ResidualToNoise": ratio[mask].square().mean().sqrt(),
        "ResidualToField": residual[mask].norm() / field[mask].norm().clamp(min=1e-20),
    }
    parameters = found.parameters | {"Reference": f"mean of the {region_name}"}
    return Inversion((chi - reference) * mask, residual, ratio, parameters, {k: float(f"{float(v):.6g}") for k, v in figures.items()})
