"""Whether the sign of the field may be turned: iron and veins, which lie everywhere, are more paramagnetic
than anything in a brain is diamagnetic.

    Skew = (p₉₉.₅ + p₀.₅ − 2 p₅₀) / (p₉₉.₅ − p₀.₅) of χ, without a single lesion
    lesion = the part that holds more than half of Σ (|χ − p₅₀| − T) over the voxels of one sign beyond T, the
    96th percentile of |χ − p₅₀|

One calcification of 7 ml is half a percent of a brain, and would be the whole lower end. Veins and nuclei are
many parts, none with half of the sum.
"""

import numpy as np
import torch
from scipy.ndimage import binary_dilation, label

from chiflow.core.contracts import Check

# heads of the benchmark: 0.0 to 0.6; the same with the sign turned: below −0.15 or not to be told
LEAST_SKEW = -0.15
SKEW_VOXELS = 20000  # below that a crop may hold anything
EXTREME = 96.0  # percentile; lesions of up to 30 ml are found with it, and none in heads without
TOUCHING = np.ones((3, 3, 3), bool)
TURNED = "χ is more negative than positive at its extremes: is the sign of the phase right?"


def sign_check(chi: torch.Tensor, mask: torch.Tensor) -> list[Check]:
    """The skew of χ (X, Y, Z) in a mask (X, Y, Z) bool beside its threshold, when there are voxels enough for
    one.
    """
    inside, values = mask.cpu().numpy(), chi.cpu().numpy()
    if np.count_nonzero(inside) < SKEW_VOXELS:
        return []
    ranked = np.sort(values[inside & ~lesions(values, inside)])
    low, middle, high = (float(ranked[int(share * (len(ranked) - 1))]) for share in (0.005, 0.5, 0.995))
    return [Check(name="Skew", value=(high + low - 2 * middle) / max(high - low, 1e-12), good=(LEAST_SKEW, None), fair=(None, None), advice=TURNED)]


def lesions(chi: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The one part (X, Y, Z) bool of each sign that outweighs all others, with its rim; nothing where there
    is none.
    """
    away = np.where(mask, chi - np.median(chi[mask]), 0)
    threshold = np.percentile(np.abs(away[mask]), EXTREME)
    found = np.zeros_like(mask)
    for sign in (-1, 1):
        beyond = np.maximum(sign * away - threshold, 0)
        parts, count = label(beyond > 0, TOUCHING)
        sums = np.bincount(parts.ravel(), weights=beyond.ravel(), minlength=count + 1)
        if count and sums[1:].max() > sums[1:].sum() / 2:
            found |= binary_dilation(parts == 1 + sums[1:].argmax(), TOUCHING)
    return found
