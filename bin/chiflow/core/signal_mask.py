"""Where there is signal: the voxels whose phase can mean anything.

    first-echo magnitude > 4 σ_air  or  > 3 % of its 95th percentile, whichever is larger

A generous mask: phase quality is judged later, from the echo fit.
"""

import numpy as np

AIR_SNR = 4.0  # Rayleigh noise passes 4 σ in one voxel of 3000
LEAST_SHARE = 0.03


def air_noise(magnitude: np.ndarray) -> float:
    """σ of the noise of each channel from the darkest voxels: in air the magnitude is Rayleigh, its mode is σ. 0 when the air is zeroed."""
    positive = magnitude[magnitude > 0]
    if positive.size < magnitude.size * 0.5 or positive.size == 0:
        return 0.0
    low = np.percentile(positive[:: max(1, positive.size // 200_000)], 2)
    return float(low / np.sqrt(-2 * np.log(1 - 0.02)))


def signal_mask(magnitude: np.ndarray) -> np.ndarray:
    """Voxels (X, Y, Z) bool with signal in the first echo of a magnitude (X, Y, Z[, E]); everything where the magnitude is constant."""
    first = magnitude[..., 0] if magnitude.ndim == 4 else magnitude
    bright = float(np.percentile(first[first > 0], 95)) if (first > 0).any() else 0.0
    return first > max(LEAST_SHARE * bright, min(AIR_SNR * air_noise(first), 0.25 * bright))
