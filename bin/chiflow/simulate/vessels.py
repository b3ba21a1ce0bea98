"""Veins as trees: each branch parts into thinner ones, thin ones leave it on the way.

A branch bends at random; its daughters have 0.65 to 0.85 of its radius, as Murray's law has for two alike (2^−⅓ = 0.79), side branches less.
A vessel thinner than the grid fills the share of a voxel that its cross-section has.

Reference: Murray 1926 (10.1073/pnas.12.3.207).
"""

import numpy as np
import torch

THINNEST_MM, DEEPEST = 0.25, 3
BEND, STEP_MM = 0.06, (8.0, 30.0)


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


def walk(rng: np.random.Generator, place: np.ndarray, heading: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (N, 3) of a bent branch and its unit headings (N, 3)."""
    count = int(rng.uniform(*STEP_MM) / step.min())
    headings = np.cumsum(rng.standard_normal((count, 3)) * BEND, axis=0) + heading / np.linalg.norm(heading)
    headings /= np.linalg.norm(headings, axis=1, keepdims=True)
    return place + np.cumsum(headings * step.min(), axis=0) / step, headings


def daughters(rng: np.random.Generator, path: np.ndarray, headings: np.ndarray, radius: float, level: int) -> list[tuple]:
    """Two branches from the end of one, and often a thin one from its middle."""
    ends = [(path[-1], headings[-1] + 0.6 * rng.standard_normal(3), radius * rng.uniform(0.65, 0.85), level + 1) for _ in range(2)]
    if rng.random() < 0.3:
        return ends
    middle = len(path) // 2
    return [*ends, (path[middle], headings[middle] + 0.8 * rng.standard_normal(3), radius * rng.uniform(0.3, 0.6), level + 2)]


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
