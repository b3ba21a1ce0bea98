"""Whether a scan is like what the network was trained on.

Each figure of a scan is compared with the range that the card states (core/ranges.py). Before the inversion:

    SmallestVoxelMm, LargestVoxelMm, MeanVoxelMm (cube root of the volume), FieldRmsPpm (a field in Hz is a hundred times too large),
    RelativeNoise = σ of the misfit / rms f, ToldNoise = σ as told / rms f, ZeroShare = voxels of the mask with no field (a mask in the wrong place)

and after it:

    ResidualToNoise = rms W (D χ − f) / σ
"""

import torch

from chiflow.core.contracts import Check
from chiflow.core.ranges import OUTSIDE, in_ranges
from chiflow.invert.prepared import Prepared

MISPLACED = "much of the mask has no field: is it in the right place?"
LARGEST_ZERO_SHARE = 0.02


def figures_before(start: Prepared, sigma_ppm: float) -> dict[str, float]:
    """What is known of a scan before its inversion."""
    size = start.geometry.voxel_size
    inside = start.mask > 0
    return {"SmallestVoxelMm": min(size), "LargestVoxelMm": max(size), "MeanVoxelMm": (size[0] * size[1] * size[2]) ** (1 / 3), "FieldRmsPpm": start.rms_ppm,
            "RelativeNoise": start.sigma, "ToldNoise": sigma_ppm / start.rms_ppm, "ZeroShare": float((start.field[inside] == 0).float().mean())}


def figures_after(residual: torch.Tensor, start: Prepared) -> dict[str, float]:
    """What the inversion shows; residual (X, Y, Z) in units of the field's rms."""
    misfit = float((start.weight * residual)[start.mask > 0].square().mean() ** 0.5)
    return {"ResidualToNoise": misfit / max(start.sigma, 1e-12)}


def checks(figures: dict[str, float], ranges: dict[str, list[float]]) -> list[Check]:
    """The figures beside the ranges of the card; the network is not to be used when one fails. Figures without a range are compared with nothing."""
    judged = in_ranges(figures, ranges, f"{OUTSIDE}inversion")
    zero = figures.get("ZeroShare")
    return judged if zero is None else [*judged, Check(name="ZeroShare", value=zero, good=(None, LARGEST_ZERO_SHARE), fair=(None, LARGEST_ZERO_SHARE), advice=MISPLACED)]
