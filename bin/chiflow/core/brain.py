"""What several stages say of a brain mask: which phase is good enough, and where its rim is."""

import numpy as np
from scipy.ndimage import binary_erosion

GOOD_QUALITY = 0.7  # 1 − the relative residual of the echo fit that the consensus allows, 0.3 (10.1002/mrm.30006)


def without_rim(brain: np.ndarray) -> np.ndarray:
    """The brain (X, Y, Z) bool without its outermost voxel; the edge of the field of view is no rim."""
    return binary_erosion(brain, border_value=1)
