"""The network: a correction learned from data, and a few conjugate gradient steps on the physics, in turn.

    x₀ = guided TV (prepared.py);      for k = 1 … K:
    z = x + CNN_k(x, xc − x, S c − x, 10 Dᵀ W² r, 3 σ, 3 σ / W, guide, mask)  in the mask,      r = f − D x
    x ← 6 steps towards the minimum of   ½ ‖W (D x − f)‖² + λ_k/2 ‖x − z‖² in the mask + ρ_k/2 ‖x‖² outside,      ρ_k = b_k σ² / 4

x is free outside the mask, where sources take what is harmonic in the mask, the rest of a background; or 0 there for an exact field. The kernel D is
that of the voxel size and B0 of the scan, so no kernel is learned. λ_k = a_k (1e-3 + 4 σ²). The last layer of each CNN starts at 0: untrained, the network is guided TV.
Everything is in units of the field's root mean square.

The CNN is that of core/blocks.py. A smaller one, of the same form, says how far off the result is: u, the 90 % quantile of |error|.

References: Hammernik 2018 (10.1002/mrm.26977) for unrolling, Aggarwal 2019 (10.1109/TMI.2018.2865356) for conjugate gradients inside,
Jung 2022 (10.1002/nbm.4292) for QSM networks and where they fail.
"""

from dataclasses import dataclass

import torch
from torch import nn

from chiflow.core.blocks import Correction
from chiflow.core.solvers import conjugate_gradient
from chiflow.invert.prepared import Prepared
from chiflow.core.variation.sources import SourceProblem

CHANNELS = (32, 56)
ITERATIONS = 2
DATA_STEPS = 6
INPUTS = 8
SCALE = 3.0  # χ in units of the field's rms
FIRST_PULL = 1.0  # log a_k before training


@dataclass(frozen=True)
class Solution:
    """Tensors (X, Y, Z) in units of the field's rms: the earlier maps, chi, u, and harmonic, the field of the sources outside the mask."""

    earlier: list[torch.Tensor]
    chi: torch.Tensor
    u: torch.Tensor
    harmonic: torch.Tensor


class Unrolled(nn.Module):
    """The Solution of a Prepared start."""

    def __init__(self, channels: tuple[int, int] = CHANNELS, iterations: int = ITERATIONS, deep_blocks: int = 2):
        super().__init__()
        self.corrections = nn.ModuleList(Correction(INPUTS, channels, deep_blocks) for _ in range(iterations))
        self.log_pull = nn.Parameter(torch.full((iterations,), FIRST_PULL))
        self.log_ridge = nn.Parameter(torch.zeros(iterations))
        self.doubt = Correction(INPUTS, (channels[0] // 2, channels[1] // 2), 1)

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
