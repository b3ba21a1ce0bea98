"""What the network starts from: the field and a few iterations of guided TV, all in units of the field's root mean square.

    xc       20 conjugate gradient steps with a ridge                                  (problem.py)
    x, S c   guided TV from there, with λ, σ and W from the misfit                     (gtv.py, misfit.py)

χ of the network times that unit is χ in ppm: (c f, c σ) gives c χ, whatever the network is.
"""

from dataclasses import dataclass, replace

import torch

from chiflow.core.geometry import Geometry
from chiflow.invert.gtv import ITERATIONS, GuidedVariation
from chiflow.invert.guide import standardised
from chiflow.invert.misfit import within
from chiflow.invert.problem import RIM, MaskedProblem
from chiflow.invert.tv import STEP_PER_FIELD


@dataclass(frozen=True)
class Prepared:
    """Tensors (X, Y, Z): field, ridge (xc), start (x) and explained (S c) in units of rms_ppm, mask (float), weight (W, refined), guide (0 without one).

    sigma : of the field where the weight is 1, in units of rms_ppm, from the misfit.
    """

    geometry: Geometry
    field: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor
    ridge: torch.Tensor
    start: torch.Tensor
    explained: torch.Tensor
    guide: torch.Tensor
    sigma: float
    rms_ppm: float


def prepared(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float,
             magnitude: torch.Tensor | None, least_sigma_ppm: float = 0.0) -> Prepared:
    """The start for a field (ppm), a mask (bool), W and a magnitude in any unit; tensors (X, Y, Z). least_sigma_ppm : see gtv."""
    guide = torch.zeros_like(field) if magnitude is None else standardised(magnitude, mask, geometry)
    problem = MaskedProblem(field, mask, geometry, weight)
    rms = max(problem.power**0.5, 1e-12)
    sigma = within(max(sigma_ppm, least_sigma_ppm), rms)
    ridge = problem.warm_start(sigma**2)
    search = GuidedVariation(problem, guide, ridge, STEP_PER_FIELD * rms)
    sigma = search.run(sigma, rms, ITERATIONS, least_sigma_ppm)
    explained = search.parts(search.unknown)[1]
    unit = lambda volume: volume[RIM] / rms * mask
    volumes = {"field": unit(problem.field), "ridge": unit(ridge), "start": unit(search.chi), "explained": unit(explained)}
    return Prepared(geometry, mask=mask.float(), weight=problem.squared[RIM].sqrt(), guide=guide, sigma=sigma / rms, rms_ppm=rms, **volumes)


def turned(start: Prepared, flips: tuple[int, ...] = (), sign: float = 1.0, order: tuple[int, int, int] = (0, 1, 2), contrast: float = 1.0) -> Prepared:
    """The same scan with its axes in another order, then some of them flipped, and the sign of field and χ, and of the guide, changed."""
    move = lambda volume: volume.permute(order).flip(flips)
    shape, size, b0 = ([values[a] for a in order] for values in (start.geometry.shape, start.geometry.voxel_size, start.geometry.b0))
    b0 = [-b if axis in flips else b for axis, b in enumerate(b0)]
    kept = {name: move(getattr(start, name)) for name in ("mask", "weight")}
    signed = {name: sign * move(getattr(start, name)) for name in ("field", "ridge", "start", "explained")}
    return replace(start, geometry=Geometry(tuple(shape), tuple(size), tuple(b0)), guide=contrast * move(start.guide), **kept, **signed)
