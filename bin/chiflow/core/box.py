"""The part of a volume that matters: a box around a mask, so that no FFT is spent on air."""

import numpy as np
from scipy.ndimage import find_objects

from chiflow.core.geometry import Geometry


def mask_box(mask: np.ndarray, geometry: Geometry) -> tuple[tuple[slice, ...], Geometry]:
    """Slices of the box around a mask (X, Y, Z) bool and the geometry of that box."""
    box = find_objects(mask.astype(np.uint8))[0]
    return box, Geometry(tuple(s.stop - s.start for s in box), geometry.voxel_size, geometry.b0)
