"""The network: a correction learned from data, and a few conjugate gradient steps on the physics, in turn.

    x₀ = guided TV (prepared.py);      for k = 1 … K:
    z = x + CNN_k(x, xc − x, S c − x, 10 Dᵀ W² r, 3 σ, 3 σ / W, guide, mask)  in the mask,      r = f − D x
    x ← 6 steps towards the minimum of   ½ ‖W (D x − f)‖² + λ_k/2 ‖x − z‖² in the mask + ρ_k/2 ‖x‖² outside,      ρ_k = b_k σ² / 4

x is free outside the mask, where sources take what is harmonic in the mask, the rest of a background; or 0 there for an exact field. The kernel D is
that of the voxel size and B0 of the scan, so no kernel is learned. λ_k = a_k (1e-3 + 4 σ²). The last layer of each CNN starts at 0: untrained, the network is guided TV.
Everything is in units of the field's root mean square.

The CNN works in space halved by pixel unshuffling, and at a quarter below that; leaky ReLU, no bias, no normalisation. A smaller one, of the same
form, says how far off the result is: u, the 90 % quantile of |error|.

References: Hammernik 2018 (10.1002/mrm.26977) for unrolling, Aggarwal 2019 (10.1109/TMI.2018.2865356) for conjugate gradients inside,
Jung 2022 (10.1002/nbm.4292) for QSM networks and where they fail.
"""

from dataclasses import dataclass

import torch
from torch import nn

from chiflow.core.solvers import conjugate_gradient
from chiflow.invert.prepared import Prepared
from chiflow.invert.sources import SourceProblem

CHANNELS = (32, 56)
ITERATIONS = 2
DATA_STEPS = 6
INPUTS = 8
SCALE = 3.0  # χ in units of the field's rms
FIRST_PULL = 1.0  # log a_k before training
LEVELS = 4  # axes are padded to multiples of it
SLOPE = 0.1
PART = 32  # slices that are convolved at a time


@dataclass(frozen=True)
class Solution:
    """Tensors (X, Y, Z) in units of the field's rms: the earlier maps, chi, u, and harmonic, the field of the sources outside the mask."""

    earlier: list[torch.Tensor]
    chi: torch.Tensor
    u: torch.Tensor
    harmonic: torch.Tensor


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
    """One volume (X, Y, Z) from INPUTS of them; 0 before training."""

    def __init__(self, channels: tuple[int, int], deep_blocks: int):
        super().__init__()
        fine, coarse = channels
        self.entrance = Convolution(8 * INPUTS, fine)
        self.before, self.after = Residual(fine), Residual(fine)
        self.down, self.up = nn.Conv2d(8 * fine, coarse, 1, bias=False), nn.Conv2d(coarse, 8 * fine, 1, bias=False)
        self.deep = nn.Sequential(*(Residual(coarse) for _ in range(deep_blocks)))
        self.exit = Convolution(fine, 8)
        nn.init.zeros_(self.exit.weight)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """(INPUTS, X, Y, Z) → (X, Y, Z)."""
        shape = volumes.shape[1:]
        padded = nn.functional.pad(volumes, [p for n in reversed(shape) for p in (0, -n % LEVELS)])
        x = self.before(nn.functional.leaky_relu(self.entrance(unshuffled(padded.transpose(0, 1))), SLOPE))
        deep = self.deep(nn.functional.leaky_relu(self.down(unshuffled(x)), SLOPE))
        x = self.after(x + shuffled(self.up(deep)))
        return shuffled(self.exit(nn.functional.leaky_relu(x, SLOPE)))[:, 0][tuple(slice(n) for n in shape)]


class Unrolled(nn.Module):
    """The Solution of a Prepared start."""

    def __init__(self, channels: tuple[int, int] = CHANNELS, iterations: int = ITERATIONS, deep_blocks: int = 2):
        super().__init__()
        self.corrections = nn.ModuleList(Correction(channels, deep_blocks) for _ in range(iterations))
        self.log_pull = nn.Parameter(torch.full((iterations,), FIRST_PULL))
        self.log_ridge = nn.Parameter(torch.zeros(iterations))
        self.doubt = Correction((channels[0] // 2, channels[1] // 2), 1)

    def forward(self, start: Prepared) -> Solution:
        problem = SourceProblem(start.field, start.mask, start.geometry, start.weight, start.padding)
        x, found = problem.placed(start.start), []
        pull, ridge = self.log_pull.exp() * (1e-3 + 4 * start.sigma**2), self.log_ridge.exp() * start.sigma**2 / 4
        for k, correction in enumerate(self.corrections):
            seen = inputs(x, start, problem)
            z = x + problem.placed(start.mask * correction(seen))
            x = towards(z, problem, pull[k] * problem.inside + ridge[k] * (1 - problem.inside), problem.inside if start.closed else 1.0)
            found.append(x[problem.kept] * start.mask)
        last = inputs(x.detach(), start, problem)
        u = (self.doubt(torch.cat([last[:1], last[:1] - seen[:1].detach(), last[2:]])) + start.sigma + 0.1).abs() * start.mask
        harmonic = problem.forward((1 - problem.inside) * x)[problem.kept] * start.mask
        return Solution(found[:-1], found[-1], u, harmonic)


def inputs(x: torch.Tensor, start: Prepared, problem: SourceProblem) -> torch.Tensor:
    """What a CNN sees, (INPUTS, X, Y, Z), each about 1."""
    pulled = problem.adjoint(problem.squared * (problem.field - problem.forward(x)))[problem.kept]
    inside, mask = x[problem.kept], start.mask
    doubt = (start.sigma / start.weight.clamp(min=0.1)).clamp(max=1)
    values = [inside / SCALE, (start.ridge - inside) / 2, (start.explained - inside) / 2, 10 * pulled]
    return torch.stack([*values, 3 * start.sigma * torch.ones_like(mask), 3 * doubt, start.guide / 2, mask]) * mask


def towards(z: torch.Tensor, problem: SourceProblem, strength: torch.Tensor, where: torch.Tensor | float) -> torch.Tensor:
    """The data steps from z, drawn to z in the mask and to 0 outside with the strength given (grid); only sources are moved `where` it is 1."""
    normal = lambda v: where * problem.normal(v, problem.squared) + strength * v
    right = where * problem.adjoint(problem.squared * (problem.field - problem.forward(z))) - strength * (1 - problem.inside) * z
    step, _ = conjugate_gradient(normal, right, torch.zeros_like(z), DATA_STEPS)
    return z + step
