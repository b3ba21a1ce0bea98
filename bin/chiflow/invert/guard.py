"""Whether a scan is like what the network was trained on.

Each figure of a scan is compared with the range that the card states. Outside the range the run warns; farther out than 1.5 times a limit the
network is not used. Before the inversion:

    SmallestVoxelMm, LargestVoxelMm, MeanVoxelMm (cube root of the volume), FieldRmsPpm (a field in Hz is a hundred times too large),
    RelativeNoise = σ of the misfit / rms f, ToldNoise = σ as told / rms f, ZeroShare = voxels of the mask with no field (a mask in the wrong place)

and after it:

    ResidualToNoise = rms W (D χ − f) / σ
"""

import torch

from chiflow.core.contracts import Check
from chiflow.invert.prepared import Prepared

FARTHEST = 1.5
UNLIKE = "outside the range of the network's training: compare with another inversion"
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
    limits = {name: (*ranges[name], FARTHEST, UNLIKE) for name in figures if name in ranges} | {"ZeroShare": (None, LARGEST_ZERO_SHARE, 1.0, MISPLACED)}
    return [Check(name=name, value=figures[name], good=(low, high), fair=(low and low / far, high * far), advice=advice)
            for name, (low, high, far, advice) in limits.items() if name in figures]


def lowered(judged: list[Check]) -> list[Check]:
    """The same for the map of another method: what failed is why the network is not used, and no fault of that map."""
    return [check.model_copy(update={"verdict": "warn"} if check.verdict == "fail" else {}) for check in judged]
