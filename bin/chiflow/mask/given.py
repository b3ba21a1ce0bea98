"""A brain mask of the user's: taken when it can be a brain.

    unlit = share of the mask without signal in the magnitude: near 0 for a brain, large for an inverted mask
    and for one that covers everything
"""

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.masks import inside_of
from chiflow.core.nifti import Image
from chiflow.core.signal_mask import signal_mask
from chiflow.mask.extract import Extraction

MOST_UNLIT = 0.3  # an inverted mask of a head in a usual field of view has half and more
# a mask of another scan, or one that reaches into air; veins and sinuses take a few hundredths
SOME_UNLIT = 0.1
WHOLE = 0.98  # share of the volume


def given_brain(mask: Image, magnitude: np.ndarray) -> Extraction:
    """The brain that a mask image (X, Y, Z) means, beside the magnitude (X, Y, Z[, E]). Raises ChiflowError
    naming the file for what cannot be a brain.
    """
    inside, notes = inside_of(mask.data, mask.path)
    unlit = float((inside & ~signal_mask(magnitude)).sum() / inside.sum())
    if inside.mean() > WHOLE and unlit == 0:
        return Extraction(inside, "given", [*notes, f"{mask.path.name}: the mask covers the whole image: is it the brain?"])
    if unlit > MOST_UNLIT:
        what = "it covers everything." if inside.mean() > WHOLE else "is it inverted, or of another scan?"
        raise ChiflowError(f"{mask.path}: {unlit:.0%} of the mask lie where there is no signal: {what} Give a mask of the brain")
    few = f"{mask.path.name}: {unlit:.0%} of the mask lie where there is no signal: is it of this scan?"
    return Extraction(inside, "given", notes + ([few] if unlit > SOME_UNLIT else []))
