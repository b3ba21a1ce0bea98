"""Random volumes at all scales: the texture of tissue, which a scan shows and a label map does not.

    n(k) = w(k) (|k|² + 1/L²)^(−p/4)            w white, so that power falls as |k|^−p beyond 1/L
"""

import numpy as np
import torch
from torch.nn.functional import conv3d, pad

from chiflow.core.fourier import inverse, k_grid, transform
from chiflow.simulate.paint import smooth


def power_law(rng: np.random.Generator, shape: tuple[int, ...], step_mm: tuple[float, ...], exponent: float,
              longest_mm: float) -> torch.Tensor:
    """Noise (X, Y, Z) of mean 0 and variance 1 whose power falls with |k| to the power −exponent; longest_mm : L."""
    white = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    square = sum(axis**2 for axis in k_grid(shape, step_mm))
    noise = inverse(transform(white, shape) * (square + longest_mm**-2) ** (-exponent / 4), shape, shape)
    return (noise - noise.mean()) / noise.std()


def wave(rng: np.random.Generator, shape: tuple[int, ...], step_mm: tuple[float, ...], period_mm: float) -> torch.Tensor:
    """Smooth noise (X, Y, Z) of about unit variance; period_mm : distance of its control points."""
    return smooth(rng, shape, max(period_mm / float(np.mean(step_mm)), 1.01))


def blurred(volume: torch.Tensor, sigma_mm: float, step_mm: tuple[float, ...]) -> torch.Tensor:
    """A volume (X, Y, Z) under a Gaussian of standard deviation sigma_mm; the border repeats."""
    for axis, step in enumerate(step_mm):
        sigma = sigma_mm / step
        reach = min(int(3 * sigma + 0.5), volume.shape[axis] - 1)
        if sigma < 0.2 or reach < 1:
            continue
        weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
        form, around = [1] * 5, [0] * 6
        form[axis + 2], around[4 - 2 * axis], around[5 - 2 * axis] = -1, reach, reach
        padded = pad(volume[None, None], around, mode="replicate")
        volume = conv3d(padded, (weights / weights.sum()).reshape(form))[0, 0]
    return volume
