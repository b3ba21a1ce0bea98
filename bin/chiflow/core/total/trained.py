"""The trained network of the total field, and whether a scan is like its training.

Where it is not the network is left out, and what it starts from is returned: the fit of sources informed by guided TV.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from chiflow.core.contracts import Check, worst
from chiflow.core.geometry import Geometry
from chiflow.core.ranges import OUTSIDE, in_ranges, lowered, reasons
from chiflow.core.total.net import TotalNet
from chiflow.core.total.scale import TotalResult, total_fit, total_result
from chiflow.core.total.start import TotalStart, outside_of
from chiflow.core.weights import load_network

WEIGHTS = Path(__file__).resolve().parents[4] / "weights" / "total.safetensors"


@dataclass(frozen=True)
class Found:
    """What the network found, or the fit without it, with what the record says; rms_ppm: of the local field, the unit of the network; card: of the weights."""

    result: TotalResult
    parameters: dict[str, Any]
    checks: list[Check]
    warnings: list[str]
    rms_ppm: float
    card: dict

    def half_widths(self, of: str) -> tuple[list[float], list[float]]:
        """Depths in mm below the mask's surface, and what 90 % of the errors on held-out heads stayed below there, in ppm; of : OfChi or OfLocal."""
        known = self.card["HalfWidths"]
        return known["DepthMm"], [width * self.rms_ppm for width in known[of]]


def by_network(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float, magnitude: torch.Tensor | None,
               weights: Path, guard: bool) -> Found:
    """χ, local field and background of a total field; arguments as those of start.py's `started`.

    weights : of the network. guard : leave the network out where the scan is unlike its training. Raises ChiflowError for weights that are refused.
    """
    network, card = loaded(weights, field.device)
    fit = total_fit(field, mask, geometry, weight, sigma_ppm, magnitude)
    judged = in_ranges(figures(fit.coarse), card["Ranges"], f"{OUTSIDE}background removal") if guard else []
    parameters = {"Weights": weights.name, "Sha256": card["Sha256"], "Guided": magnitude is not None}
    if worst(judged) != "fail":
        return Found(total_result(fit, network), parameters, judged, [], fit.coarse.rms_ppm, card)
    message = f"the network is not used, the fit that it starts from stands: {reasons(judged)}"
    return Found(total_result(fit), parameters | {"Fallback": "informed"}, lowered(judged), [message], fit.coarse.rms_ppm, card)


def figures(start: TotalStart) -> dict[str, float]:
    """What tells a scan from others: the mean voxel (cube root of the volume) that the network sees, local field and its noise, background over local field."""
    size, inside = start.geometry.voxel_size, start.mask > 0
    background = start.fit.forward(outside_of(start.sources, start))[inside]
    return {"MeanVoxelMm": (size[0] * size[1] * size[2]) ** (1 / 3), "LocalRmsPpm": start.rms_ppm, "RelativeNoise": start.sigma,
            "BackgroundToLocal": float(background.std())}


def loaded(weights: Path, device: torch.device) -> tuple[TotalNet, dict]:
    """The network of a weights file and its card."""
    return load_network(TotalNet, weights, device)
