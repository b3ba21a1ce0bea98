"""Phase offset removal, MCPC-3D-S: what is left is proportional to the echo time.

    φ0 = φ1 − TE1 / (TE2 − TE1) · unwrap(φ2 − φ1),   smoothed as exp(iφ0);      φe ← γ(φe − φ0)

Reference: Eckstein 2018 (10.1002/mrm.26963).
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from chiflow.core.spanning_tree import pair, unwrap_volume, wrapped

SMOOTHING_MM = 6.0  # σ; the offset comes from the receive coils and varies over centimetres


def remove_offset(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float], voxel_size: tuple[float, ...],
                  *, smoothing_mm: float = SMOOTHING_MM) -> tuple[np.ndarray, np.ndarray]:
    """Phase without its offset, and the offset.

    phase, magnitude : (X, Y, Z, E) float32, rad and any unit, E ≥ 2. mask : (X, Y, Z) bool, where there is signal. echo_times_s : s.
    voxel_size : mm. smoothing_mm : σ of the Gaussian that smooths the offset. Returns (X, Y, Z, E) and (X, Y, Z), rad in [−π, π].
    """
    first, second = echo_times_s[:2]
    difference = wrapped(phase[..., 1] - phase[..., 0])
    evolution = unwrap_volume(difference, np.sqrt(magnitude[..., 0] * magnitude[..., 1]), mask)
    offset = phase[..., 0] - np.float32(first / (second - first)) * evolution
    offset = smoothed_phase(offset, np.where(mask, magnitude[..., 0] * magnitude[..., 1], 0), [smoothing_mm / v for v in voxel_size])
    return wrapped(phase - offset[..., None]), offset


def smoothed_phase(phase: np.ndarray, weight: np.ndarray, sigma_voxels: list[float], passes: int = 2) -> np.ndarray:
    """Angle of the weighted, Gaussian-smoothed exp(iφ); wraps do not matter to it.

    What one pass leaves is smoothed and added in the next, from a linear trend on: at the edge of the weights a plain mean would lean inwards.
    """
    smooth = linear_trend(phase, weight)
    for _ in range(passes):
        rest = phase - smooth
        real, imaginary = (gaussian_filter(weight * part(rest), sigma_voxels, mode="constant", truncate=3) for part in (np.cos, np.sin))
        smooth = smooth + np.arctan2(imaginary, real)
    return wrapped(smooth)


def linear_trend(phase: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The plane a·x (rad) with a_axis = angle of Σ w w' exp(i(φ' − φ)) over neighbours along that axis."""
    trend = np.zeros((1, 1, 1), dtype=np.float32)
    for axis, size in enumerate(phase.shape):
        i, j = pair(axis)
        step, both = phase[j] - phase[i], weight[i] * weight[j]
        slope = np.arctan2(float((both * np.sin(step)).sum()), float((both * np.cos(step)).sum()))
        trend = trend + np.float32(slope) * np.arange(size, dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    return trend
