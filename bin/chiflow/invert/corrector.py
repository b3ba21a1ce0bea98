"""The network: one feed-forward pass that corrects a map of χ, and says how far off the result may be.

    χ = χ₀ + 3 CNN(start)  in the mask,      u = |CNN′(start)| + 0.05

on the volumes of start.py. The CNN is a pyramid of three levels, each half as fine as the one above: pixel unshuffling goes down, shuffling goes up, residual
blocks of 3³ convolutions work in between; leaky ReLU, no bias, no normalisation (core/blocks.py). The last layer starts at 0: untrained, the network is χ₀.
CNN′ reads the last features of the CNN; u is the 90 % quantile of |error|. What is here has no kernel: the physics is in the volumes that it reads.

References: Ronneberger 2015 (10.1007/978-3-319-24574-4_28) for the pyramid, Jung 2022 (10.1002/nbm.4292) for QSM networks and where they fail.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import leaky_relu, pad

from chiflow.core.blocks import SLOPE, Convolution, Residual, shuffled, unshuffled
from chiflow.invert.start import NAMES, Start

CHANNELS = (32, 64, 96)
MULTIPLE = 8  # axes are padded to multiples of it
CORRECTION = 3.0
LEAST_DOUBT = 0.05


@dataclass(frozen=True)
class Corrected:
    """chi and u (X, Y, Z) in units of the field's rms, 0 outside the mask."""

    chi: torch.Tensor
    u: torch.Tensor


class Corrector(nn.Module):
    """The Corrected of a Start. channels : of the three levels."""

    def __init__(self, channels: tuple[int, int, int] = CHANNELS):
        super().__init__()
        fine, middle, coarse = channels
        self.entrance, self.before, self.after = Convolution(8 * len(NAMES), fine), Residual(fine), Residual(fine)
        self.down, self.up = nn.Conv2d(8 * fine, middle, 1, bias=False), nn.Conv2d(middle, 8 * fine, 1, bias=False)
        self.middle_before, self.middle_after = nn.Sequential(Residual(middle), Residual(middle)), Residual(middle)
        self.deep_down, self.deep_up = nn.Conv2d(8 * middle, coarse, 1, bias=False), nn.Conv2d(coarse, 8 * middle, 1, bias=False)
        self.deep = nn.Sequential(Residual(coarse), Residual(coarse))
        self.exit = Convolution(fine, 8)
        self.doubt = nn.Sequential(Convolution(fine, fine // 2), nn.LeakyReLU(SLOPE), Convolution(fine // 2, 8))
        nn.init.zeros_(self.exit.weight)

    def forward(self, start: Start) -> Corrected:
        correction, doubt = self.passed(start.volumes)
        return Corrected((start.volume("chi") + CORRECTION * correction) * start.mask, (doubt.abs() + LEAST_DOUBT) * start.mask)

    def passed(self, volumes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """CNN and CNN′ (X, Y, Z) of volumes (NAMES, X, Y, Z)."""
        shape = volumes.shape[1:]
        volumes = pad(volumes, [p for n in reversed(shape) for p in (0, -n % MULTIPLE)]).transpose(0, 1)
        x = self.before(leaky_relu(self.entrance(unshuffled(volumes)), SLOPE))
        y = self.middle_before(leaky_relu(self.down(unshuffled(x)), SLOPE))
        z = self.deep(leaky_relu(self.deep_down(unshuffled(y)), SLOPE))
        y = self.middle_after(y + shuffled(self.deep_up(z)))
        features = leaky_relu(self.after(x + shuffled(self.up(y))), SLOPE)
        cut = tuple(slice(n) for n in shape)
        return shuffled(self.exit(features))[:, 0][cut], shuffled(self.doubt(features.detach()))[:, 0][cut]
