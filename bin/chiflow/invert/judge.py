"""What every inversion is followed by: reference, residual and figures, the same for all methods.

    residual = D χ (+ the background that the method found) − f;      χ ← χ − mean over the reference region
    Unexplained = √(rms² W residual − σ²) / rms W f: the share of the field that is neither χ's nor noise
"""

from dataclasses import dataclass
from typing import Any

import torch

from chiflow.core.contracts import Check
from chiflow.core.dipole import DipoleOperator
from chiflow.core.geometry import Geometry
from chiflow.invert.reference import Region
from chiflow.invert.result import Susceptibility
from chiflow.invert.sign import sign_check

MOST_UNEXPLAINED = 0.7  # half of the field's energy; heads from raw phase have 0.1 to 0.3, with TKD on voxels of 5 mm 0.5
UNLIKE_DIPOLES = "the local field is not one of sources in the mask: look at the residual, then at unwrapping and background"


@dataclass(frozen=True)
class Inversion:
    """chi and residual (X, Y, Z) in ppm, ratio = residual / noise of the voxel, 0 outside the mask; start (X, Y, Z) in ppm, the iterative map that a
    network began from, or None; parameters, figures and checks for the record."""

    chi: torch.Tensor
    residual: torch.Tensor
    ratio: torch.Tensor
    parameters: dict[str, Any]
    figures: dict[str, float]
    checks: list[Check]
    start: torch.Tensor | None


def judged(found: Susceptibility, field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor, sigma_ppm: float,
           region: Region | None = None) -> Inversion:
    """Reference the map of a method of INVERSIONS to the mean of a region (default: the mask), and compare what it predicts with the field."""
    chi, region = found.chi, Region(mask, "whole mask") if region is None else region
    explained = DipoleOperator(geometry, device=field.device).forward(chi)
    residual = (explained - field + (0 if found.background is None else found.background)) * mask
    chi = (chi - chi[mask].mean()) * mask
    ratio = residual * weight / max(sigma_ppm, 1e-12)
    reference, spread = chi[region.voxels].mean(), chi[region.voxels].std(correction=0)
    figures = {
        "ReferenceMeanPpm": reference, "ReferenceSdPpm": spread, "ReferenceVoxels": region.voxels.sum(), "WholeMaskSdPpm": chi[mask].std(),
        "FieldNoisePpm": sigma_ppm, "ResidualRmsPpm": residual[mask].square().mean().sqrt(), "ResidualToNoise": ratio[mask].square().mean().sqrt(),
        "ResidualToField": residual[mask].norm() / field[mask].norm().clamp(min=1e-20),
    }
    parameters = found.parameters | {"Reference": f"mean of the {region.name}"}
    unexplained = (figures["ResidualToNoise"] ** 2 - 1).clamp(min=0).sqrt() * sigma_ppm / (weight * field)[mask].square().mean().sqrt().clamp(min=1e-20)
    checks = [Check(name="Unexplained", value=float(unexplained), good=(None, MOST_UNEXPLAINED), fair=(None, None), advice=UNLIKE_DIPOLES)]
    rounded = {k: float(f"{float(v):.6g}") for k, v in figures.items()}
    start = None if found.start is None else (found.start - found.start[region.voxels].mean()) * mask
    return Inversion((chi - reference) * mask, residual, ratio, parameters, rounded, [*found.checks, *checks, *sign_check(chi, mask)], start)

