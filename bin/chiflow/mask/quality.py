"""From the surface of the brain to a mask that can be trusted.

    brain = inside of the surface, where magnitude (root mean square over the echoes) > 0.3 × its median inside, less its rim
    mask  = brain where quality > 0.7, opened by one voxel, largest component, holes filled

The outermost voxel is part brain, part bone or air: its phase fits well and its field is wrong, and background removal spreads the error.
Quality is 1 − the relative residual of the echo fit; the consensus threshold is 0.3 (10.1002/mrm.30006).
"""

import numpy as np
from scipy.ndimage import binary_erosion, binary_fill_holes, binary_opening, label

from chiflow.core.errors import ChiflowError
from chiflow.mask.surface import surface_mask

LEAST_QUALITY = 0.7
LEAST_MAGNITUDE = 0.3
LEAST_VOXELS = 64
LEAST_SHARE = 0.02  # of the volume; a surface that encloses less has collapsed: this is no head


def brain_mask(magnitude: np.ndarray, quality: np.ndarray, voxel_size: tuple[float, ...], *, least_quality: float = LEAST_QUALITY) -> np.ndarray:
    """Mask (X, Y, Z) bool from magnitude (X, Y, Z, E), quality (X, Y, Z) 0…1 and voxel size in mm.

    Raises ChiflowError when the magnitude is zero or nothing reliable is left.
    """
    strength = np.sqrt(np.mean(magnitude**2, axis=3))
    if not strength.any():
        raise ChiflowError("the magnitude is zero everywhere")
    inside = surface_mask(strength, voxel_size)
    if inside.mean() < LEAST_SHARE:
        inside = np.ones_like(inside)
    brain = binary_fill_holes(largest_component(inside & (strength > LEAST_MAGNITUDE * np.median(strength[inside]))))
    return reliable_part(binary_erosion(brain, border_value=1), quality, least_quality)


def reliable_part(mask: np.ndarray, quality: np.ndarray, least_quality: float = LEAST_QUALITY) -> np.ndarray:
    """The largest connected part of a mask with enough phase quality; bad voxels enclosed by it are kept.

    Raises ChiflowError when nothing is left.
    """
    good = mask & (quality > least_quality)
    opened = largest_component(binary_opening(good))
    part = binary_fill_holes(opened if opened.any() else largest_component(good))
    if part.sum() < LEAST_VOXELS:
        raise ChiflowError(f"only {int(part.sum())} voxels have a phase quality above {least_quality}: check the phase images, or give a mask")
    return part


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest face-connected component."""
    labels, count = label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()
