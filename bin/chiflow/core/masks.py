"""Masks as programs write them: 0 and 1 or 255, labels, probabilities, a soft edge from resampling.

    inside = value > plateau / 2        plateau: median of the values above half of the largest; 1 for probabilities

A spline overshoots and a softmax is nowhere 0, so a voxel above 0 is not yet inside.
"""

from pathlib import Path

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import Image, load, load_like

PROBABLE = 1.5  # a largest value below this: probabilities, or a spline through 0 and 1
FEW = 10  # whole numbers up to here are labels of tissues
LABELS_BELOW = 0.8  # of the largest: where the plateau lies for labels; a soft edge ends at its plateau
# a soft edge does not step over its plateau by a quarter, a spline by a tenth; of a skull-stripped image much
# does
OVER, MOST_OVER = 1.25, 0.02


def inside_of(values: np.ndarray, path: Path) -> tuple[np.ndarray, list[str]]:
    """Voxels (X, Y, Z) bool that an image of a mask means, and what to record when it was not 0 and one other
    value.

    Raises ChiflowError naming the file when it is zero everywhere, or an image rather than a mask.
    """
    top = float(values.max(initial=0))
    if top <= 0:
        raise ChiflowError(f"{path}: the mask is zero everywhere")
    if np.isin(values, (0, values.dtype.type(top))).all():
        return values > 0, []
    plateau = 1.0 if top <= PROBABLE else float(np.median(values[values > top / 2]))
    if _are_labels(values, top, plateau):
        return values > 0, [f"{path.name}: labels up to {top:g}, all above 0 are taken as the mask"]
    if (values > OVER * plateau).sum() > MOST_OVER * (values > plateau / 2).sum():
        raise ChiflowError(f"{path}: its values are spread from {values.min():.3g} to {top:.3g}: an image and no mask, give one of 0 and 1")
    return values > plateau / 2, [f"{path.name}: a mask with a soft edge, from {values.min():.3g} to {top:.3g}: voxels above {plateau / 2:.3g} are taken"]


def _are_labels(values: np.ndarray, top: float, plateau: float) -> bool:
    """Whole numbers of which few are used, or of which few voxels have the largest: a soft edge passes
    through all of them, up to its plateau.
    """
    if values.min() < 0 or not np.array_equal(values, np.rint(values)):
        return False
    return top < FEW or np.unique(values).size < top / 2 or plateau < LABELS_BELOW * top


def load_mask(path: Path, reference: Image | None = None) -> np.ndarray:
    """A mask (X, Y, Z) bool. Raises ChiflowError when it is empty, no mask, or on another grid than the
    reference.
    """
    image = load(path) if reference is None else load_like(path, reference)
    return inside_of(image.data, Path(path))[0]
