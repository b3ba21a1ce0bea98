"""The range of every figure of a scan over the training samples: outside it nobody has seen what the network does.

A figure is computed here by the function that computes it for a scan (invert/guard.py). Voxel sizes: least and largest. The rest: percentiles 1 and 99.
"""

import numpy as np
import torch

from chiflow.core.dipole import DipoleOperator
from chiflow.core.progress import progress
from chiflow.invert.corrector import Corrector
from chiflow.invert.guard import figures_after, figures_before
from chiflow.train.shards import restored

RESIDUALS = 60  # samples, spread evenly, that are inverted for it
EXTREMES = ("SmallestVoxelMm", "LargestVoxelMm", "MeanVoxelMm", "VoxelAnisotropy")
NOT_A_RANGE = ("ZeroShare",)  # has a bound of its own
UNIT_ONLY, WIDER = ("FieldRmsPpm",), 5.0  # the network sees no unit, so this one is for fields in a wrong one


def ranges(shards: list[tuple[int, list[dict]]], network: Corrector) -> dict[str, list[float]]:
    """Lower and upper bound of each figure. shards : number and samples of each."""
    contents = [content for _, samples in shards for content in samples]
    every = max(len(contents) // RESIDUALS, 1)
    rows = [figures(content, None if place % every else network) for place, content in enumerate(progress(contents, "ranges"))]
    names = [name for name in rows[0] if name not in NOT_A_RANGE]
    return {name: bounds(name, [row[name] for row in rows if name in row]) for name in names}


def bounds(name: str, values: list[float]) -> list[float]:
    """The two ends of a range."""
    low, high = np.percentile(values, (0, 100) if name in EXTREMES else (1, 99))
    wider = WIDER if name in UNIT_ONLY else 1.0
    return [float(f"{value:.4g}") for value in (low / wider, high * wider)]


@torch.no_grad()
def figures(content: dict, network: Corrector | None) -> dict[str, float]:
    """The figures of one sample, with those after an inversion when there is a network."""
    start, *_ = restored(content, "cpu" if network is None else next(network.parameters()).device)
    size, inside = start.geometry.voxel_size, start.mask > 0
    found = figures_before(start)
    found |= {"VoxelAnisotropy": max(size) / min(size), "MaskCoverage": float(inside.float().mean())}
    if network is not None:
        predicted = DipoleOperator(start.geometry, device=start.mask.device).forward(network(start).chi)
        found |= figures_after(start.volume("field") - predicted, start)
    return found
