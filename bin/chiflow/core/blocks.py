"""What the unrolled networks are built of: a CNN that corrects a volume.

It works in space halved by pixel unshuffling, and at a quarter below that; leaky ReLU, no bias, no normalisation, so it is homogeneous in its inputs.
"""

import torch
from torch import nn

LEVELS = 4  # axes are padded to multiples of it
SLOPE = 0.1
PART = 32  # slices that are convolved at a time


def unshuffled(x: torch.Tensor) -> torch.Tensor:
    """(X, C, Y, Z) → (X/2, 8 C, Y/2, Z/2)."""
    nx, c, ny, nz = x.shape
    x = x.reshape(nx // 2, 2, c, ny // 2, 2, nz // 2, 2)
    return x.permute(0, 2, 1, 4, 6, 3, 5).reshape(nx // 2, 8 * c, ny // 2, nz // 2)


def shuffled(x: torch.Tensor) -> torch.Tensor:
    """(X, 8 C, Y, Z) → (2X, C, 2Y, 2Z)."""
    nx, c, ny, nz = x.shape
    x = x.reshape(nx, c // 8, 2, 2, 2, ny, nz)
    return x.permute(0, 2, 1, 5, 3, 6, 4).reshape(2 * nx, c // 8, 2 * ny, 2 * nz)


class Convolution(nn.Module):
    """3³ convolution of slices (X, C, Y, Z), zeros around, as a 2D one over each slice with its two neighbours as further channels.

    On a CPU forward and backward are two to eight times faster than Conv3d on a batch of one. Without gradients long volumes go in parts.
    """

    def __init__(self, entering: int, leaving: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(leaving, 3 * entering, 3, 3))
        nn.init.kaiming_normal_(self.weight, a=SLOPE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            return self._slices(x, 0, len(x))
        return torch.cat([self._slices(x, first, min(first + PART, len(x))) for first in range(0, len(x), PART)])

    def _slices(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        part = x[max(first - 1, 0) : last + 1]
        part = nn.functional.pad(part, (0, 0, 0, 0, 0, 0, int(first == 0), int(last == len(x))))
        seen = torch.cat([part[:-2], part[1:-1], part[2:]], dim=1).contiguous(memory_format=torch.channels_last)
        return nn.functional.conv2d(seen, self.weight, padding=1)


class Residual(nn.Module):
    """x + conv(leaky ReLU(conv(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = Convolution(channels, channels), Convolution(channels, channels)
        nn.init.normal_(self.second.weight, std=0.1 * (27 * channels) ** -0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(nn.functional.leaky_relu(self.first(x), SLOPE))


class Correction(nn.Module):
    """One volume (X, Y, Z) from `inputs` of them; 0 before training."""

    def __init__(self, inputs: int, channels: tuple[int, int], deep_blocks: int):
        super().__init__()
        fine, coarse = channels
        self.entrance = Convolution(8 * inputs, fine)
        self.before, self.after = Residual(fine), Residual(fine)
        self.down, self.up = nn.Conv2d(8 * fine, coarse, 1, bias=False), nn.Conv2d(coarse, 8 * fine, 1, bias=False)
        self.deep = nn.Sequential(*(Residual(coarse) for _ in range(deep_blocks)))
        self.exit = Convolution(fine, 8)
        nn.init.zeros_(self.exit.weight)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """(inputs, X, Y, Z) → (X, Y, Z)."""
        shape = volumes.shape[1:]
        padded = nn.functional.pad(volumes, [p for n in reversed(shape) for p in (0, -n % LEVELS)])
        x = self.before(nn.functional.leaky_relu(self.entrance(unshuffled(padded.transpose(0, 1))), SLOPE))
        deep = self.deep(nn.functional.leaky_relu(self.down(unshuffled(x)), SLOPE))
        x = self.after(x + shuffled(self.up(deep)))
        return shuffled(self.exit(nn.functional.leaky_relu(x, SLOPE)))[:, 0][tuple(slice(n) for n in shape)]
