"""The network of the brain extraction: a small U-Net on a 2 mm grid that thinks at 4 mm.

    x at 2 mm ─ conv 4³, stride 2 ─ level 4 mm ─ 8 mm ─ 16 mm ─ 32 mm ─ back up, skips added ─ transposed conv 4³ ─ logit at 2 mm

Halving the grid at the entrance costs an eighth of the work and doubles what a kernel sees; the exit draws the edge at 2 mm again.
A level is conv 3³, group normalisation, leaky ReLU. Any size whose axes are multiples of 16 voxels.

Reference of the form: Ronneberger 2015 (10.1007/978-3-319-24574-4_28).
"""

import torch
from torch import nn

CHANNELS = (24, 40, 48, 56)
GROUPS = 8


def block(entering: int, leaving: int, stride: int = 1) -> nn.Sequential:
    """conv 3³ → normalisation → leaky ReLU."""
    convolution = nn.Conv3d(entering, leaving, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(GROUPS, leaving), nn.LeakyReLU(0.1, inplace=True))


class BrainNetwork(nn.Module):
    """Logit of "this voxel is brain" (B, 1, X, Y, Z) from a normalised magnitude (B, 1, X, Y, Z); X, Y, Z multiples of 16."""

    def __init__(self, channels: tuple[int, ...] = CHANNELS):
        super().__init__()
        first = channels[0]
        self.entrance = nn.Sequential(nn.Conv3d(1, first, 4, stride=2, padding=1, bias=False), nn.GroupNorm(GROUPS, first), nn.LeakyReLU(0.1, inplace=True))
        self.top = block(first, first)
        self.down = nn.ModuleList(nn.Sequential(block(a, b, 2), block(b, b)) for a, b in zip(channels, channels[1:]))
        self.narrow = nn.ModuleList(nn.Conv3d(b, a, 1, bias=False) for a, b in zip(channels, channels[1:]))
        self.up = nn.ModuleList(block(a, a) for a in channels[:-1])
        self.exit = nn.ConvTranspose3d(first, 1, 4, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits on the grid of x."""
        levels = [self.top(self.entrance(x))]
        for down in self.down:
            levels.append(down(levels[-1]))
        y = levels.pop()
        for narrow, up in reversed(list(zip(self.narrow, self.up))):
            larger = nn.functional.interpolate(narrow(y), scale_factor=2, mode="trilinear", align_corners=False)
            y = up(levels.pop() + larger)
        return self.exit(y)
