"""Exact phase unwrapping along a maximum spanning tree.

Growing a region by its best edge first visits the edges of a maximum spanning tree. Along the tree neighbours may differ by at most π,
so every voxel gets the integer of its parent plus that of the edge:

    u = φ + 2π n,      n_child = n_parent + round((φ_parent − φ_child) / 2π)

The quality of an edge (i, j) is a product of the weights of ROMEO, γ being the wrap into [−π, π):

    phase coherence      1 − |γ(φi − φj)| / π
    gradient coherence   1 − |γ(φi − φj) − γ(ψi − ψj) · TEφ/TEψ|       ψ: another echo
    phase linearity      (1 − |γ(φh − 2φi + φj)| / 2) (1 − |γ(φi − 2φj + φk)| / 2)      h, i, j, k in a row
    magnitude coherence  (min(Mi, Mj) / max(Mi, Mj))²
    magnitude weight     ½ + ½ min(1, min(Mi, Mj) / (½ M95))

Reference: Dymerska 2021 (10.1002/mrm.28563).
"""

import numpy as np
from scipy.ndimage import find_objects
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from chiflow.core.units import TWO_PI

LEAST_WEIGHT = 0.1  # no single weight may veto an edge: the others still rank it


def wrapped(phase: np.ndarray) -> np.ndarray:
    """γ: phase in rad wrapped into [−π, π], same dtype."""
    return phase - np.float32(TWO_PI) * np.rint(phase * np.float32(1 / TWO_PI))


def pair(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Index of the first and of the second voxel of every edge along an axis of a 3D array."""
    first = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
    second = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
    return first, second


def edge_quality(phase, magnitude, axis, other=None, echo_ratio=1.0) -> np.ndarray:
    """Quality 0…1 of the edges along an axis of (X, Y, Z) arrays, one shorter along that axis.

    phase, other : rad; magnitude : any unit, already divided by its 95th percentile; echo_ratio : TEφ/TEψ.
    """
    i, j = pair(axis)
    gradient = wrapped(phase[i] - phase[j])
    quality = soften(1 - np.abs(gradient) / np.float32(np.pi))
    if other is not None:
        quality *= soften(1 - np.abs(gradient - wrapped(other[i] - other[j]) * np.float32(echo_ratio)))
    bend = np.abs(wrapped(np.diff(gradient, axis=axis)))
    linearity = np.ones_like(gradient)
    linearity[j] *= np.maximum(0, 1 - bend / 2)
    linearity[i] *= np.maximum(0, 1 - bend / 2)
    quality *= soften(linearity)
    low, high = np.minimum(magnitude[i], magnitude[j]), np.maximum(magnitude[i], magnitude[j])
    quality *= soften((low / np.maximum(high, np.float32(1e-12))) ** 2)
    return quality * soften(0.5 + 0.5 * np.minimum(1, 2 * low))


def soften(weight: np.ndarray) -> np.ndarray:
    """A weight 0…1 lifted to LEAST_WEIGHT…1."""
    return LEAST_WEIGHT + (1 - LEAST_WEIGHT) * np.maximum(0, weight)


def unwrap_volume(phase, magnitude, mask, other=None, echo_ratio=1.0) -> np.ndarray:
    """Unwrapped phase (X, Y, Z) float32 rad, 0 outside the mask.

    phase : (X, Y, Z) float32 rad. magnitude : (X, Y, Z). mask : (X, Y, Z) bool. other : a second echo's phase, rad, with
    echo_ratio = TE of phase / TE of other. Each connected region gets the multiple of 2π that brings its median nearest to 0.
    """
    box = find_objects(mask.astype(np.uint8))[0]
    phase, magnitude, inside = (np.ascontiguousarray(a[box], dtype=d) for a, d in ((phase, np.float32), (magnitude, np.float32), (mask, bool)))
    other = None if other is None else np.ascontiguousarray(other[box], dtype=np.float32)
    scale = max(float(np.percentile(magnitude[inside][:: max(1, inside.sum() // 100_000)], 95)), 1e-12)
    edges, qualities = mask_edges(inside, lambda axis: edge_quality(phase, magnitude / np.float32(scale), axis, other, echo_ratio))
    values = phase[inside]
    wraps = tree_wraps(values, edges, qualities)
    result = np.zeros(mask.shape, dtype=np.float32)
    result[box][inside] = add_wraps(values, wraps)
    return result


def mask_edges(mask: np.ndarray, quality_of) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Edges between neighbours in the mask as (first, second) voxel numbers in mask order, and their qualities."""
    number = np.full(mask.shape, -1, dtype=np.int32)
    number[mask] = np.arange(int(mask.sum()), dtype=np.int32)
    firsts, seconds, qualities = [], [], []
    for axis in range(3):
        i, j = pair(axis)
        both = mask[i] & mask[j]
        firsts.append(number[i][both])
        seconds.append(number[j][both])
        qualities.append(quality_of(axis)[both])
    return (np.concatenate(firsts), np.concatenate(seconds)), np.concatenate(qualities)


def tree_wraps(phase: np.ndarray, edges: tuple[np.ndarray, np.ndarray], quality: np.ndarray) -> np.ndarray:
    """Number of 2π to add to each of the N voxels, int32, following the maximum spanning tree of the edges.

    phase : (N,) rad. edges : two (M,) index arrays. quality : (M,) 0…1.
    """
    count = phase.size
    graph = coo_array((2 - quality.astype(np.float64), edges), shape=(count, count)).tocsr()  # costs 1…2: 0 would mean no edge
    tree = minimum_spanning_tree(graph, overwrite=True)
    regions, label = connected_components(tree, directed=False)
    roots = np.unique(label, return_index=True)[1].astype(np.int32)
    start = count  # one extra node ties the regions together, so that a single search visits them all
    tree = tree.tocoo()
    rows = np.concatenate([tree.row.astype(np.int32), np.full(regions, start, np.int32)])
    columns = np.concatenate([tree.col.astype(np.int32), roots])
    forest = coo_array((np.ones(rows.size, np.int8), (rows, columns)), shape=(count + 1, count + 1)).tocsr()
    parent = breadth_first_order(forest, start, directed=False)[1][:count]
    parent[roots] = roots
    wraps = summed_to_root(np.rint((phase[parent] - phase) * np.float32(1 / TWO_PI)).astype(np.int32), parent)
    return wraps - region_centres(phase, wraps, label, regions)[label]


def summed_to_root(steps: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Sum of the steps from each node to its root, where the step is 0, by pointer doubling: log2(depth) passes."""
    total, ancestor = steps.copy(), parent.copy()
    while True:
        further = ancestor[ancestor]
        total += total[ancestor]
        if np.array_equal(further, ancestor):
            return total
        ancestor = further


def region_centres(phase: np.ndarray, wraps: np.ndarray, label: np.ndarray, regions: int) -> np.ndarray:
    """Number of 2π that the median of each region lies away from 0."""
    order = np.argsort(label, kind="stable")
    ends = np.cumsum(np.bincount(label, minlength=regions))[:-1]
    return np.array([np.rint(np.median(phase[m] + TWO_PI * wraps[m]) / TWO_PI) for m in np.split(order, ends)], dtype=np.int32)


def add_wraps(phase: np.ndarray, wraps: np.ndarray) -> np.ndarray:
    """φ + 2π n, rounded to float32 once."""
    return (phase + TWO_PI * wraps.astype(np.float64)).astype(np.float32)
