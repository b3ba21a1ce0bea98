"""The part of a volume that matters: a box around a mask, so that no FFT is spent on air."""

import numpy as np
from scipy.ndimage import find_objects

from chiflow.core.geometry import Geometry


def mask_box(mask: np.ndarray, geometry: Geometry, margin_mm: float = 0.0) -> tuple[tuple[slice, ...], Geometry]:
    """Slices of the box around a mask (X, Y, Z) bool with a margin in mm, inside the volume, and the geometry of that box."""
    tight = find_objects(mask.astype(np.uint8))[0]
    margins = [int(np.ceil(margin_mm / v)) for v in geometry.voxel_size]
    box = tuple(slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in zip(tight, margins, mask.shape))
    return box, Geometry(tuple(s.stop - s.start for s in box), geometry.voxel_size, geometry.b0)
