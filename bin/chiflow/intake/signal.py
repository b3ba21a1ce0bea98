"""Magnitude and phase of all echoes, from polar or from Cartesian images."""

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.units import TWO_PI
from chiflow.intake.levels import Scale
from chiflow.intake.volumes import Volume

LARGEST_PHASE = np.nextafter(np.float32(np.pi), np.float32(0))  # float32(π) is larger than π
NEGATIVE = 0.01  # share of the maximum: interpolation undershoots, a magnitude is not negative
OPPOSITE = -0.5  # cosine between neighbouring slices: −0.8 … −1 when they are flipped, above 0.9 when not
MOST_SLICES = 0.8
SAMPLES = 64  # along each side of a slice: enough to see its sign


def from_polar(magnitudes: list[Volume], phases: list[Volume], scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Magnitude and phase (X, Y, Z, E) float32, phase in rad from −π to π.

    Raises ChiflowError naming the file when a magnitude is negative, or not a number where there is signal.
    """
    magnitude, phase = _empty_pair(magnitudes)
    for echo, (one, two) in enumerate(zip(magnitudes, phases)):
        if one.range[0] < -NEGATIVE * one.range[1]:
            raise ChiflowError(f"{one.path}: values from {one.range[0]:g} to {one.range[1]:g}, a magnitude is not negative")
        magnitude[..., echo] = one.values
        phase[..., echo] = radians(two, scale)
        _fill_outside(magnitude[..., echo], phase[..., echo], one, two)
    np.maximum(magnitude, 0, out=magnitude)
    return magnitude, phase


def radians(volume: Volume, scale: Scale) -> np.ndarray:
    """Phase in rad from −π to π, (X, Y, Z) float32: φ = 2π (v − v0) / P."""
    factor, shift = TWO_PI / scale.period, -TWO_PI * scale.zero / scale.period
    if not scale.raw:
        factor, shift = factor * volume.slope, shift + factor * volume.intercept
    phase = volume.raw.astype(np.float32)
    phase *= np.float32(factor)
    phase += np.float32(shift)
    phase -= np.float32(TWO_PI) * np.round(phase / np.float32(TWO_PI))
    return np.clip(phase, -LARGEST_PHASE, LARGEST_PHASE, out=phase)


def from_complex(reals: list[Volume], imaginaries: list[Volume]) -> tuple[np.ndarray, np.ndarray]:
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


def flip_slices(magnitude: np.ndarray, phase: np.ndarray) -> int | None:
    """Turn every other slice by π, in place, along the axis on which neighbouring slices have opposite signs; the axis, None without one."""
    for axis in range(3):
        some = tuple(slice(None, None, 1 if a == axis else max(1, n // SAMPLES)) for a, n in enumerate(phase.shape[:3])) + (0,)
        slices = np.moveaxis(magnitude[some] * np.exp(1j * phase[some]), axis, 0)
        products = np.conj(slices[:-1]) * slices[1:]
        cosine = products.sum(axis=(1, 2)).real / np.maximum(np.abs(products).sum(axis=(1, 2)), 1e-30)
        if np.mean(cosine < OPPOSITE) >= MOST_SLICES:
            odd = np.moveaxis(phase, axis, 0)[1::2]
            odd += np.where(odd > 0, -np.pi, np.pi).astype(np.float32)
            np.clip(odd, -LARGEST_PHASE, LARGEST_PHASE, out=odd)
            return axis
    return None


def _empty_pair(volumes: list[Volume]) -> tuple[np.ndarray, np.ndarray]:
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
