"""The range of every figure of a scan over the training samples: outside it nobody has seen what the network does.

A figure is computed here by the function that computes it for a scan (invert/guard.py). Voxel sizes: least and largest. The rest: percentiles 1 and 99.
"""

import numpy as np
import torch

from chiflow.core.dipole import DipoleOperator
from chiflow.core.progress import progress
from chiflow.invert.guard import figures_after, figures_before
from chiflow.invert.unrolled import Unrolled
from chiflow.simulate.recipe import Recipe, drawn
from chiflow.train.shards import ATTEMPTS, restored

RESIDUALS = 200  # samples, spread evenly, that are inverted for it
EXTREMES = ("SmallestVoxelMm", "LargestVoxelMm", "MeanVoxelMm", "VoxelAnisotropy")
NOT_A_RANGE = ("ZeroShare",)  # has a bound of its own


def ranges(shards: list[tuple[int, list[dict]]], seed: int, heads: int, first_whole: int, network: Unrolled) -> dict[str, list[float]]:
    """Lower and upper bound of each figure. shards : number and samples of each; heads : how many label maps they were drawn from; first_whole : see Stock."""
    numbered = [(number * len(contents) + index, number >= first_whole, content) for number, contents in shards for index, content in enumerate(contents)]
    every = max(len(numbered) // RESIDUALS, 1)
    rows = []
    for place, (number, whole, content) in enumerate(progress(numbered, "ranges")):
        recipe = recipe_of(content, seed, number, heads, whole)
        rows.append(figures(content, recipe, network if place % every == 0 else None))
    names = [name for name in rows[0] if name not in NOT_A_RANGE]
    return {name: bounds(name, [row[name] for row in rows if name in row]) for name in names}


def bounds(name: str, values: list[float]) -> list[float]:
    """The two ends of a range."""
    low, high = (0, 100) if name in EXTREMES else (1, 99)
    return [float(f"{np.percentile(values, q):.4g}") for q in (low, high)]


@torch.no_grad()
def figures(content: dict, recipe: Recipe, network: Unrolled | None) -> dict[str, float]:
    """The figures of one sample, with those after an inversion when there is a network."""
    start, _ = restored(content) if network is None else restored(content, network.log_pull.device)
    size, inside = start.geometry.voxel_size, start.mask > 0
    found = figures_before(start, recipe.sigma_ppm * recipe.told)
    found |= {"VoxelAnisotropy": max(size) / min(size), "MaskCoverage": float(inside.float().mean())}
    if network is not None:
        solution = network(start)
        predicted = DipoleOperator(start.geometry, device=start.field.device).forward(solution.chi)
        found |= figures_after(start.field - solution.harmonic - predicted, start)
    return found


def recipe_of(content: dict, seed: int, number: int, heads: int, whole: bool = False) -> Recipe:
    """The recipe of a sample: of the attempts at it, the one with its voxel size and B0."""
    recipes = (drawn(np.random.default_rng([seed, number, attempt]), heads, whole=whole) for attempt in range(ATTEMPTS))
    return next(recipe for recipe in recipes if np.allclose((*recipe.voxel_size, *recipe.b0), (*content["geometry"][1], *content["geometry"][2])))
