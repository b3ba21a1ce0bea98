"""Single coils of a scan: what each element of a ring around the head sees.

    S_c = s_c S + noise,   s_c ∝ exp(−|x − p_c|² / 2w²) exp(i k_c·(x − p_c)),   Σ |s_c|² = 1

so that Σ conj(s_c) S_c has the noise of one coil.
"""

from dataclasses import replace

import numpy as np

RING_MM, WIDTH_MM = 110.0, 90.0
SLOPE_RAD_PER_MM = 0.012


def sensitivity(grid, coil: int, coils: int) -> np.ndarray:
    """s_c (X, Y, Z) complex64 of coil 0 … coils − 1."""
    everyone = [_weight(grid, other, coils) for other in range(coils)]
    return (everyone[coil] / np.sqrt(sum(np.abs(s) ** 2 for s in everyone))).astype(np.complex64)


def receive_profile(grid, coils: int = 8) -> np.ndarray:
    """(Σ |s_c|²)^½ (X, Y, Z) float32 of a ring of coils, 1 in the mean: what all hear together, less in the middle and far along the ring's axis."""
    square = sum(np.exp(-_away(grid, coil, coils)[1] / WIDTH_MM**2) for coil in range(coils))
    profile = np.sqrt(square, dtype=np.float32)
    return profile / profile.mean(dtype=np.float64).astype(np.float32)


def coil_scan(scan, coil: int, coils: int, seed: int = 0, sigma: float = 0.0):
    """The scan as one coil sees it; sigma is the noise of each channel, in the unit of the magnitude."""
    return _measured(scan, sensitivity(scan.grid, coil, coils)[..., None], sigma, [seed, coil, 5])


def noisy_scan(scan, sigma: float, seed: int = 0):
    """The scan with noise of standard deviation sigma in each channel."""
    return _measured(scan, 1, sigma, [seed, 6])


def _measured(scan, weight, sigma: float, entropy: list[int]):
    signal = weight * scan.magnitude * np.exp(1j * scan.phase)
    noise = np.random.default_rng(entropy).normal(scale=sigma, size=(*signal.shape, 2)) @ [1, 1j] if sigma else 0
    signal = signal + noise
    return replace(scan, magnitude=np.abs(signal).astype(np.float32), phase=np.angle(signal).astype(np.float32))


def _weight(grid, coil: int, coils: int) -> np.ndarray:
    angle = 2 * np.pi * coil / coils
    slope = SLOPE_RAD_PER_MM * np.array([-np.sin(2 * angle), np.cos(angle), np.cos(3 * angle)])
    x, square = _away(grid, coil, coils)
    return np.exp(-square / (2 * WIDTH_MM**2) + 1j * (sum(s * a for s, a in zip(slope, x)) + angle))


def _away(grid, coil: int, coils: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Way from a coil along each scanner axis (mm), and its square (mm²)."""
    angle = 2 * np.pi * coil / coils
    place = np.array([RING_MM * np.cos(angle), RING_MM * np.sin(angle), 0])
    x = [sum(grid.affine[a, b] * np.arange(n).reshape([-1 if c == b else 1 for c in range(3)]) for b, n in enumerate(grid.shape))
         + grid.affine[a, 3] - place[a] for a in range(3)]
    return x, sum(a * a for a in x)
