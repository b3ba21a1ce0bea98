"""From the brain to a mask that can be trusted.

    rim   = the outermost voxel of the brain: part brain, part bone or air; its phase fits well and its field is wrong, by up to 19 Hz
    tight = brain without rim where quality > 0.7, opened by one voxel, largest component
    mask  = tight with its holes filled, so that veins and nuclei with fast decay stay

Quality is 1 − the relative residual of the echo fit; the consensus threshold is 0.3 (10.1002/mrm.30006).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import binary_fill_holes, binary_opening, label

from chiflow.core.brain import GOOD_QUALITY

LEAST_VOXELS = 64


@dataclass(frozen=True)
class Reliable:
    """What can be trusted of a brain (X, Y, Z): mask with holes filled, tight without, tight's share of the brain 0 … 1, what there is to be said."""

    mask: np.ndarray
    tight: np.ndarray
    coverage: float
    warnings: list[str] = field(default_factory=list)


def reliable_part(brain: np.ndarray, quality: np.ndarray, least_quality: float = GOOD_QUALITY) -> Reliable:
    """The largest connected part of a brain (X, Y, Z) bool with enough phase quality (X, Y, Z) 0 … 1.

    Bad voxels that it encloses are kept in the mask, holes of the brain itself are not. Little or nothing left is a warning: the gate judges it.
    """
    good = brain & (quality > least_quality)
    opened = largest_component(binary_opening(good))
    tight = opened if opened.any() else largest_component(good)
    few = f"only {int(tight.sum())} voxels have a phase quality above {least_quality}: check the phase images, or give a mask"
    return Reliable(binary_fill_holes(tight) & brain, tight, float(tight.sum() / max(brain.sum(), 1)), [few] if tight.sum() < LEAST_VOXELS else [])


def figures(reliable: Reliable, brain: np.ndarray, affine: np.ndarray) -> dict[str, float]:
    """What the record says: voxels and volume (ml) of the mask, volume of the brain, share of the brain without rim that has enough quality."""
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    volumes = {"VolumeMl": round(float(reliable.mask.sum()) * voxel_ml, 1), "BrainVolumeMl": round(float(brain.sum()) * voxel_ml, 1)}
    return {"Voxels": int(reliable.mask.sum()), **volumes, "Coverage": round(reliable.coverage, 4)}


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest face-connected component."""
    labels, count = label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()
