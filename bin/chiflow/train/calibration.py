"""How much wider or narrower the uncertainty must be for its 90 % interval to hold 90 % of the voxels of samples that training never saw.

    c = 90 % quantile of |error| / u,      u of the ensemble (invert/net.py), every sample counting alike

One c for exact fields and one for fields with the rest of a background: there the errors are smooth, and larger than they look.
"""

import torch

from chiflow.invert.net import KINDS, ensemble
from chiflow.invert.unrolled import Unrolled
from chiflow.train.inversion import without_mean
from chiflow.train.shards import restored

QUANTILE = 0.9
VOXELS = 5000  # of each sample


@torch.no_grad()
def calibrated(network: Unrolled, contents: list[dict]) -> dict[str, dict[str, float]]:
    """Calibration c of each kind of field, 1 for a kind without samples, and of |error| < c u the mean, least and largest share of voxels over samples."""
    ratios = {kind: [] for kind in KINDS.values()}
    for content in contents:
        start, truth = restored(content, network.log_pull.device)
        inside = start.mask > 0
        chi, u, _ = ensemble(network, start)
        ratio = without_mean((chi - truth)[inside]).abs() / u[inside].clamp(min=1e-12)
        ratios[KINDS[start.closed]].append(ratio[torch.linspace(0, len(ratio) - 1, min(VOXELS, len(ratio))).long()].cpu())
    factors = {kind: float(torch.cat(found).quantile(QUANTILE)) if found else 1.0 for kind, found in ratios.items()}
    shares = {kind: [float((ratio < factors[kind]).float().mean()) for ratio in found] for kind, found in ratios.items() if found}
    coverage = {kind: {"Samples": len(found), "Mean": sum(found) / len(found), "Lowest": min(found), "Highest": max(found)} for kind, found in shares.items()}
    return {"Calibration": factors, "Coverage": coverage}
