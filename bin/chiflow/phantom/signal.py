"""The complex signal of a multi-echo gradient echo and what the scanner makes of it.

    S(TE) = M0 · bias · exp(−R2* TE) · Π sinc(Δf_a TE) · exp(i(φ0 + 2π f TE)) + noise

Δf_a is the change of f across a voxel along axis a.
"""

from dataclasses import dataclass

import numpy as np

from chiflow.core.units import TWO_PI
from chiflow.phantom import waves
from chiflow.phantom.grid import Grid


@dataclass(frozen=True)
class Coil:
    """Receive phase and bias of a scan: smooth waves, a linear phase (rad/mm), the odd-even slope of a bipolar readout (rad)."""

    offset: waves.Waves
    offset_rad: float
    linear_rad_per_mm: np.ndarray
    bias: waves.Waves
    bipolar_rad: float


def draw_coil(seed: int, subject: int = 0) -> Coil:
    """The coil of a subject's scan; the same seed and subject give the same coil."""
    rng = np.random.default_rng([seed, subject, 2])
    offset, strength, slope = waves.draw_waves(rng, 8, 200, 400), rng.uniform(0.8, 1.4), rng.normal(0, 0.008, 3)
    return Coil(offset, strength, slope, waves.draw_waves(rng, 8, 200, 450), rng.uniform(0.6, 0.9))


def phase_offset(coil: Coil, grid: Grid) -> np.ndarray:
    """φ0 (X, Y, Z) in rad."""
    i, j, k = (np.arange(n).reshape([-1 if a == axis else 1 for a in range(3)]) for axis, n in enumerate(grid.shape))
    slope = coil.linear_rad_per_mm @ grid.affine[:3]
    plane = slope[0] * i + slope[1] * j + slope[2] * k + slope[3]
    return (coil.offset_rad * waves.on_grid(coil.offset, grid.affine, grid.shape) + plane).astype(np.float32)


def bipolar_offset(coil: Coil, shape: tuple[int, ...], echo: int) -> np.ndarray:
    """Phase (X, 1, 1) in rad that a bipolar readout along the first axis adds to an echo (0, 1, …): its sign alternates."""
    ramp = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None, None]
    return (-1) ** echo * coil.bipolar_rad * ramp


def dephasing(field_hz: np.ndarray, echo_time_s: float) -> np.ndarray:
    """Π sinc(Δf_a TE): what is left of a voxel's signal under the field's gradient."""
    result = np.ones(field_hz.shape, np.float32)
    for axis in range(3):
        if field_hz.shape[axis] > 1:
            result *= np.sinc(np.gradient(field_hz, axis=axis) * np.float32(echo_time_s))
    return result


def echo_signal(m0: np.ndarray, r2star: np.ndarray, field_hz: np.ndarray, offset: np.ndarray, echo_time_s: float) -> np.ndarray:
    """Complex signal (X, Y, Z) complex64 of one echo without noise; `m0` includes the bias."""
    magnitude = m0 * np.exp(-r2star * np.float32(echo_time_s)) * dephasing(field_hz, echo_time_s)
    phase = offset + np.float32(TWO_PI * echo_time_s) * field_hz
    result = np.empty(m0.shape, np.complex64)
    np.multiply(magnitude, np.cos(phase), out=result.real)
    np.multiply(magnitude, np.sin(phase), out=result.imag)
    return result


def add_noise(signal: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """The signal with complex Gaussian noise of standard deviation sigma in each channel, in place."""
    signal.real += sigma * rng.standard_normal(signal.shape, np.float32)
    signal.imag += sigma * rng.standard_normal(signal.shape, np.float32)
    return signal
