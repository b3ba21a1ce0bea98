"""Veins as trees: each branch parts into thinner ones, thin ones leave it on the way.

A branch bends at random; its daughters have 0.65 to 0.85 of its radius, as Murray's law has for two alike (2^−⅓ = 0.79), side branches less.
A vessel thinner than the grid fills the share of a voxel that its cross-section has.

Reference: Murray 1926 (10.1073/pnas.12.3.207).
"""

import numpy as np
import torch

from chiflow.phantom.vessels import DEEPEST, THINNEST_MM, daughters, walk


def vessel_share(rng: np.random.Generator, tissue: torch.Tensor, step_mm: tuple[float, ...], trees: int) -> torch.Tensor:
    """Share of each voxel (X, Y, Z) that vessels fill; trees start anywhere in the tissue (bool)."""
    step, share = np.array(step_mm), torch.zeros(tissue.shape)
    starts = 4 * np.argwhere(tissue[::4, ::4, ::4].numpy())
    for _ in range(trees if len(starts) else 0):
        origin = starts[rng.integers(len(starts))].astype(float)
        branches = [(origin, rng.standard_normal(3), rng.uniform(0.3, 1.3), 0)]
        while branches:
            place, heading, radius, level = branches.pop()
            path, headings = walk(rng, place, heading, step)
            fill(share, path, radius, step)
            if level < DEEPEST and radius > THINNEST_MM:
                branches += daughters(rng, path, headings, radius, level)
    return share * tissue


def fill(share: torch.Tensor, path: np.ndarray, radius: float, step: np.ndarray) -> None:
    """Put a branch into the shares, in place."""
    least = 0.5 * step.min()
    wide = max(radius, least)
    reach = [np.arange(-int(np.ceil(wide / s)), int(np.ceil(wide / s)) + 1) for s in step]
    ball = np.stack(np.meshgrid(*reach, indexing="ij"), -1).reshape(-1, 3)
    ball = ball[((ball * step) ** 2).sum(1) <= wide**2]
    voxels = (path[:, None] + ball).reshape(-1, 3).round().astype(np.int64)
    voxels = torch.from_numpy(voxels[((voxels >= 0) & (voxels < share.shape)).all(1)])
    if len(voxels):
        x, y, z = voxels.T
        share[x, y, z] = share[x, y, z].clamp(min=min(1.0, (radius / wide) ** 2))
