"""Whether a scan is like what the network was trained on.

Each figure of a scan is compared with the range that the card states (core/ranges.py). Before the inversion:

    SmallestVoxelMm, LargestVoxelMm, MeanVoxelMm (cube root of the volume), FieldRmsPpm (a field in Hz is a hundred times too large),
    MisfitShare = rms (f − D χ₀) / rms f of the map that the network corrects,
    ZeroShare = voxels of the mask with no field (a mask in the wrong place)

and after it:

    ResidualShare = rms (f − D χ) / rms f
"""

import torch

from chiflow.core.contracts import Check
from chiflow.core.ranges import OUTSIDE, in_ranges
from chiflow.invert.start import Start

MISPLACED = "much of the mask has no field: is it in the right place?"
LARGEST_ZERO_SHARE = 0.02


def figures_before(start: Start) -> dict[str, float]:
    """What is known of a scan before its inversion."""
    size, inside = start.geometry.voxel_size, start.mask > 0
    zero = float((start.volume("field")[inside] == 0).float().mean())
    return {"SmallestVoxelMm": min(size), "LargestVoxelMm": max(size), "MeanVoxelMm": (size[0] * size[1] * size[2]) ** (1 / 3),
            "FieldRmsPpm": start.rms_ppm, "MisfitShare": start.misfit_share, "ZeroShare": zero}


def figures_after(residual: torch.Tensor, start: Start) -> dict[str, float]:
    """What the inversion shows; residual (X, Y, Z) in units of the field's rms."""
    return {"ResidualShare": float(residual[start.mask > 0].square().mean().sqrt())}


def checks(figures: dict[str, float], ranges: dict[str, list[float]], least_misfit: float = 0.0) -> list[Check]:
    """The figures beside the ranges of the card; the network is not to be used when one fails. Figures without a range are compared with nothing.

    least_misfit : MisfitShare below which it fails as well.
    """
    judged = in_ranges(figures, ranges, f"{OUTSIDE}inversion")
    judged = [lifted(check, least_misfit) if check.name == "MisfitShare" else check for check in judged]
    limits = (None, LARGEST_ZERO_SHARE)
    return [*judged, Check(name="ZeroShare", value=figures["ZeroShare"], good=limits, fair=limits, advice=MISPLACED)]


def lifted(check: Check, least: float) -> Check:
    """A check whose fair range begins at `least` or above."""
    low, high = check.fair
    return Check(name=check.name, value=check.value, good=check.good, fair=(max(low, least), high), advice=check.advice)
