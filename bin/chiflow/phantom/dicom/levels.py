"""Stored values of a scan, as the vendors store them: magnitude, phase, real and imaginary part, differences and maps (X, Y, Z, E)."""

import numpy as np

from chiflow.core.units import TWO_PI

LEVELS = 4096
GE_TOP = 20000  # of the magnitude: real and imaginary parts fit into 16 bits
HEADROOM = 0.95


def stored_phase(phase: np.ndarray) -> np.ndarray:
    """12-bit levels 0 … 4095 of a phase in rad: π / 2048 a level; what rounds to +π becomes −π."""
    return (np.round(phase * (LEVELS / 2 / np.pi)).astype(np.int32) + LEVELS // 2) % LEVELS


def stored_magnitude(magnitude: np.ndarray) -> np.ndarray:
    """12-bit levels of a magnitude, one scale for all echoes; the brightest voxel in ten thousand sets it."""
    return np.clip(np.round(magnitude * (HEADROOM * LEVELS / _top(magnitude))), 0, LEVELS - 1)


def magnitude_levels(scan) -> np.ndarray:
    """The magnitude of each echo."""
    return stored_magnitude(scan.magnitude)


def normalized_levels(scan) -> np.ndarray:
    """The magnitude of each echo, made even over the slab as a prescan would."""
    falling = np.linspace(1.2, 0.8, scan.magnitude.shape[2], dtype=np.float32)
    return stored_magnitude(scan.magnitude * falling[:, None])


def phase_levels(scan) -> np.ndarray:
    """The phase of each echo."""
    return stored_phase(scan.phase)


def difference_levels(scan) -> np.ndarray:
    """φ2 − φ1, at the second echo."""
    return stored_phase(np.angle(np.exp(1j * (scan.phase[..., 1:2] - scan.phase[..., :1]))))


def ge_magnitude(scan) -> np.ndarray:
    """The magnitude of each echo, 16 bits."""
    return np.round(np.clip(scan.magnitude * (GE_TOP / _top(scan.magnitude)), 0, 32767))


def ge_real(scan) -> np.ndarray:
    """Real part of the conjugate, every other slice with the sign flipped."""
    return _ge_part(scan, np.cos)


def ge_imaginary(scan) -> np.ndarray:
    """Imaginary part of the conjugate, every other slice with the sign flipped."""
    return -_ge_part(scan, np.sin)


def hz_levels(scan) -> np.ndarray:
    """The scanner's own field map in Hz, rounded, at the first echo."""
    one, two = scan.protocol.echo_times_s[:2]
    return np.round(np.angle(np.exp(1j * (scan.phase[..., 1:2] - scan.phase[..., :1]))) / (TWO_PI * (two - one)))


def _ge_part(scan, function) -> np.ndarray:
    flips = np.where(np.arange(scan.phase.shape[2]) % 2, -1, 1)[:, None]
    return np.round(np.clip(scan.magnitude * (GE_TOP / _top(scan.magnitude)), 0, 32767) * function(scan.phase) * flips)


def _top(magnitude: np.ndarray) -> float:
    return max(float(np.quantile(magnitude[..., 0][::2, ::2, ::2], 0.9999)), 1e-6)
