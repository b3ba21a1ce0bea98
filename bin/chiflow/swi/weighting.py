"""Susceptibility-weighted image.

    M̄ = √(Σ TE M² / Σ TE)                         combined magnitude
    φ = TE* · Σ M² TE φₑ / Σ M² TE²                phase of all echoes at TE* = Σ m² TE³ / Σ m² TE², m the median of each echo
    φ' = φ − smooth(φ)                             high pass, weighted by Σ M² TE²
    SWI = M̄ · clip(1 − φ'/π, 0, 1)ⁿ               paramagnetic φ' > 0 darkens, diamagnetic does not

Weights TE make a small difference of R2* stand out most from the noise: Σ w M² changes by −2 Σ w TE M² and has the noise 2σ √(Σ w² M²), so late echoes,
which carry the T2* contrast, count as far as they have signal. Weights M² TE do that for the phase: it is the field map at one mean echo time.
The mask to the 4th power is Haacke 2004 (10.1002/mrm.20198); unwrapped phase, all echoes and their weighting after Eckstein 2021
(10.1016/j.neuroimage.2021.118175), without its sigmoid mask and its correction of the receive field.
"""

import numpy as np

from chiflow.core.box import mask_box
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import Geometry
from chiflow.swi.highpass import smooth_part

HIGH_PASS_MM = 3.0  # of 2 to 8 mm on a simulated head: the larger, the more background is left at the skull base, and no vein gains
EXPONENT = 4.0
ROUNDING = 1e-3  # rad, of phase saved as ±π


def combined_magnitude(magnitude: np.ndarray, echo_times_s: list[float]) -> np.ndarray:
    """M̄ (X, Y, Z) float32 of magnitude (X, Y, Z, E) and E echo times in s."""
    return np.sqrt(sum(np.float32(time / sum(echo_times_s)) * magnitude[..., e] ** 2 for e, time in enumerate(echo_times_s)))


def susceptibility_weighted(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float], geometry: Geometry,
                            *, high_pass_mm: float = HIGH_PASS_MM, exponent: float = EXPONENT) -> np.ndarray:
    """SWI (X, Y, Z) float32 in the unit of the magnitude; outside the mask it is M̄.

    phase : (X, Y, Z, E) rad, unwrapped and free of offset, 0 in all echoes where it is not known. magnitude : (X, Y, Z, E). mask : (X, Y, Z) bool.
    echo_times_s : E ≥ 1 times in s. high_pass_mm : σ of the Gaussian whose smooth part is taken off. exponent : n.
    Raises ChiflowError for phase that is still wrapped.
    """
    image = combined_magnitude(magnitude, echo_times_s)
    box, geometry = mask_box(mask, geometry)
    inside = mask[box] & (phase[box] != 0).any(axis=3)
    require_unwrapped(phase[box], inside)
    at_one_time, weight = mean_phase(phase[box], magnitude[box], inside, echo_times_s)
    high = at_one_time - smooth_part(at_one_time, weight, tuple(high_pass_mm / v for v in geometry.voxel_size))
    image[box] *= np.where(weight > 0, phase_mask(high, exponent), 1)
    return image


def mean_phase(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """φ in rad, and its weight Σ M² TE² over the median of that (so that it is about 1), both (X, Y, Z) float32 and 0 outside the mask."""
    weight, total = np.zeros((2, *mask.shape), dtype=np.float32)
    for echo, time in enumerate(np.float32(echo_times_s)):
        power = np.where(mask, magnitude[..., echo] * time, 0) ** 2
        weight += power
        total += power * phase[..., echo] / time
    mean = np.divide(total, weight, out=np.zeros_like(weight), where=weight > 0) * np.float32(reference_time(magnitude, mask, echo_times_s))
    typical = np.median(weight[weight > 0]) if weight.any() else np.float32(1)
    return mean, weight / typical


def reference_time(magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float]) -> float:
    """TE* in s of magnitude (X, Y, Z, E) in a mask; without any signal the last echo's."""
    times = np.asarray(echo_times_s)
    median = np.median(magnitude[mask], axis=0) if mask.any() else np.zeros(len(times))
    total = float(median**2 @ times**2)
    return float(median**2 @ times**3) / total if total > 0 else float(times[-1])


def phase_mask(phase: np.ndarray, exponent: float) -> np.ndarray:
    """clip(1 − φ/π, 0, 1)ⁿ of a phase in rad."""
    return np.clip(1 - phase / np.float32(np.pi), 0, 1) ** np.float32(exponent)


def require_unwrapped(phase: np.ndarray, mask: np.ndarray) -> None:
    """Raise ChiflowError for phase (X, Y, Z, E) that keeps within ±π and jumps by more than π between neighbours in the mask."""
    if np.abs(phase[mask]).max(initial=0) > np.pi + ROUNDING:
        return
    for axis in range(3):
        n = mask.shape[axis] - 1
        both = mask.take(range(n), axis) & mask.take(range(1, n + 1), axis)
        if (np.abs(np.diff(phase, axis=axis))[both] > np.pi).any():
            raise ChiflowError("the phase is wrapped: it keeps within ±π and jumps by more than π; unwrap it first")
