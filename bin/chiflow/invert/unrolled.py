"""The network: a correction learned from data, and a few conjugate gradient steps on the physics, in turn.

    x₀ = masked TV (prepared.py);      for k = 1 … K:
    z = x + CNN_k(x, xc − x, 10 Dᵀ W² r, 10 σ, 10 σ / W, guide, mask)  in the mask,      r = f − D x
    x ← 6 steps towards the minimum of   ½ ‖W (D x − f)‖² + λ_k/2 ‖x − z‖² in the mask + ρ_k/2 ‖x‖² outside,      ρ_k = b_k σ² / 4

x is free outside the mask: sources there take what is harmonic in the mask, the rest of a background. The kernel D is that of the voxel size and
B0 of the scan, so no kernel is learned. λ_k = a_k (1e-3 + 4 σ²). The last layer of each CNN starts at 0: untrained, the network is TV.
Everything is in units of the field's root mean square.

The CNN works in space halved by pixel unshuffling, and at a quarter below that; leaky ReLU, no bias, no normalisation. A smaller one, of the same
form, says how far off the result is: u, the 90 % quantile of |error|.

References: Hammernik 2018 (10.1002/mrm.26977) for unrolling, Aggarwal 2019 (10.1109/TMI.2018.2865356) for conjugate gradients inside,
Jung 2022 (10.1002/nbm.4292) for QSM networks and where they fail.
"""

import torch
from torch import nn

from chiflow.core.solvers import conjugate_gradient
from chiflow.invert.prepared import Prepared
from chiflow.invert.tfi import SourceProblem

PADDING = 1.25
CHANNELS = (24, 48)
ITERATIONS = 3
DATA_STEPS = 6
INPUTS = 7
LEVELS = 4  # axes are padded to multiples of it
SLOPE = 0.1


def unshuffled(x: torch.Tensor) -> torch.Tensor:
    """(B, C, X, Y, Z) → (B, 8 C, X/2, Y/2, Z/2)."""
    b, c, *shape = x.shape
    x = x.reshape(b, c, shape[0] // 2, 2, shape[1] // 2, 2, shape[2] // 2, 2)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, 8 * c, *(n // 2 for n in shape))


def shuffled(x: torch.Tensor) -> torch.Tensor:
    """(B, 8 C, X, Y, Z) → (B, C, 2X, 2Y, 2Z)."""
    b, c, *shape = x.shape
    x = x.reshape(b, c // 8, 2, 2, 2, *shape).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(b, c // 8, *(2 * n for n in shape))


class Residual(nn.Module):
    """x + conv(leaky ReLU(conv(x)))."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = (nn.Conv3d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        nn.init.normal_(self.second.weight, std=0.1 * (27 * channels) ** -0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(nn.functional.leaky_relu(self.first(x), SLOPE))


class Correction(nn.Module):
    """One volume (X, Y, Z) from INPUTS of them; 0 before training."""

    def __init__(self, channels: tuple[int, int], deep_blocks: int):
        super().__init__()
        fine, coarse = channels
        self.entrance = nn.Conv3d(8 * INPUTS, fine, 3, padding=1, bias=False)
        self.before, self.after = Residual(fine), Residual(fine)
        self.down = nn.Conv3d(fine, coarse, 2, stride=2, bias=False)
        self.deep = nn.Sequential(*(Residual(coarse) for _ in range(deep_blocks)))
        self.up = nn.ConvTranspose3d(coarse, fine, 2, stride=2, bias=False)
        self.exit = nn.Conv3d(fine, 8, 3, padding=1, bias=False)
        nn.init.zeros_(self.exit.weight)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """(INPUTS, X, Y, Z) → (X, Y, Z)."""
        shape = volumes.shape[1:]
        padded = nn.functional.pad(volumes, [p for n in reversed(shape) for p in (0, -n % LEVELS)])
        x = unshuffled(padded[None]).contiguous(memory_format=torch.channels_last_3d)
        x = self.before(nn.functional.leaky_relu(self.entrance(x), SLOPE))
        x = self.after(x + self.up(self.deep(nn.functional.leaky_relu(self.down(x), SLOPE))))
        return shuffled(self.exit(nn.functional.leaky_relu(x, SLOPE)))[0, 0][tuple(slice(n) for n in shape)]


class Unrolled(nn.Module):
    """χ after each iteration and u, all (X, Y, Z) in units of the field's rms, from a Prepared start."""

    def __init__(self, channels: tuple[int, int] = CHANNELS, iterations: int = ITERATIONS, deep_blocks: int = 2):
        super().__init__()
        self.corrections = nn.ModuleList(Correction(channels, deep_blocks) for _ in range(iterations))
        self.log_pull = nn.Parameter(torch.zeros(iterations))
        self.log_ridge = nn.Parameter(torch.zeros(iterations))
        self.doubt = Correction((channels[0] // 2, channels[1] // 2), 1)

    def forward(self, start: Prepared) -> tuple[list[torch.Tensor], torch.Tensor]:
        problem = SourceProblem(start.field, start.mask, start.geometry, start.weight, PADDING)
        x, found = problem.placed(start.start), []
        pull, ridge = self.log_pull.exp() * (1e-3 + 4 * start.sigma**2), self.log_ridge.exp() * start.sigma**2 / 4
        for k, correction in enumerate(self.corrections):
            seen = inputs(x, start, problem)
            z = x + problem.placed(start.mask * correction(seen))
            x = towards(z, problem, pull[k] * problem.inside + ridge[k] * (1 - problem.inside))
            found.append(x[problem.kept] * start.mask)
        last = inputs(x.detach(), start, problem)
        u = (self.doubt(torch.cat([last[:1], last[:1] - seen[:1].detach(), last[2:]])) + start.sigma + 0.1).abs() * start.mask
        return found, u


def inputs(x: torch.Tensor, start: Prepared, problem: SourceProblem) -> torch.Tensor:
    """What a CNN sees, (INPUTS, X, Y, Z), each about 1."""
    pulled = problem.adjoint(problem.squared * (problem.field - problem.forward(x)))[problem.kept]
    inside, mask = x[problem.kept], start.mask
    doubt = (start.sigma / start.weight.clamp(min=0.1)).clamp(max=1)
    volumes = [inside / 3, (start.ridge - inside) / 2, 10 * pulled, 3 * start.sigma * torch.ones_like(mask), 3 * doubt, start.guide / 2, mask]
    return torch.stack(volumes) * mask


def towards(z: torch.Tensor, problem: SourceProblem, strength: torch.Tensor) -> torch.Tensor:
    """The data steps from z, drawn to z in the mask and to 0 outside with the strength given (grid)."""
    normal = lambda v: problem.normal(v, problem.squared) + strength * v
    right = problem.adjoint(problem.squared * (problem.field - problem.forward(z))) - strength * (1 - problem.inside) * z
    step, _ = conjugate_gradient(normal, right, torch.zeros_like(z), DATA_STEPS)
    return z + step
