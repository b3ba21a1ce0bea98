"""Field map from unwrapped, offset-free phase.

    f = Σ w φ TE / (2π Σ w TE²),      w = magnitude²  (phase noise is σ / magnitude)
    σ_f = σ / (2π √(Σ w TE²)),        σ² = median over the voxels of Σ w (φ − 2πf TE)² / median of χ²(E − 1)
    quality = 1 − Σ w |exp(iφ) − exp(2πi f TE)|² / Σ w,  not below 0

1 − quality is the relative residual of the echo fit of the consensus (10.1002/mrm.30006), which asks for it to be below 0.3.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from chiflow.core.units import TWO_PI


@dataclass(frozen=True)
class FieldMap:
    """field_hz and noise_hz in Hz, quality 0…1, all (X, Y, Z) float32 and 0 outside the mask."""

    field_hz: np.ndarray
    noise_hz: np.ndarray
    quality: np.ndarray


def fit_field(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float]) -> FieldMap:
    """Weighted linear fit through the origin over the echoes.

    phase : (X, Y, Z, E) rad, unwrapped and free of offset. magnitude : (X, Y, Z, E). mask : (X, Y, Z) bool. echo_times_s : E ≥ 1 times in s.
    """
    times = np.asarray(echo_times_s, dtype=np.float32)
    values, weights = phase[mask], magnitude[mask] ** 2
    power = np.maximum(weights @ times**2, np.float32(1e-30))
    slope = (weights * values) @ times / power
    misfit = values - slope[:, None] * times
    chi2 = np.einsum("ve,ve->v", weights, misfit**2)
    degrees = len(times) - 1
    sigma2 = float(np.median(chi2)) / chdtri(degrees, 0.5) if degrees else 0.0
    residual = np.einsum("ve,ve->v", weights, (2 * np.sin(misfit / 2)) ** 2) / np.maximum(weights.sum(axis=1), np.float32(1e-30))
    return FieldMap(*(placed(v, mask) for v in (slope / TWO_PI, np.sqrt(sigma2 / power) / TWO_PI, np.maximum(0, 1 - residual))))


def placed(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A volume (X, Y, Z) float32 with the values in the mask and 0 outside."""
    volume = np.zeros(mask.shape, dtype=np.float32)
    volume[mask] = values
    return volume
