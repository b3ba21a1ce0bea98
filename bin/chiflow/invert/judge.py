"""What every inversion is followed by: reference, residual and figures, the same for all methods.

    χ ← χ − mean over the mask;      residual = D χ − f
"""

from dataclasses import dataclass
from typing import Any

import torch

from chiflow.core.dipole import DipoleOperator
from chiflow.core.geometry import Geometry


@dataclass(frozen=True)
class Inversion:
    """chi and residual (X, Y, Z) in ppm, 0 outside the mask, with parameters and figures for the record."""

    chi: torch.Tensor
    residual: torch.Tensor
    parameters: dict[str, Any]
    figures: dict[str, float]


def judged(invert, field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor, sigma_ppm: float) -> Inversion:
    """Run a method of INVERSIONS, reference its map to the mean of the mask and compare what it predicts with the field."""
    chi = invert(field, mask, geometry, weight, sigma_ppm)
    residual = (DipoleOperator(geometry, device=field.device).forward(chi) - field) * mask
    reference = chi[mask].mean()
    chi = (chi - reference) * mask
    figures = {
        "WholeMaskMeanBeforeReferencePpm": reference, "WholeMaskSdPpm": chi[mask].std(), "FieldNoisePpm": sigma_ppm,
        "ResidualRmsPpm": residual[mask].square().mean().sqrt(), "ResidualToField": residual[mask].norm() / field[mask].norm().clamp(min=1e-20),
    }
    return Inversion(chi, residual, {"Reference": "mean of the whole mask"}, {k: float(f"{float(v):.6g}") for k, v in figures.items()})
