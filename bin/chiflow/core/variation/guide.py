"""A magnitude image as a guide: over its local mean, less 1, over its standard deviation in the mask, within ± 3."""

import torch
from torch.nn.functional import avg_pool3d

from chiflow.core.geometry import Geometry

LOCAL_MM = 15.0
LIMIT = 3.0


def standardised(magnitude: torch.Tensor, mask: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """The guide (X, Y, Z) of a magnitude in any unit; 0 where the magnitude says nothing."""
    inside = mask.float()
    image = magnitude * inside
    for axis, size in enumerate(geometry.voxel_size):
        reach = [0, 0, 0]
        reach[axis] = min(max(round(LOCAL_MM / size), 1), (mask.shape[axis] - 1) // 2)
        mean = lambda v: avg_pool3d(v[None, None], [2 * r + 1 for r in reach], 1, reach)[0, 0]
        image, inside = mean(image), mean(inside)
    relative = torch.where(mask, magnitude * inside / image.clamp(min=1e-20) - 1, 0)
    spread = relative[mask].std().clamp(min=1e-6)
    return (relative / spread).clamp(-LIMIT, LIMIT) * (image.max() > 0)
