"""Guided total variation: TV counts only what the magnitude does not explain, and little where the magnitude has an edge.

    min over χ, q, c   ½ ‖W (D χ + D q − f)‖² + λ h(M_G ∇(χ − S c)) + (σ / 2 rms f)² / 2 ‖q‖²

S c are the images that a guide explains (images.py), found with χ: a tissue of one grey value takes its χ at no cost. M_G is m on the 30 % largest
differences of the guide and 1 elsewhere, as in MEDI, with m = min(1, 0.1 + 0.8 σ/rms f): through the edges of a noisy field noise would enter.
λ is then twice the rule of misfit.py (1.4 times with q), since both make TV dearer for noise than for tissue. What is not in the guide costs what it costs in TV.

h is ‖ ‖₁; for an exact field rounded below 0.3 rms f (Huber): the texture of a tissue has small slopes everywhere, and TV would flatten it.

q are sources outside the mask, for what a background removal left of the background (remainder.py); an exact field (least σ 0) has none.

ADMM (sources.py) from 20 conjugate gradient steps; λ and W follow the misfit. All rules scale with the field, so χ is homogeneous in (f, σ).

References: Chen 2007 (10.1145/1276377.1276506) for the images, Liu 2012 (10.1016/j.neuroimage.2011.08.082) for the edges, Liu 2017
(10.1002/mrm.26331) for sources outside.
"""

from dataclasses import dataclass

import torch

from chiflow.core.geometry import Geometry
from chiflow.core.variation.guide import standardised
from chiflow.core.progress import progress
from chiflow.core.solvers import conjugate_gradient
from chiflow.core.variation.images import GuideImages
from chiflow.core.variation.edges import edge_weight
from chiflow.core.variation.misfit import lambda_for, refine, ridge_for, within
from chiflow.core.variation.sources import SourceProblem, SourceSearch, padding_for

REFINED_AT = (4, 8)  # iterations; the misfit settles after them
START_ITERATIONS = 20
INNER_ITERATIONS = 5
RELAXATION = 1.6
EDGES = 0.3
ON_EDGES, ON_EDGES_PER_NOISE = 0.1, 0.8
OUTSIDE_PER_FIELD = 2.0  # deviation of q in units of the field's root mean square
STEP_PER_FIELD = 3.0  # λ/ρ in units of the field's root mean square


@dataclass(frozen=True)
class Rules:
    """iterations : of ADMM. factor : λ over the rule of misfit.py, with a magnitude. rounding : of h, in units of rms f. padding : of the grid, by the mask when None."""

    iterations: int
    factor: float
    rounding: float
    padding: float | None = None


EXACT, OPEN = Rules(14, 2.0, 0.3), Rules(20, 1.4, 0.0)  # without q, with it


@dataclass(frozen=True)
class Guided:
    """Tensors (X, Y, Z) in ppm, 0 outside the mask: chi, explained (S c), ridge (the start), harmonic (field of q); guide without a unit.

    weight : W as refined. sigma : of the misfit, strength : λ, rms : of the field, all in ppm. closed : there was no q. padding : of the grid.
    """

    chi: torch.Tensor
    explained: torch.Tensor
    ridge: torch.Tensor
    harmonic: torch.Tensor
    guide: torch.Tensor
    weight: torch.Tensor
    sigma: float
    strength: float
    rms: float
    closed: bool
    padding: float


def guided(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float, magnitude: torch.Tensor | None,
           least_sigma_ppm: float = 0.0, lambda_ppm: float | None = None, rules: Rules | None = None) -> Guided:
    """Guided TV with all that it found; arguments as those of gtv. rules : those of the kind of field when None."""
    guide = torch.zeros_like(field) if magnitude is None else standardised(magnitude, mask, geometry)
    closed = least_sigma_ppm == 0
    rules = rules or (EXACT if closed else OPEN)
    padding = rules.padding or padding_for(mask)
    problem = SourceProblem(field, mask, geometry, weight, padding)
    rms = max(problem.power(problem.field), 1e-24) ** 0.5
    sigma = within(max(sigma_ppm, least_sigma_ppm), rms)
    ridge = started(problem, sigma, rms, closed)
    problem.both = problem.both * edge_weight(problem.inside, problem.placed(guide), problem.voxel_size, EDGES, min(ON_EDGES + ON_EDGES_PER_NOISE * sigma / rms, 1))
    images = None if magnitude is None else GuideImages(guide, mask, geometry)
    search = SourceSearch(problem, ridge, STEP_PER_FIELD * rms, images, closed=closed, inner=INNER_ITERATIONS, relaxation=RELAXATION,
                          rounding=rules.rounding * rms)
    strength, factor = 0.0, 1.0 if magnitude is None else rules.factor
    for iteration in progress(range(rules.iterations), "Guided TV"):
        if iteration in REFINED_AT:
            sigma = refine(problem, search.chi, sigma, rms, strength, least_sigma_ppm)
        strength = factor * lambda_for(sigma, rms) if lambda_ppm is None else lambda_ppm
        search.iterate(strength, problem.squared, outside_ridge(sigma, rms))
    cut = lambda volume: volume[problem.kept] * mask
    harmonic = torch.zeros_like(field) if closed else cut(problem.forward((1 - problem.inside) * search.chi))
    return Guided(cut(search.chi), cut(search.explained), cut(ridge), harmonic, guide, cut(problem.squared.sqrt()), sigma, strength, rms, closed, padding)


def started(problem: SourceProblem, sigma: float, rms: float, closed: bool) -> torch.Tensor:
    """χ on the grid after conjugate gradient steps with a ridge."""
    where = problem.inside if closed else 1.0
    ridge = ridge_for(sigma**2, rms**2) * problem.inside + outside_ridge(sigma, rms) * (1 - problem.inside)
    right = where * problem.adjoint(problem.squared * problem.field)
    return conjugate_gradient(lambda x: where * problem.normal(x, problem.squared) + ridge * x, right, torch.zeros_like(right), START_ITERATIONS)[0]


def outside_ridge(sigma: float, rms: float) -> float:
    """Ridge on q for an error σ and a field of the root mean square given, both in ppm."""
    return (sigma / (OUTSIDE_PER_FIELD * rms)) ** 2
