"""Magnitude and phase of the echoes of one coil, from polar or from Cartesian images, or from the difference of two phases.

    S = M exp(iφ)                                         of an echo
    φ2 − φ1 with M = (1/M1² + 1/M2²)^(−1/2)               of a difference: its phase noise is σ/M, as that of an echo
"""

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.units import TWO_PI
from chiflow.intake.levels import Scale
from chiflow.intake.volumes import Volume

LARGEST_PHASE = np.nextafter(np.float32(np.pi), np.float32(0))  # float32(π) is larger than π
NEGATIVE = 0.01  # share of the maximum: interpolation undershoots, a magnitude is not negative
Arrays = tuple[np.ndarray, np.ndarray]


def from_polar(magnitudes: list[Volume], phases: list[Volume], scale: Scale) -> Arrays:
    """Magnitude and phase (X, Y, Z, E) float32, phase in rad from −π to π.

    Raises ChiflowError naming the file when a magnitude is negative, or not a number where there is signal.
    """
    magnitude, phase = _empty_pair(magnitudes)
    for echo, (one, two) in enumerate(zip(magnitudes, phases)):
        magnitude[..., echo] = _magnitude(one)
        phase[..., echo] = radians(two, scale)
        _fill_outside(magnitude[..., echo], phase[..., echo], one, two)
    return magnitude, phase


def from_difference(magnitudes: list[Volume], difference: Volume, scale: Scale) -> Arrays:
    """Magnitude and phase (X, Y, Z, 1) float32 of a phase difference and the magnitudes of its echoes, or of one for both.

    Raises ChiflowError as `from_polar` does.
    """
    magnitude, phase = _empty_pair([difference])
    phase[..., 0] = radians(difference, scale)
    ones = [_magnitude(volume) for volume in magnitudes]
    for one, volume in zip(ones, magnitudes):
        _fill_outside(one, phase[..., 0], volume, difference)
    one, two = ones[0], ones[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude[..., 0] = np.nan_to_num(one / np.hypot(one / two, 1), nan=0, posinf=0)
    return magnitude, phase


def radians(volume: Volume, scale: Scale) -> np.ndarray:
    """Phase in rad from −π to π, (X, Y, Z) float32: φ = 2π (v − v0) / P."""
    factor, shift = TWO_PI / scale.period, -TWO_PI * scale.zero / scale.period
    if not scale.raw:
        factor, shift = factor * volume.levels.slope, shift + factor * volume.levels.intercept
    phase = volume.raw.astype(np.float32)
    phase *= np.float32(factor)
    phase += np.float32(shift)
    phase -= np.float32(TWO_PI) * np.round(phase / np.float32(TWO_PI))
    return np.clip(phase, -LARGEST_PHASE, LARGEST_PHASE, out=phase)


def from_complex(reals: list[Volume], imaginaries: list[Volume]) -> Arrays:
    """Magnitude and phase (X, Y, Z, E) float32 of real and imaginary images. Raises ChiflowError naming a file with NaN."""
    magnitude, phase = _empty_pair(reals)
    for echo, (real, imaginary) in enumerate(zip(reals, imaginaries)):
        x, y = real.values, imaginary.values
        for volume, values in ((real, x), (imaginary, y)):
            if np.isnan(values).any() and not np.array_equal(np.isnan(x), np.isnan(y)):
                raise ChiflowError(f"{volume.path}: {int(np.isnan(values).sum())} voxels are NaN")
        magnitude[..., echo] = np.nan_to_num(np.hypot(x, y))
        phase[..., echo] = np.clip(np.nan_to_num(np.arctan2(y, x)), -LARGEST_PHASE, LARGEST_PHASE)
    return magnitude, phase


def _magnitude(volume: Volume) -> np.ndarray:
    low, high = volume.levels.range
    if low < -NEGATIVE * high:
        raise ChiflowError(f"{volume.path}: values from {low:g} to {high:g}, a magnitude is not negative")
    return np.maximum(volume.values, 0)


def _empty_pair(volumes: list[Volume]) -> Arrays:
    shape = (*volumes[0].raw.shape, len(volumes))
    return np.empty(shape, np.float32, order="F"), np.empty(shape, np.float32, order="F")


def _fill_outside(magnitude: np.ndarray, phase: np.ndarray, one: Volume, two: Volume) -> None:
    """NaN means "outside" when the other image has nothing there either: both become 0."""
    for here, there, volume in ((phase, magnitude, two), (magnitude, phase, one)):
        missing = np.isnan(here)
        if missing.any():
            inside = missing & ~(np.isnan(there) | (there == 0))
            if inside.any():
                raise ChiflowError(f"{volume.path}: {int(inside.sum())} voxels are NaN where there is signal")
    outside = np.isnan(magnitude) | np.isnan(phase)
    if outside.any():
        magnitude[outside], phase[outside] = 0, 0
