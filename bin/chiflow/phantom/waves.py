"""Smooth random fields that exist at every point of space: sums of plane waves.

    n(x) = Σ a_m cos(k_m · x + φ_m),      Σ a_m² = 2,  so unit variance
"""

from dataclasses import dataclass

import numpy as np
import torch

CHUNK = 1 << 18  # points at a time, so that the table of waves fits the cache
PLANE_BYTES = 1 << 28  # of the table of waves over two axes
FAINTEST = 0.02  # what a voxel's mean leaves of a wave that is not worth its time


@dataclass(frozen=True)
class Waves:
    """k (M, 3) in rad/mm, phase (M,) in rad and amplitude (M,) of M plane waves."""

    k: np.ndarray
    phase: np.ndarray
    amplitude: np.ndarray


def draw_waves(rng: np.random.Generator, count: int, shortest_mm: float, longest_mm: float) -> Waves:
    """Waves of random direction and equal amplitude with wavelengths between two limits in mm."""
    direction = _directions(rng, count)
    wavelength = rng.uniform(shortest_mm, longest_mm, count)
    return Waves(2 * np.pi * direction / wavelength[:, None], rng.uniform(0, 2 * np.pi, count), np.full(count, np.sqrt(2 / count)))


def draw_power_law(rng: np.random.Generator, per_octave: int, shortest_mm: float, longest_mm: float, exponent: float, turn_mm: float) -> Waves:
    """Waves with the power spectrum (k² + 1/turn²)^(−exponent/2), k in cycles/mm, between two wavelengths in mm.

    k is spread evenly over octaves and stands for a shell of volume ∝ k³, so a² ∝ k³ (k² + 1/turn²)^(−exponent/2).
    """
    count = int(per_octave * np.log2(longest_mm / shortest_mm))
    k = np.exp(rng.uniform(-np.log(longest_mm), -np.log(shortest_mm), count))
    power = k**3 * (k**2 + turn_mm**-2) ** (-exponent / 2)
    return Waves(2 * np.pi * _directions(rng, count) * k[:, None], rng.uniform(0, 2 * np.pi, count), np.sqrt(2 * power / power.sum()))


def on_grid(waves: Waves, affine: np.ndarray, shape: tuple[int, ...], averaged: bool = False) -> np.ndarray:
    """n on a grid (X, Y, Z) float32, at the middle of each voxel or, averaged, its mean over the voxel: sinc along each axis.

    A plane wave on a grid is a product of three, one along each axis.
    """
    k, phase, amplitude = waves.k @ affine[:3, :3], waves.phase + waves.k @ affine[:3, 3], waves.amplitude
    if averaged:
        amplitude = amplitude * np.sinc(k / (2 * np.pi)).prod(axis=1)
        kept = np.abs(amplitude) > FAINTEST * waves.amplitude
        k, phase, amplitude = k[kept], phase[kept], amplitude[kept]
    x, y, z = (np.exp(1j * np.outer(np.arange(n), k[:, axis])).astype(np.complex64) for axis, n in enumerate(shape[:3]))
    x, y, z = torch.from_numpy(x * np.exp(1j * phase)).to(torch.complex64), torch.from_numpy(y), torch.from_numpy(z * amplitude.astype(np.float32))
    along, result = torch.cat([z.real.T, -z.imag.T]).contiguous(), torch.empty(shape[:3])
    planes = max(1, PLANE_BYTES // (8 * max(y.numel(), 1)))
    for first in range(0, shape[0], planes):
        xy = (x[first : first + planes, None] * y).flatten(0, 1)
        torch.matmul(torch.cat([xy.real, xy.imag], 1), along, out=result[first : first + planes].flatten(0, 1))
    return result.numpy()


def at_points(waves: Waves, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """n (N,) and |∇n| (N,) in 1/mm at points (N, 3)."""
    k, phase, amplitude = (torch.from_numpy(array.astype(np.float32)) for array in (waves.k, waves.phase, waves.amplitude))
    values, slopes = [], []
    for part in torch.from_numpy(np.ascontiguousarray(points, np.float32)).split(CHUNK):
        angle = part @ k.T + phase
        values.append(angle.cos() @ amplitude)
        slopes.append(torch.linalg.norm(angle.sin() @ (k * amplitude[:, None]), dim=1))
    return torch.cat(values).numpy(), torch.cat(slopes).numpy()


def _directions(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random unit vectors (N, 3)."""
    direction = rng.standard_normal((count, 3))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True)
