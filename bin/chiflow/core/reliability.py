"""How far each voxel of a field map can be trusted.

    W = min(σ̃ / σ, 2),   σ̃ the median of σ in the mask

so W is 1 in a typical voxel, falls with noise, and no voxel weighs more than twice a typical one.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

LARGEST_WEIGHT = 2.0
MAD_TO_SIGMA = 1.4826


def reliability(noise: np.ndarray | None, mask: np.ndarray) -> np.ndarray:
    """Weight (X, Y, Z) float32 from the noise of the field (any unit) in the mask; 1 in the mask when there is no noise map."""
    weight = mask.astype(np.float32)
    if noise is None or not (noise[mask] > 0).any():
        return weight
    typical = np.median(noise[mask][noise[mask] > 0])
    weight[mask] = np.minimum(typical / np.maximum(noise[mask], typical / LARGEST_WEIGHT), LARGEST_WEIGHT)
    return weight


def noise_of_field(field: np.ndarray, mask: np.ndarray) -> float:
    """σ of white noise in a field map (X, Y, Z), same unit, from third differences along each axis; the smallest axis counts.

    A third difference of white noise has the variance (1 + 9 + 9 + 1) σ²; structure adds to it, so this is an upper estimate.
    """
    estimates = []
    for axis in range(3):
        inside = sliding_window_view(mask, 4, axis=axis).all(axis=-1)
        steps = np.diff(field, n=3, axis=axis)[inside]
        if steps.size:
            estimates.append(MAD_TO_SIGMA * float(np.median(np.abs(steps))) / np.sqrt(20))
    return min(estimates, default=0.0)
