"""A fitted field with its noise and quality.

    σ_f = σ_v / (2π √(Σ w TE²)),      σ_v² = σ² (ν + χ²_v / σ²) / (ν + E − 1),      χ²_v = Σ w |exp(iφ) − exp(2πi f TE)|²
    quality = 1 − χ²_v / Σ w,  not below 0

σ² = median of χ²_v / median of χ²(E − 1) is the noise of the scan. A voxel whose echoes disagree has more than its share; ν says how many echoes'
worth the scan counts against them. 1 − quality is the relative residual of the echo fit of the consensus (10.1002/mrm.30006), which asks for it
to be below 0.3. With a single echo nothing can disagree: neighbours take the place of echoes, χ²_v / Σ w = mean over the axes of
4 sin²(d/2), d = φ − mean of the two neighbours, and σ comes from the third differences of the phase.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from chiflow.core.reliability import noise_of_field
from chiflow.core.units import TWO_PI

PRIOR_ECHOES = 9.0  # ν: of 3 degrees of freedom chance alone moves σ_v by 10 %


@dataclass(frozen=True)
class FieldMap:
    """field_hz and noise_hz in Hz, quality 0…1, all (X, Y, Z) float32 and 0 outside the mask."""

    field_hz: np.ndarray
    noise_hz: np.ndarray
    quality: np.ndarray


def field_map(field_hz: np.ndarray, phase: np.ndarray, weights: np.ndarray, mask: np.ndarray, times: np.ndarray) -> FieldMap:
    """Field map of a field (N,) in Hz fitted to phase (N, E) in rad with weights (N, E) in the N voxels of the mask (X, Y, Z)."""
    power, total = weights @ times**2, np.maximum(weights.sum(axis=1), np.float32(1e-30))
    if len(times) > 1:
        misfit = phase - np.float32(TWO_PI) * field_hz[:, None] * times
        chi2 = np.einsum("ve,ve->v", weights, (2 * np.sin(misfit / 2)) ** 2)
        degrees = len(times) - 1
        sigma2 = float(np.median(chi2)) / chdtri(degrees, 0.5)
        variance = sigma2 * PRIOR_ECHOES / (PRIOR_ECHOES + degrees) + chi2 / np.float32(PRIOR_ECHOES + degrees)
        residual = chi2 / total
    else:
        residual = neighbour_residual(placed(phase[:, 0], mask), mask)[mask]
        variance = noise_of_field(placed(phase[:, 0], mask), mask) ** 2 * float(np.median(weights))
    noise = np.sqrt(variance / np.maximum(power, np.float32(1e-30))) / np.float32(TWO_PI)
    return FieldMap(*(placed(values, mask) for values in (field_hz, noise, np.maximum(0, 1 - residual))))


def neighbour_residual(phase: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over the axes of 4 sin²(d/2), d the phase (X, Y, Z) less the mean of its two neighbours; axes that leave the mask do not count."""
    total, axes = np.zeros((2, *mask.shape), np.float32)
    for axis in range(3):
        low, mid, high = (tuple(slice(a, b) if k == axis else slice(None) for k in range(3)) for a, b in ((None, -2), (1, -1), (2, None)))
        both = mask[low] & mask[mid] & mask[high]
        total[mid] += np.where(both, 4 * np.sin((phase[mid] - (phase[low] + phase[high]) / 2) / 2) ** 2, 0)
        axes[mid] += both
    return total / np.maximum(axes, 1)


def placed(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A volume (X, Y, Z) float32 with the values in the mask and 0 outside."""
    volume = np.zeros(mask.shape, dtype=np.float32)
    volume[mask] = values
    return volume
