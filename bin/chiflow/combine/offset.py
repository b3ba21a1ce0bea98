"""Phase offset of the receive coils, MCPC-3D-S.

    φ0 = φ1 − TE1 / (TE2 − TE1) · unwrap(φ2 − φ1),   smoothed as exp(iφ0)

for every coil, with the difference of the echoes taken over all coils together: angle Σ_c S2 S1*.

Reference: Eckstein 2018 (10.1002/mrm.26963).
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from chiflow.core.spanning_tree import pair, unwrap_volume, wrapped

SMOOTHING_MM = 6.0  # σ; the offset comes from the receive coils and varies over centimetres
PASSES = 8  # measured on a head: the error of the offset falls from 0.0060 rad (2 passes) to its noise
LEAST_COSINE = 0.5  # what lies further than 60° from the smooth offset is a wrong turn of 2π somewhere, or no tissue


def coil_offset(first: np.ndarray, evolution: np.ndarray, ratio: float, weight: np.ndarray, sigma_voxels: list[float]) -> np.ndarray:
    """Smooth offset φ0 (X, Y, Z) in rad of a coil.

    first : (X, Y, Z) complex, its first echo. evolution : unwrapped phase from echo 1 to echo 2, rad. ratio : TE1 / (TE2 − TE1).
    weight : (X, Y, Z), 0 where there is no signal. sigma_voxels : of the smoothing.
    """
    return smoothed_phase(np.angle(first) - np.float32(ratio) * evolution, weight, sigma_voxels)


def evolution(product: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Unwrapped phase (X, Y, Z) in rad from one echo to the next, of Σ_c S2 S1* (X, Y, Z) complex."""
    return unwrap_volume(np.angle(product).astype(np.float32), np.sqrt(np.abs(product)), mask)


def smoothed_phase(phase: np.ndarray, weight: np.ndarray, sigma_voxels: list[float], passes: int = PASSES) -> np.ndarray:
    """Angle of the weighted, Gaussian-smoothed exp(iφ), (X, Y, Z) rad; wraps do not matter to it.

    What one pass leaves is smoothed and added in the next, from a linear trend on: at the edge of the weights a plain mean would lean inwards.
    """
    smooth = linear_trend(phase, weight)
    for number in range(passes):
        rest = phase - smooth
        trusted = weight if number == 0 else np.where(np.cos(rest) > LEAST_COSINE, weight, 0)
        real, imaginary = (gaussian_filter(trusted * part(rest), sigma_voxels, mode="constant", truncate=3) for part in (np.cos, np.sin))
        smooth = smooth + np.arctan2(imaginary, real)
    return smooth


def linear_trend(phase: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The plane a·x (rad, broadcast) of the slopes of a phase (X, Y, Z)."""
    trend = np.zeros((1, 1, 1), dtype=np.float32)
    for axis, slope in enumerate(slopes(phase, weight)):
        trend = trend + np.float32(slope) * ramp(phase.shape, axis)
    return trend


def slopes(phase: np.ndarray, weight: np.ndarray) -> list[float]:
    """rad per voxel along each axis: the angle of Σ w w' exp(i(φ' − φ)) over neighbours."""
    result = []
    for axis in range(3):
        i, j = pair(axis)
        step, both = wrapped(phase[j] - phase[i]), weight[i] * weight[j]
        result.append(float(np.arctan2(float((both * np.sin(step)).sum()), float((both * np.cos(step)).sum()))))
    return result


def ramp(shape: tuple[int, ...], axis: int) -> np.ndarray:
    """0, 1, 2 … along an axis, shaped to broadcast."""
    return np.arange(shape[axis], dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
