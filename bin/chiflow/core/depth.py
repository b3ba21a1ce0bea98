"""How deep in a mask a voxel lies."""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from chiflow.core.geometry import Geometry


def depth_mm(mask: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Distance (X, Y, Z) in mm to the nearest voxel outside the mask (bool); what is outside the volume is outside the mask."""
    padded = np.pad(mask.cpu().numpy(), 1)
    return torch.from_numpy(distance_transform_edt(padded, sampling=geometry.voxel_size)[1:-1, 1:-1, 1:-1]).float().to(mask.device)
