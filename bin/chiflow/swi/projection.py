"""Minimum-intensity projection over a sliding slab, along the voxel axis nearest to B0 (head-foot): a vein is dark in the whole slab around it.

    mIP(z) = min SWI(z') in the mask, z' within the slab around z
"""

import numpy as np
from scipy.ndimage import minimum_filter1d

from chiflow.core.geometry import Geometry

SLAB_MM = 12.0


def minimum_projection(image: np.ndarray, mask: np.ndarray, geometry: Geometry, *, slab_mm: float = SLAB_MM) -> np.ndarray:
    """Projection (X, Y, Z) float32 of an image (X, Y, Z) inside a mask (X, Y, Z) bool, 0 outside.

    slab_mm : thickness in mm, rounded to whole slices, 1 at least.
    """
    axis = int(np.argmax(np.abs(geometry.b0)))
    slices = max(1, round(slab_mm / geometry.voxel_size[axis]))
    lowest = minimum_filter1d(np.where(mask, image, np.inf), slices, axis=axis, mode="constant", cval=np.inf)
    return np.where(mask, lowest, 0).astype(np.float32)
