"""The network of the total field: it moves of the sources inside and outside a mask what the field does not tell apart.

    χ ← χ + z − J D z,      z = CNN_k(χ_in, G χ_in, χ̄_in, f − D χ_out, χ_out, D χ_out, W (f − D χ), 3 σ / W, guide, mask, depth, t)  in the mask

for k = 1 … K, from χ₁ of start.py, with its J, t and χ_out: what of z is seen in the field is taken back, so the local field f − D χ_out differs from f by the field of
sources outside and on the surface of the mask, whatever the CNN says. G χ_in is what χ_in would be if it were a g + b near each voxel, g the guide: a guided
filter with boxes of 20 mm, whose mean of χ_in is χ̄_in. The last layer of each CNN starts at 0: untrained, the network is χ₁.

References: Hammernik 2018 (10.1002/mrm.26977) for unrolling, Schwab 2019 (10.1088/1361-6420/aaf14a) for learning what the data do not see, He 2013
(10.1109/TPAMI.2012.213) for the guided filter.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import avg_pool3d

from chiflow.core.blocks import Correction
from chiflow.core.geometry import Geometry
from chiflow.core.source_fit import SourceFit
from chiflow.core.total.start import TotalStart, explained, local_field, outside_of

CHANNELS = (32, 56)
ITERATIONS = 1
STEPS = 10
INPUTS = 12
SCALE = 3.0  # χ in units of the local field's rms
BOX_MM = 10.0  # half the width of the guided filter's boxes
LEAST_CONTRAST = 0.1  # variance of a guide that explains nothing


@dataclass(frozen=True)
class TotalSolution:
    """On the grid of the start, in its units: sources of each step, the last one last, and the local fields that go with them, 0 outside the mask."""

    sources: list[torch.Tensor]
    local: list[torch.Tensor]


class TotalNet(nn.Module):
    """The TotalSolution of a TotalStart. steps : of J."""

    def __init__(self, channels: tuple[int, int] = CHANNELS, iterations: int = ITERATIONS, deep_blocks: int = 2, steps: int = STEPS):
        super().__init__()
        self.corrections = nn.ModuleList(Correction(INPUTS, channels, deep_blocks) for _ in range(iterations))
        self.steps = steps

    def forward(self, start: TotalStart) -> TotalSolution:
        fit, x = start.fit, start.sources
        found = TotalSolution([], [])
        for correction in self.corrections:
            z = SCALE * start.mask * correction(inputs(x, start, fit))
            x = x + z - explained(fit.forward(z), fit, start.deviation, self.steps)
            found.sources.append(x)
            found.local.append(local_field(x, start, fit))
        return found


def inputs(x: torch.Tensor, start: TotalStart, fit: SourceFit) -> torch.Tensor:
    """What a CNN sees, (INPUTS, X, Y, Z), each about 1."""
    outside = outside_of(x, start)
    background = fit.forward(outside)
    misfit = start.weight * (start.field - background - fit.forward(x - outside))
    doubt = (start.sigma / start.weight.clamp(min=0.1)).clamp(max=1)
    explained_by_guide, mean = guided_filter(start.mask * x, start)
    inner = [x / SCALE, explained_by_guide / SCALE, mean / SCALE, start.field - background, 10 * misfit, 3 * doubt, start.guide / 2, start.prior / SCALE]
    return torch.stack([*(start.mask * volume for volume in inner), torch.asinh(x * (1 - start.mask) / 10) / 3, background / 30, start.mask, start.depth])


def guided_filter(x: torch.Tensor, start: TotalStart) -> tuple[torch.Tensor, torch.Tensor]:
    """G x and the mean of x in boxes, of the voxels in the mask; x is 0 outside it."""
    guide, count = start.guide, box_mean(start.mask, start.geometry).clamp(min=1e-3)
    mean = lambda volume: box_mean(volume, start.geometry) / count
    mean_x, mean_guide = mean(x), mean(guide)
    slope = (mean(x * guide) - mean_x * mean_guide) / (mean(guide**2) - mean_guide**2 + LEAST_CONTRAST)
    level = mean_x - slope * mean_guide
    return mean(start.mask * slope) * guide + mean(start.mask * level), mean_x


def box_mean(volume: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Mean of a volume (X, Y, Z) in boxes, with 0 around it."""
    for axis, size in enumerate(geometry.voxel_size):
        reach = [0, 0, 0]
        reach[axis] = min(max(round(BOX_MM / size), 1), (volume.shape[axis] - 1) // 2)
        volume = avg_pool3d(volume[None, None], [2 * r + 1 for r in reach], 1, reach)[0, 0]
    return volume
