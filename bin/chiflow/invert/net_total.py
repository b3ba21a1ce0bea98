"""The learned inversion of the total field: χ and the background in one step (core/total/), on voxels of any size (core/total/scale.py).

    χ = χ_in,      background = D χ_out,      local = f − D χ_out

Where the scan is unlike the training the network is left out, and what it starts from is returned: the fit of sources informed by guided TV.
"""

from pathlib import Path

import torch

from chiflow.core.contracts import told, worst
from chiflow.core.geometry import Geometry
from chiflow.core.total.net import TotalNet
from chiflow.core.total.start import TotalStart, outside_of
from chiflow.core.weights import load_network
from chiflow.invert.guard import checks
from chiflow.invert.result import Susceptibility
from chiflow.core.total.scale import total_result

WEIGHTS = Path(__file__).resolve().parents[3] / "weights" / "total.safetensors"


def net_total(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
              magnitude: torch.Tensor | None = None, *, weights: Path = WEIGHTS, guard: bool = True) -> Susceptibility:
    """χ in ppm of the total field, and the background that goes with it.

    field : (X, Y, Z) ppm, background not removed. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field. magnitude : (X, Y, Z) any
    unit, whose edges guide. weights : of the network. guard : leave the network out where the scan is unlike its training.
    Raises ChiflowError for weights that are refused.
    """
    network, card = loaded(weights, field.device)
    found = total_result(network, field, mask, geometry, weight, sigma_ppm, magnitude)
    judged = checks(figures(found.start), card["Ranges"]) if guard else []
    parameters = {"Weights": weights.name, "Sha256": card["Sha256"], "Guided": magnitude is not None}
    if worst(judged) != "fail":
        return Susceptibility(found.chi, parameters, found.background, checks=judged)
    found = total_result(None, field, mask, geometry, weight, sigma_ppm, magnitude)
    message = f"the network is not used: {'; '.join(told(judged))}"
    return Susceptibility(found.chi, parameters | {"Fallback": "total"}, found.background, None, [message], lowered(judged))


def figures(start: TotalStart) -> dict[str, float]:
    """What tells a scan from others: the mean voxel (cube root of the volume) that the network sees, local field and its noise, background over local field."""
    size, inside = start.geometry.voxel_size, start.mask > 0
    background = start.fit.forward(outside_of(start.sources, start))[inside]
    return {"MeanVoxelMm": (size[0] * size[1] * size[2]) ** (1 / 3), "LocalRmsPpm": start.rms_ppm, "RelativeNoise": start.sigma,
            "BackgroundToLocal": float(background.std())}


def loaded(weights: Path, device: torch.device) -> tuple[TotalNet, dict]:
    """The network of a weights file and its card."""
    return load_network(TotalNet, weights, device)
