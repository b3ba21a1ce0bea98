"""Approximate unwrapping: the phase whose Laplacian is that of the wrapped phase.

    ∇²u = Σ over the neighbours in the mask of γ(φ_j − φ_i),      u = C⁻¹ [ C ∇²u / Σ_a (2 cos(π k_a / N_a) − 2) ]

C is the cosine transform on the box of the mask, whose walls nothing crosses. Inside the mask u differs from the true phase by a
harmonic field, so a part of the background field is lost, and it is not the input plus multiples of 2π. The level of each echo is that
of its wrapped phase, with the turns that the echoes before it ask for.

Reference: Schofield & Zhu 2003 (10.1364/OL.28.001194); with γ(φ_j − φ_i) in place of their sin(φ_j − φ_i).
"""

import numpy as np
from scipy.fft import dctn, idctn
from scipy.ndimage import find_objects

from chiflow.core.spanning_tree import pair, wrapped
from chiflow.core.units import TWO_PI


def laplacian(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float]) -> np.ndarray:
    """Approximately unwrapped phase (X, Y, Z, E) float32 rad, 0 outside the mask, from offset-free phase (X, Y, Z, E) in rad.

    magnitude : (X, Y, Z, E), weight of the level. mask : (X, Y, Z) bool. echo_times_s : E ≥ 1 times in s.
    """
    box = find_objects(mask.T.astype(np.uint8))[0]  # .T all along: images lie in memory with x fastest
    inside, result, slope = np.ascontiguousarray(mask.T[box]), np.zeros(phase.T.shape, np.float32), 0.0
    for echo, time in enumerate(echo_times_s):
        given = np.ascontiguousarray(phase.T[echo][box])
        smooth = solved(given, inside)[inside]
        level = float(np.angle(np.sum(magnitude.T[echo][box][inside] * np.exp(1j * (given[inside] - smooth)))))
        middle = float(np.median(smooth)) + level
        level += TWO_PI * float(np.rint((slope * time - middle) / TWO_PI))
        slope = (float(np.median(smooth)) + level) / time
        result[echo][box][inside] = smooth + np.float32(level)
    return result.T


def solved(phase: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Solution u (X, Y, Z) of the Poisson equation for wrapped phase (X, Y, Z) in rad, of mean 0."""
    source = np.zeros(phase.shape, np.float32)
    for axis in range(3):
        i, j = pair(axis)
        step = np.where(mask[i] & mask[j], wrapped(phase[j] - phase[i]), np.float32(0))
        source[i] += step
        source[j] -= step
    spectrum = dctn(source, type=2, norm="ortho", overwrite_x=True)
    cosines = [2 * np.cos(np.pi * np.arange(n, dtype=np.float32) / n) - 2 for n in phase.shape]
    denominator = cosines[0][:, None, None] + cosines[1][None, :, None] + cosines[2][None, None, :]
    denominator[0, 0, 0] = 1
    spectrum /= denominator
    spectrum[0, 0, 0] = 0
    return idctn(spectrum, type=2, norm="ortho", overwrite_x=True)
