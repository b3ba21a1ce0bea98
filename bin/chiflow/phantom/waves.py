"""Smooth random fields that exist at every point of space: sums of plane waves.

    n(x) = (2/M)^½ Σ cos(k_m · x + φ_m)          unit variance
"""

from dataclasses import dataclass

import numpy as np
import torch

CHUNK = 1 << 18  # points at a time, so that the table of waves fits the cache


@dataclass(frozen=True)
class Waves:
    """k (M, 3) in rad/mm and phase (M,) in rad of M plane waves."""

    k: np.ndarray
    phase: np.ndarray


def draw_waves(rng: np.random.Generator, count: int, shortest_mm: float, longest_mm: float) -> Waves:
    """Waves of random direction with wavelengths between two limits in mm."""
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    wavelength = rng.uniform(shortest_mm, longest_mm, count)
    return Waves(2 * np.pi * direction / wavelength[:, None], rng.uniform(0, 2 * np.pi, count))


def on_grid(waves: Waves, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """n on a grid (X, Y, Z) float32: a plane wave on a grid is a product of three, one along each axis."""
    k = waves.k @ affine[:3, :3]
    phase = waves.phase + waves.k @ affine[:3, 3]
    x, y, z = (np.exp(1j * np.outer(np.arange(n), k[:, axis])) for axis, n in enumerate(shape[:3]))
    xy = torch.from_numpy((x[:, None, :] * y[None, :, :] * np.exp(1j * phase)).astype(np.complex64).reshape(-1, len(phase)))
    z = torch.from_numpy(z.astype(np.complex64))
    result = xy.real @ z.real.T - xy.imag @ z.imag.T
    return result.reshape(shape[:3]).numpy() * np.float32(np.sqrt(2 / len(phase)))


def at_points(waves: Waves, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """n (N,) and |∇n| (N,) in 1/mm at points (N, 3)."""
    k, phase = torch.from_numpy(waves.k.astype(np.float32)), torch.from_numpy(waves.phase.astype(np.float32))
    scale = float(np.sqrt(2 / len(phase)))
    values, slopes = [], []
    for part in torch.from_numpy(np.ascontiguousarray(points, np.float32)).split(CHUNK):
        angle = part @ k.T + phase
        values.append(angle.cos().sum(1) * scale)
        slopes.append(torch.linalg.norm(angle.sin() @ k, dim=1) * scale)
    return torch.cat(values).numpy(), torch.cat(slopes).numpy()
