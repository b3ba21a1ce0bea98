"""How much wider or narrower the uncertainty must be for its 90 % interval to hold 90 % of the voxels of samples that training never saw.

    c = 90 % quantile of |error| / u,      u of the ensemble (invert/net.py), every sample counting alike
"""

import torch

from chiflow.invert.net import ensemble
from chiflow.invert.unrolled import Unrolled
from chiflow.train.inversion import without_mean
from chiflow.train.shards import restored

QUANTILE = 0.9
VOXELS = 5000  # of each sample


@torch.no_grad()
def calibrated(network: Unrolled, contents: list[dict]) -> dict[str, float]:
    """Calibration c, and Coverage, Lowest and Highest: the share of voxels with |error| < c u, over all samples and in single ones."""
    ratios = []
    for content in contents:
        start, truth = restored(content, network.log_pull.device)
        inside = start.mask > 0
        chi, u, _ = ensemble(network, start)
        ratio = without_mean((chi - truth)[inside]).abs() / u[inside].clamp(min=1e-12)
        ratios.append(ratio[torch.linspace(0, len(ratio) - 1, min(VOXELS, len(ratio))).long()].cpu())
    ranked = torch.cat(ratios).sort().values
    factor = float(ranked[int(QUANTILE * (len(ranked) - 1))])
    shares = torch.tensor([float((ratio < factor).float().mean()) for ratio in ratios])
    return {"Calibration": factor, "Coverage": float(shares.mean()), "LowestCoverage": float(shares.min()), "HighestCoverage": float(shares.max())}
