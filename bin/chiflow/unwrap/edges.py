"""Qualities of doubtful edges by a small network, where a single echo leaves nothing but space to tell the turns.

An edge from i to j along an axis has the step d = γ(φ_j − φ_i), right when it is the true step. Its hand-made quality (core/spanning_tree.py) stands where it
is good. Elsewhere it is GOOD · σ(network(x) / 3), so that what is good comes first in the tree, with the features x

    |d|,   |γ(d − d')| of the 4 parallel edges beside it and of the 2 in line with it, each in order of size, π/2 where there is none
    |γ(d − g)|, |g|, c      g the angle, c the length of Σ w e^{i d'} / Σ w over the 15 parallel edges around, without and with itself
    the number of its 4 squares whose steps do not add up to 0, and the density of such residues around
    the smaller over the larger magnitude, and the smaller in units of the 95th percentile, at most 1.5          w = the smaller magnitude

None of it changes with the sign or an offset of the phase, with flipped or swapped axes, or with the unit of the magnitude.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from chiflow.core.spanning_tree import GOOD, pair, wrapped
from chiflow.core.units import TWO_PI

EDGE_FEATURES = 14
NO_EDGE = np.float32(np.pi / 2)
FLATTENED = np.float32(3)  # logits over that: costs of a tree have 4096 levels
RIM = 2
CHUNK = 65536
TINY = np.float32(1e-12)


@dataclass(frozen=True)
class Steps:
    """Raveled volumes with a free rim of RIM voxels: step d and weight w of the edge that begins in a voxel, of each axis; residues of the square

    that begins there, by its two axes; their density; magnitude; and the strides of the axes.
    """

    step: list[np.ndarray]
    weight: list[np.ndarray]
    residue: dict[tuple[int, int], np.ndarray]
    density: np.ndarray
    magnitude: np.ndarray
    strides: tuple[int, int, int]
    shape: tuple[int, int, int]


def judged(phase, magnitude, mask, qualities: list[np.ndarray], layers: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Qualities of the edges along each axis with those below GOOD by the network, in place.

    phase, magnitude, mask : (X, Y, Z); phase in rad, the magnitude over its 95th percentile. layers : (matrix, bias) each.
    """
    steps = steps_of(phase, magnitude, mask)
    for axis, quality in enumerate(qualities):
        at = doubtful(quality, mask, axis)
        place, flat = placed(at, quality.shape, steps), quality.reshape(-1)
        for part in (slice(start, start + CHUNK) for start in range(0, at.size, CHUNK)):
            flat[at[part]] = GOOD / (1 + np.exp(-logits(edge_features(steps, axis, place[part]), layers) / FLATTENED))
    return qualities


def doubtful(quality: np.ndarray, mask: np.ndarray, axis: int) -> np.ndarray:
    """Raveled indices of the edges along an axis within the mask that are not good."""
    i, j = pair(axis)
    return np.flatnonzero((quality < GOOD) & mask[i] & mask[j])


def doubtful_share(qualities: list[np.ndarray], mask: np.ndarray) -> float:
    """Share of the edges within the mask that are not good."""
    within = sum(np.count_nonzero(mask[i] & mask[j]) for i, j in map(pair, range(3)))
    return sum(doubtful(quality, mask, axis).size for axis, quality in enumerate(qualities)) / max(within, 1)


def placed(at: np.ndarray, shape: tuple[int, ...], steps: Steps) -> np.ndarray:
    """Where the first voxels of edges, raveled in `shape`, lie in the volumes with a rim."""
    return np.ravel_multi_index([index + RIM for index in np.unravel_index(at, shape)], steps.shape)


def steps_of(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray) -> Steps:
    """All that the features of an edge are made of."""
    phase, magnitude, inside = (np.pad(a, RIM) for a in (phase.astype(np.float32), np.where(mask, magnitude, 0).astype(np.float32), mask))
    step, weight = [], []
    for axis in range(3):
        i, j = pair(axis)
        step.append(np.zeros_like(phase))
        weight.append(np.zeros_like(phase))
        both = inside[i] & inside[j]
        step[axis][i] = np.where(both, wrapped(phase[j] - phase[i]), 0)
        weight[axis][i] = np.where(both, np.maximum(np.minimum(magnitude[i], magnitude[j]), TINY), 0)
    residue = {(a, b): residues(step, weight, a, b) for a in range(3) for b in range(a + 1, 3)}
    density = gaussian_filter(sum(at_corners(r, *axes) for axes, r in residue.items()), 1.0, truncate=2)
    strides = phase.shape[1] * phase.shape[2], phase.shape[2], 1
    return Steps([s.ravel() for s in step], [w.ravel() for w in weight], {axes: r.ravel() for axes, r in residue.items()}, density.ravel(), magnitude.ravel(), strides, phase.shape)


def residues(step, weight, a: int, b: int) -> np.ndarray:
    """1 where the steps around the square along axes a and b, from its first voxel, do not add up to 0, and its four edges lie in the mask."""
    result = np.zeros_like(step[a])
    ends = tuple(slice(None, -1) if axis in (a, b) else slice(None) for axis in range(3))
    first, along, across = ends, tuple(slice(1, None) if k == a else s for k, s in enumerate(ends)), tuple(slice(1, None) if k == b else s for k, s in enumerate(ends))
    turns = np.abs(np.rint((step[a][first] + step[b][along] - step[a][across] - step[b][first]) * np.float32(1 / TWO_PI)))
    whole = (weight[a][first] > 0) & (weight[b][along] > 0) & (weight[a][across] > 0) & (weight[b][first] > 0)
    result[first] = turns * whole
    return result


def at_corners(square: np.ndarray, a: int, b: int) -> np.ndarray:
    """Sum, at each voxel, over the four squares along axes a and b that it is a corner of: a flip finds the same."""
    either = square + np.roll(square, 1, a)
    return either + np.roll(either, 1, b)


def edge_features(steps: Steps, axis: int, place: np.ndarray) -> np.ndarray:
    """Features x (n, EDGE_FEATURES) float32 of the edges along an axis that begin at `place` (n,)."""
    along, sideways = steps.strides[axis], [k for k in range(3) if k != axis]
    step, weight = steps.step[axis], steps.weight[axis]
    beside = [sign * steps.strides[k] for k in sideways for sign in (-1, 1)]
    own = step[place]
    away = lambda offsets: [np.where(weight[place + o] > 0, np.abs(wrapped(own - step[place + o])), NO_EDGE) for o in offsets]
    total, real, imaginary = (np.zeros(place.size, np.float32) for _ in range(3))
    for offset in (o + s for o in (0, *beside) for s in (-along, 0, along)):
        w, d = weight[place + offset], step[place + offset]
        total += w
        real += w * np.cos(d)
        imaginary += w * np.sin(d)
    w = weight[place]
    mean = np.arctan2(imaginary - w * np.sin(own), real - w * np.cos(own))
    squares = sum(steps.residue[min(axis, k), max(axis, k)][place - back * steps.strides[k]] for k in sideways for back in (0, 1))
    ends = steps.magnitude[place], steps.magnitude[place + along]
    low, high = np.minimum(*ends), np.maximum(*ends)
    x = [np.abs(own), *np.sort(away(beside), axis=0), *np.sort(away((-along, along)), axis=0), np.abs(wrapped(own - mean)), np.abs(mean),
         np.hypot(real, imaginary) / np.maximum(total, TINY), squares, (steps.density[place] + steps.density[place + along]) / 2,
         low / np.maximum(high, TINY), np.minimum(low, np.float32(1.5))]
    return np.stack(x, axis=1).astype(np.float32)


def logits(x: np.ndarray, layers: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Output (n,) of a perceptron of features x (n, EDGE_FEATURES), with ReLU between its layers."""
    for matrix, bias in layers[:-1]:
        x = np.maximum(x @ matrix + bias, 0)
    return (x @ layers[-1][0] + layers[-1][1])[:, 0]
