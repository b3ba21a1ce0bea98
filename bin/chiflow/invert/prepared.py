"""What the network starts from: the field and a few iterations of masked TV, all in units of the field's root mean square.

    xc   20 conjugate gradient steps with a ridge                                     (problem.py)
    x    masked TV from there, 15 iterations, with λ, σ and W from the misfit          (tv.py, misfit.py)

χ of the network times that unit is χ in ppm: (c f, c σ) gives c χ, whatever the network is. The guide is the magnitude over its local mean, less 1,
over its standard deviation in the mask, within ± 3: edges without a scale.
"""

from dataclasses import dataclass, replace

import torch
from torch.nn.functional import avg_pool3d

from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress
from chiflow.invert.misfit import lambda_for, refine, within
from chiflow.invert.problem import RIM, MaskedProblem
from chiflow.invert.tv import STEP_PER_FIELD, TotalVariation

ITERATIONS = 15
REFINED_AT = (5, 10)
LOCAL_MM = 15.0
GUIDE_LIMIT = 3.0


@dataclass(frozen=True)
class Prepared:
    """Tensors (X, Y, Z): field, ridge (xc) and start (x) in units of rms_ppm, mask (float), weight (W, refined), guide (0 without a magnitude).

    sigma : of the field where the weight is 1, in units of rms_ppm, from the misfit.
    """

    geometry: Geometry
    field: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor
    ridge: torch.Tensor
    start: torch.Tensor
    guide: torch.Tensor
    sigma: float
    rms_ppm: float


def prepared(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float,
             magnitude: torch.Tensor | None) -> Prepared:
    """The start for a field (ppm), a mask (bool), W and a magnitude in any unit; tensors (X, Y, Z)."""
    problem = MaskedProblem(field, mask, geometry, weight)
    rms = max(problem.power**0.5, 1e-12)
    sigma = within(sigma_ppm, rms)
    ridge = problem.warm_start(sigma**2)
    search = TotalVariation(problem, ridge, STEP_PER_FIELD * rms)
    search.take(lambda_for(sigma, rms))
    for iteration in progress(range(ITERATIONS), "TV start"):
        if iteration in REFINED_AT:
            sigma = refine(problem, search.chi, sigma, rms, search.strength)
            search.take(lambda_for(sigma, rms))
        search.iterate()
    guide = torch.zeros_like(field) if magnitude is None else standardised(magnitude, mask, geometry)
    unit = lambda volume: volume[RIM] / rms
    return Prepared(geometry, unit(problem.field) * mask, mask.float(), problem.squared[RIM].sqrt(), unit(ridge), unit(search.chi), guide, sigma / rms, rms)


def standardised(magnitude: torch.Tensor, mask: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """The guide of a magnitude; 0 where the magnitude says nothing."""
    inside = mask.float()
    image = magnitude * inside
    for axis, size in enumerate(geometry.voxel_size):
        reach = [0, 0, 0]
        reach[axis] = min(max(round(LOCAL_MM / size), 1), (mask.shape[axis] - 1) // 2)
        mean = lambda v: avg_pool3d(v[None, None], [2 * r + 1 for r in reach], 1, reach)[0, 0]
        image, inside = mean(image), mean(inside)
    relative = torch.where(mask, magnitude * inside / image.clamp(min=1e-20) - 1, 0)
    spread = relative[mask].std().clamp(min=1e-6)
    return (relative / spread).clamp(-GUIDE_LIMIT, GUIDE_LIMIT) * (image.max() > 0)


def turned(start: Prepared, flips: tuple[int, ...] = (), sign: float = 1.0, order: tuple[int, int, int] = (0, 1, 2)) -> Prepared:
    """The same scan with its axes in another order, then some of them flipped, and the sign of field and χ changed; TV commutes with all of it."""
    move = lambda volume: volume.permute(order).flip(flips)
    shape, size, b0 = ([values[a] for a in order] for values in (start.geometry.shape, start.geometry.voxel_size, start.geometry.b0))
    b0 = [-b if axis in flips else b for axis, b in enumerate(b0)]
    kept = {name: move(getattr(start, name)) for name in ("mask", "weight", "guide")}
    signed = {name: sign * move(getattr(start, name)) for name in ("field", "ridge", "start")}
    return replace(start, geometry=Geometry(tuple(shape), tuple(size), tuple(b0)), **kept, **signed)
