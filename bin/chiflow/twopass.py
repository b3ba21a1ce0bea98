"""Two-pass combination: reliable voxels keep the χ that was inverted without the unreliable ones.

    χ = χ_tight − m_tight + m_filled  in the tight mask,   χ_filled  in its holes

m are the means of both maps where both hold, so the mean over the whole mask and with it the reference are those of χ_filled. Holes are the voxels that phase quality left out and filling put back: veins, haemorrhages, and
nuclei whose signal decays early. In the first pass their field cannot streak into the rest, in the second they get a value.

Reference: Stewart 2022 (10.1002/mrm.29048).
"""

import numpy as np

from chiflow.core.errors import ChiflowError


def two_pass(filled: np.ndarray, mask: np.ndarray, tight: np.ndarray, tight_mask: np.ndarray) -> np.ndarray:
    """χ (X, Y, Z) in ppm from the maps of the filled and of the tight mask, all (X, Y, Z), 0 outside the filled mask.

    Raises ChiflowError when the masks do not overlap.
    """
    both = mask & tight_mask
    if not both.any():
        raise ChiflowError("the tight mask and the filled mask have no voxel in common: run without two passes")
    shift = filled[both].mean(dtype=np.float64) - tight[both].mean(dtype=np.float64)
    return np.where(mask, np.where(both, tight + np.float32(shift), filled), 0).astype(np.float32)
