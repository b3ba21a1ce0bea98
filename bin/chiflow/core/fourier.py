"""Padding, the k grid and the FFT: the only Fourier convention.

Transforms are real to complex over the last three axes, unnormalised forward and 1/N backward; k is in cycles/mm. A volume sits in
the low corner of its padded grid, so the zeros behind it separate it from its periodic copy on every side.
"""

import torch
from scipy.fft import next_fast_len

from chiflow.core.geometry import Geometry


def padded_shape(shape: tuple[int, ...], padding: float = 1.0, margin: tuple[int, ...] = (0, 0, 0)) -> tuple[int, int, int]:
    """Fast FFT sizes that hold `padding` × the shape and at least shape + margin voxels."""
    return tuple(next_fast_len(max(int(-(-n * padding // 1)), n + m), real=True) for n, m in zip(shape, margin))


def transform(volume: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """F of a volume (X, Y, Z) with zeros behind it up to `shape`: half spectrum; rows of zeros are never transformed."""
    spectrum = torch.fft.rfft(volume, n=shape[2], dim=2)
    return torch.fft.fft(torch.fft.fft(spectrum, n=shape[1], dim=1), n=shape[0], dim=0)


def inverse(spectrum: torch.Tensor, shape: tuple[int, ...], kept: tuple[int, ...]) -> torch.Tensor:
    """F⁻¹ of a half spectrum on a grid of `shape`, its first `kept` voxels; what is cut off is not computed."""
    part = torch.fft.ifft(spectrum, dim=0)[: kept[0]]
    part = torch.fft.ifft(part, dim=1)[:, : kept[1]]
    return torch.fft.irfft(part, n=shape[2], dim=2)[:, :, : kept[2]]


def filtered(volume: torch.Tensor, kernel: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """F⁻¹ kernel F of a volume (X, Y, Z) on a padded grid of `shape`, cut back; `kernel` is the half spectrum of a real filter."""
    return inverse(transform(volume, shape) * kernel, shape, volume.shape)


def k_axes(shape: tuple[int, ...], voxel_size: tuple[float, ...], device=None) -> list[torch.Tensor]:
    """k in cycles/mm along each axis (half spectrum on the last); +Nyquist and −Nyquist share one sample."""
    whole = [torch.fft.fftfreq(n, v, device=device) for n, v in zip(shape[:2], voxel_size)]
    return [*whole, torch.fft.rfftfreq(shape[2], voxel_size[2], device=device)]


def k_grid(shape: tuple[int, ...], voxel_size: tuple[float, ...], device=None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """k_axes, shaped to broadcast over the spectrum of a volume."""
    x, y, z = k_axes(shape, voxel_size, device)
    return x[:, None, None], y[None, :, None], z[None, None, :]
