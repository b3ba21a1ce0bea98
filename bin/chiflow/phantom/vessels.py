"""Veins as trees: each branch parts into thinner ones, thin ones leave it on the way.

A branch bends at random; its daughters have 0.65 to 0.85 of its radius, as Murray's law has for two alike
(2^−⅓ = 0.79), side branches less.

Reference: Murray 1926 (10.1073/pnas.12.3.207).
"""

from dataclasses import dataclass

import numpy as np
import torch

from chiflow.phantom.canvas import Canvas

THINNEST_MM, DEEPEST = 0.25, 3
BEND, STEP_MM = 0.06, (8.0, 30.0)
SPACING_MM = 0.5  # between the points of a tree
DISC, GOLDEN = 7, np.pi * (3 - 5**0.5)  # points that stand for a section


@dataclass(frozen=True)
class Trees:
    """Points (N, 3) every SPACING_MM along the branches in head coordinates (mm), unit headings (N, 3) and
    radius (N,) in mm.
    """

    points: np.ndarray
    headings: np.ndarray
    radius: np.ndarray


def draw_trees(rng: np.random.Generator, count: int, thickest_mm: float) -> Trees:
    """Trees whose trunks begin below the surface of the brain and run inwards, or beside the ventricles and
    run outwards.
    """
    step, parts = np.full(3, SPACING_MM), []
    for _ in range(count):
        origin, heading = _trunk(rng)
        branches = [(origin / step, heading, rng.uniform(THINNEST_MM, thickest_mm), 0)]
        while branches:
            place, heading, radius, level = branches.pop()
            path, headings = walk(rng, place, heading, step)
            parts.append((path * step, headings, np.full(len(path), radius)))
            if level < DEEPEST and radius > THINNEST_MM:
                branches += daughters(rng, path, headings, radius, level)
    return Trees(*(np.concatenate(part) for part in zip(*parts)))


def _trunk(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where a tree begins, in head coordinates (mm), and its heading."""
    outward = rng.standard_normal(3)
    outward /= np.linalg.norm(outward)
    if rng.random() < 0.4:
        return np.array([rng.choice([-1, 1]) * rng.uniform(4, 18), rng.uniform(-45, 35), rng.uniform(0, 28)]), outward
    if rng.random() < 0.15:
        return np.array([rng.choice([-1, 1]) * 21, -55, -41]) + outward * np.array([25, 23, 16]) * rng.uniform(0.5, 1), -outward
    return np.array([0, 0, 13]) + outward * np.array([65, 82, 57]) * rng.uniform(0.6, 1), -outward + 0.5 * rng.standard_normal(3)


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


def vein_share(canvas: Canvas, trees: Trees) -> np.ndarray:
    """Share of each voxel (X, Y, Z) of a canvas that trees fill: points spread over each section, their
    volume shared by the voxels round them.
    """
    share = torch.zeros(int(np.prod(canvas.grid.shape)))
    aside = np.cross(trees.headings, np.where(np.abs(trees.headings[:, :1]) < 0.7, [[1.0, 0, 0]], [[0, 1.0, 0]]))
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    across = np.cross(trees.headings, aside)
    volume = np.pi * trees.radius**2 * SPACING_MM / DISC / abs(np.linalg.det(canvas.to_head[:3, :3]))
    for number in range(DISC):
        out, angle = np.sqrt((number + 0.5) / DISC), number * GOLDEN
        points = trees.points + out * trees.radius[:, None] * (np.cos(angle) * aside + np.sin(angle) * across)
        _deposit(share, points @ canvas.from_head[:3, :3].T + canvas.from_head[:3, 3], volume, canvas.grid.shape)
    return share.clamp(max=1).reshape(canvas.grid.shape).numpy()


def _deposit(share: torch.Tensor, voxels: np.ndarray, volume: np.ndarray, shape: tuple[int, ...]) -> None:
    """Add volumes (N,) at places (N, 3) to the eight voxels round each, in place."""
    low = np.floor(voxels).astype(np.int64)
    part = voxels - low
    for corner in np.ndindex(2, 2, 2):
        place = low + corner
        weight = volume * np.prod(np.where(corner, part, 1 - part), axis=1)
        inside = ((place >= 0) & (place < shape)).all(1)
        index = np.ravel_multi_index(place[inside].T, shape)
        share.index_add_(0, torch.from_numpy(index), torch.from_numpy(weight[inside].astype(np.float32)))
