"""How much wider or narrower the uncertainty must be for its 90 % interval to hold 90 % of the voxels of samples that no training saw and no choice was made on.

    c = 90 % quantile of |error| / u,      u of the ensemble (invert/net.py), every sample counting alike
"""

import torch

from chiflow.invert.corrector import Corrector
from chiflow.invert.net import ensemble
from chiflow.train.shards import restored

QUANTILE = 0.9
VOXELS = 5000  # of each sample


@torch.no_grad()
def calibrated(network: Corrector, contents: list[dict]) -> dict[str, float | dict[str, float]]:
    """Calibration c, and of |error| < c u the mean, least and largest share of voxels over samples."""
    ratios = []
    for content in contents:
        start, truth, _ = restored(content, next(network.parameters()).device)
        inside = start.mask > 0
        chi, u = ensemble(network, start)
        error = (chi - truth)[inside]
        ratio = (error - error.mean()).abs() / u[inside].clamp(min=1e-12)
        ratios.append(ratio[torch.linspace(0, len(ratio) - 1, min(VOXELS, len(ratio))).long()].cpu())
    factor = float(torch.cat(ratios).quantile(QUANTILE))
    shares = [float((ratio < factor).float().mean()) for ratio in ratios]
    coverage = {"Samples": len(shares), "Mean": sum(shares) / len(shares), "Lowest": min(shares), "Highest": max(shares)}
    return {"Calibration": factor, "Coverage": coverage}
