"""Whether a scan is like what the network was trained on.

Each figure of a scan is compared with the range that the card states. Outside the range the run warns; farther out than 1.5 times a limit the
network is not used. Before the inversion:

    SmallestVoxelMm, LargestVoxelMm, MeanVoxelMm (cube root of the volume), FieldRmsPpm (a field in Hz is a hundred times too large),
    RelativeNoise = σ of the misfit / rms f, ToldNoise = σ as told / rms f, ZeroShare = voxels of the mask with no field (a mask in the wrong place)

and after it:

    ResidualToNoise = rms W (D χ − f) / σ,      Skew = (p₉₉.₅ + p₀.₅ − 2 p₅₀) / (p₉₉.₅ − p₀.₅) of χ: negative when the sign of the field is turned, since
    iron and veins are more paramagnetic than anything in a brain is diamagnetic
"""

from dataclasses import dataclass

import torch

from chiflow.invert.prepared import Prepared

FARTHEST = 1.5
LEAST_SKEW = -0.15  # heads of the benchmark: 0.0 to 0.6; the same with the sign turned: below −0.15 or not to be told
SKEW_VOXELS = 20000  # below that a crop may hold anything
LARGEST_ZERO_SHARE = 0.02


@dataclass(frozen=True)
class Verdict:
    """warnings for the user, and reasons not to use the network at all."""

    warnings: list[str]
    reasons: list[str]


def figures_before(start: Prepared, sigma_ppm: float) -> dict[str, float]:
    """What is known of a scan before its inversion."""
    size = start.geometry.voxel_size
    inside = start.mask > 0
    return {"SmallestVoxelMm": min(size), "LargestVoxelMm": max(size), "MeanVoxelMm": (size[0] * size[1] * size[2]) ** (1 / 3), "FieldRmsPpm": start.rms_ppm,
            "RelativeNoise": start.sigma, "ToldNoise": sigma_ppm / start.rms_ppm, "ZeroShare": float((start.field[inside] == 0).float().mean())}


def figures_after(chi: torch.Tensor, residual: torch.Tensor, start: Prepared) -> dict[str, float]:
    """What the inversion shows; chi and residual (X, Y, Z) in units of the field's rms."""
    inside = start.mask > 0
    low, middle, high = quantiles(chi[inside], (0.005, 0.5, 0.995))
    misfit = float((start.weight * residual)[inside].square().mean() ** 0.5)
    return {"ResidualToNoise": misfit / max(start.sigma, 1e-12), "Skew": (high + low - 2 * middle) / max(high - low, 1e-12)}


def quantiles(values: torch.Tensor, shares: tuple[float, ...]) -> list[float]:
    """Quantiles of values (N,) of any number."""
    ranked = values.sort().values
    return [float(ranked[min(int(share * len(ranked)), len(ranked) - 1)]) for share in shares]


def verdict(figures: dict[str, float], ranges: dict[str, list[float]], voxels: int = 0) -> Verdict:
    """Compare the figures with the ranges of the card; figures without a range are compared with nothing."""
    warnings, reasons = [], []
    for name, value in figures.items():
        low, high = ranges.get(name, (-float("inf"), float("inf")))
        if low <= value <= high:
            continue
        far = value > FARTHEST * high or value < low / FARTHEST
        (reasons if far else warnings).append(f"{name} {value:.3g} is outside the range of the network's training, {low:.3g} to {high:.3g}")
    if figures.get("ZeroShare", 0) > LARGEST_ZERO_SHARE:
        reasons.append(f"{100 * figures['ZeroShare']:.0f} % of the mask has no field: is the mask in the right place?")
    if voxels >= SKEW_VOXELS and figures.get("Skew", 0) < LEAST_SKEW:
        warnings.append(f"χ is more negative than positive at its extremes (skew {figures['Skew']:.2f}): is the sign of the phase right?")
    return Verdict(warnings, reasons)
