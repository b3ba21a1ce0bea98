"""Where a magnitude image has edges: M_G of MEDI, small on the largest differences of the image, which χ may follow.

Reference: Liu 2012 (10.1016/j.neuroimage.2011.08.082).
"""

import torch

from chiflow.core.gradient import gradient

EDGE_WEIGHT = 0.1


def edge_weight(inside: torch.Tensor, magnitude: torch.Tensor | None, voxel_size: tuple[float, ...], edges: float,
                on_edges: float = EDGE_WEIGHT) -> torch.Tensor:
    """M_G (3, X, Y, Z), for the mask and the magnitude (X, Y, Z) in its rim, 0 outside the mask."""
    both = torch.stack([inside * torch.roll(inside, -1, axis) for axis in range(3)]) > 0
    smooth = both
    if magnitude is not None and both.any():
        slope = gradient(magnitude, voxel_size).abs()
        within = slope[both]
        smooth = both & (slope <= within.kthvalue(max(round(within.numel() * (1 - edges)), 1)).values)
    return torch.where(smooth, 1.0, on_edges)
