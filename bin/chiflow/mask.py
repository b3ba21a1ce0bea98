"""Brain mask: brain extraction AND phase quality.

    tissue = magnitude (root mean square over the echoes) above Otsu's threshold of its logarithm
    brain  = largest component of tissue eroded by r mm, grown back by r mm within tissue, closed, holes filled
    mask   = brain where quality > 0.7, largest component, holes filled

The skull gives little signal, so an erosion of a few millimetres cuts the bridges between brain and scalp. Quality is 1 − the relative
residual of the echo fit; the consensus threshold is 0.3 (10.1002/mrm.30006).
"""

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter, label

from chiflow.core.errors import ChiflowError

EROSION_MM = 5.0
LEAST_QUALITY = 0.7
LEAST_VOXELS = 64


def brain_mask(magnitude: np.ndarray, quality: np.ndarray, voxel_size: tuple[float, ...], *, erosion_mm: float = EROSION_MM,
               least_quality: float = LEAST_QUALITY) -> np.ndarray:
    """Mask (X, Y, Z) bool from magnitude (X, Y, Z, E), quality (X, Y, Z) 0…1 and voxel size in mm.

    Raises ChiflowError when nothing brain-like is left.
    """
    brain = extract_brain(np.sqrt(np.mean(magnitude**2, axis=3)), voxel_size, erosion_mm)
    return reliable_part(brain, quality, least_quality)


def reliable_part(mask: np.ndarray, quality: np.ndarray, least_quality: float = LEAST_QUALITY) -> np.ndarray:
    """The largest connected part of a mask with enough phase quality, single bad voxels inside it kept (holes filled)."""
    part = filled(largest_component(mask & (quality > least_quality))) & mask
    if part.sum() < LEAST_VOXELS:
        raise ChiflowError(f"only {int(part.sum())} voxels have a phase quality above {least_quality}: check the phase images, or give a mask")
    return part


def extract_brain(magnitude: np.ndarray, voxel_size: tuple[float, ...], erosion_mm: float) -> np.ndarray:
    """Largest body of tissue that survives an erosion, grown back."""
    tissue = filled(magnitude > otsu_threshold(gaussian_filter(magnitude, [0.7 / v for v in voxel_size])))
    if tissue.all():
        return tissue
    core = largest_component(distance_transform_edt(tissue, sampling=voxel_size) > erosion_mm)  # the edge of the volume erodes nothing
    if not core.any():
        if tissue.all():
        return tissue
    core = largest_component(tissue)
        return filled(core)
    grown = tissue & (distance_transform_edt(~core, sampling=voxel_size) <= erosion_mm + max(voxel_size))
    return filled(largest_component(grown))


def otsu_threshold(values: np.ndarray, bins: int = 256) -> float:
    """Otsu's threshold of the positive values' logarithm."""
    logs = np.log(values[values > 0])
    if logs.size == 0:
        raise ChiflowError("the magnitude is zero everywhere")
    counts, edges = np.histogram(logs, bins=bins, range=(np.percentile(logs, 0.5), logs.max() + 1e-6))
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centres) / np.maximum(below, 1)
    mean_above = (np.cumsum((counts * centres)[::-1]) / np.maximum(above[::-1], 1))[::-1]
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return float(np.exp(edges[1 + int(np.argmax(between))]))


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest face-connected component."""
    labels, count = label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def filled(mask: np.ndarray) -> np.ndarray:
    """The mask without enclosed holes."""
    return binary_fill_holes(mask)
