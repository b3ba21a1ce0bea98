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

Voxels whose edges are all good and whose phases share a sign differ by less than π from their neighbours, so their integers are equal:
each such patch is one node of the graph, every other voxel a node by itself. Phase differences are taken in 16-bit integers, 2π being
2¹⁶, where overflow is the wrap.

Reference: Dymerska 2021 (10.1002/mrm.28563).
"""

import numpy as np
from scipy.ndimage import find_objects, label
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from chiflow.core.islands import bridged
from chiflow.core.units import TWO_PI

LEAST_WEIGHT = np.float32(0.1)  # no single weight may veto an edge: the others still rank it
GOOD = 0.5  # quality of an edge inside a patch
HALF_TURN = 2**15
SLAB = 8  # slices at a time, so that the arrays of one edge quality stay in the cache
COST_BITS = 12


def wrapped(phase: np.ndarray) -> np.ndarray:
    """γ: phase in rad wrapped into [−π, π], same dtype."""
    return phase - np.float32(TWO_PI) * np.rint(phase * np.float32(1 / TWO_PI))


def pair(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Index of the first and of the second voxel of every edge along an axis of a 3D array."""
    first = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
    second = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
    return first, second


def in_turns(phase: np.ndarray) -> np.ndarray:
    """Phase in rad as int16 with 2π = 2¹⁶: sums and differences wrap by themselves."""
    return np.rint(phase * np.float32(HALF_TURN / np.pi)).astype(np.int32).astype(np.int16)


def edge_quality(turns, magnitude, axis, other=None, echo_ratio=1.0) -> np.ndarray:
    """Quality 0…1 of the edges along an axis of (X, Y, Z) arrays, one shorter along that axis.

    turns, other : int16, 2π = 2¹⁶; magnitude : any unit, already divided by its 95th percentile; echo_ratio : TEφ/TEψ.
    """
    i, j = pair(axis)
    step = turns[i] - turns[j]
    quality = softened(fallen(step.astype(np.float32), 1 / HALF_TURN))
    if other is not None:
        differing = step - np.float32(echo_ratio) * (other[i] - other[j])
        quality *= softened(fallen(differing, np.pi / HALF_TURN))
    straight = np.maximum(fallen(np.diff(step, axis=axis).astype(np.float32), np.pi / HALF_TURN / 2), 0)
    linearity = np.ones_like(quality)
    linearity[j] *= straight
    linearity[i] *= straight
    quality *= softened(linearity)
    low, high = np.minimum(magnitude[i], magnitude[j]), np.maximum(magnitude[i], magnitude[j])
    quality *= softened((low / np.maximum(high, np.float32(1e-12))) ** 2)
    return quality * softened(np.minimum(low, np.float32(0.5)) + np.float32(0.5))


def fallen(x: np.ndarray, slope: float) -> np.ndarray:
    """1 − slope |x|, in place."""
    np.abs(x, out=x)
    x *= np.float32(-slope)
    x += 1
    return x


def softened(weight: np.ndarray) -> np.ndarray:
    """A weight 0…1 lifted to LEAST_WEIGHT…1, in place."""
    np.maximum(weight, 0, out=weight)
    weight *= 1 - LEAST_WEIGHT
    weight += LEAST_WEIGHT
    return weight


def unwrap_volume(phase, magnitude, mask, other=None, echo_ratio=1.0, judge=None) -> np.ndarray:
    """Unwrapped phase (X, Y, Z) float32 rad, 0 outside the mask.

    phase : (X, Y, Z) float32 rad. magnitude : (X, Y, Z). mask : (X, Y, Z) bool. other : a second echo's phase, rad, with
    echo_ratio = TE of phase / TE of other. judge : (phase, magnitude over its 95th percentile, mask, qualities) → qualities, of edges that are not GOOD. The median of the largest connected region is brought nearest to 0, every other region nearest to
    the value across the gap.
    """
    result = np.zeros(mask.T.shape, dtype=np.float32)  # .T all along: images lie in memory with x fastest
    box = find_objects(mask.T.astype(np.uint8))[0]
    given, weight = (np.ascontiguousarray(a.T[box], dtype=np.float32) for a in (phase, magnitude))
    inside = np.ascontiguousarray(mask.T[box], dtype=bool)
    scale = max(float(np.percentile(weight[inside][:: max(1, inside.sum() // 100_000)], 95)), 1e-12)
    turns, others = in_turns(given), None if other is None else in_turns(np.ascontiguousarray(other.T[box]))
    qualities = [slabwise(turns, weight / np.float32(scale), axis, others, echo_ratio) for axis in range(3)]
    base = wrapped(given)
    if judge is not None:
        qualities = judge(base, weight / np.float32(scale), inside, qualities)
    nodes, count = patches(base, inside, qualities)
    wraps = np.concatenate([[0], tree_wraps(*edges_between(base, inside, nodes, count, qualities), count)])[nodes]
    unwrapped = add_wraps(base, bridged(add_wraps(base, wraps), wraps, inside))
    result[box][inside] = unwrapped[inside]
    return result.T


def slabwise(turns, magnitude, axis, other, echo_ratio) -> np.ndarray:
    """edge_quality along an axis, some slices of another axis at a time."""
    shape, across = [n - (a == axis) for a, n in enumerate(turns.shape)], 1 if axis == 0 else 0
    quality = np.empty(shape, np.float32)
    for start in range(0, turns.shape[across], SLAB):
        slab = (slice(None),) * across + (slice(start, start + SLAB),)
        quality[slab] = edge_quality(turns[slab], magnitude[slab], axis, None if other is None else other[slab], echo_ratio)
    return quality


def patches(phase: np.ndarray, mask: np.ndarray, qualities: list[np.ndarray]) -> tuple[np.ndarray, int]:
    """Node 1…N of each voxel (X, Y, Z) int32, 0 outside the mask, and N."""
    good = mask.copy()
    for axis, quality in enumerate(qualities):
        i, j = pair(axis)
        bad = (quality < GOOD) & mask[i] & mask[j]
        good[i] &= ~bad
        good[j] &= ~bad
    nodes, count = np.zeros(mask.shape, np.int32), 0
    for same_sign in (good & (phase >= 0), good & (phase < 0)):
        numbers, more = label(same_sign)
        np.add(numbers, count, out=nodes, where=same_sign)
        count += more
    alone = mask & ~good
    more = int(np.count_nonzero(alone))
    nodes[alone] = np.arange(count + 1, count + more + 1, dtype=np.int32)
    return nodes, count + more


def edges_between(phase, mask, nodes, count, qualities) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The best edge between each two nodes, sorted: rows < columns (0…N − 1), costs (integers, 0 for the best), wraps from row to column."""
    bits = min(COST_BITS, 61 - 2 * count.bit_length())
    keys = []
    for axis, quality in enumerate(qualities):
        i, j = pair(axis)
        at = np.flatnonzero((nodes[i] != nodes[j]) & mask[i] & mask[j])
        first, second = nodes[i].ravel()[at] - 1, nodes[j].ravel()[at] - 1
        wraps = np.rint((phase[i].ravel()[at] - phase[j].ravel()[at]) * np.float32(1 / TWO_PI)).astype(np.int64)
        costs = np.rint((1 - quality.ravel()[at]) * np.float32(2**bits - 1)).astype(np.int64)
        swap = first > second
        rows, columns = np.where(swap, second, first).astype(np.int64), np.where(swap, first, second)
        keys.append((rows * count + columns) << (bits + 2) | costs << 2 | np.where(swap, -wraps, wraps) + 1)
    key = np.sort(np.concatenate(keys))
    link = key >> (bits + 2)
    best = np.concatenate([[True], link[1:] != link[:-1]]) if key.size else np.zeros(0, bool)
    rows, columns = np.divmod(link[best], count)
    return rows.astype(np.int32), columns.astype(np.int32), (key[best] >> 2) & (2**bits - 1), (key[best] & 3).astype(np.int32) - 1


def tree_wraps(rows, columns, costs, wraps, count) -> np.ndarray:
    """Wraps (N,) int32 of each node against the root of its part of the minimum spanning forest; arguments as edges_between gives them."""
    starts = np.searchsorted(rows, np.arange(count + 1)).astype(np.int32)
    graph = csr_array((4.0 * costs + wraps + 2, columns, starts), shape=(count, count))  # the wrap rides in the cost; 0 would mean no edge
    tree = minimum_spanning_tree(graph, overwrite=True).tocoo()
    rows, columns, wraps = tree.row.astype(np.int32), tree.col.astype(np.int32), (tree.data.astype(np.int64) & 3).astype(np.int32) - 2
    parts, part = connected_components(tree, directed=False)
    roots = np.unique(part, return_index=True)[1].astype(np.int32)
    start = count  # one extra node ties the parts together, so that a single search visits them all
    ends = np.concatenate([rows, np.full(parts, start, np.int32)]), np.concatenate([columns, roots])
    forest = coo_array((np.ones(ends[0].size, np.int8), ends), shape=(count + 1, count + 1)).tocsr()
    parent = breadth_first_order(forest, start, directed=False)[1][:count]
    parent[roots] = roots
    steps, down = np.zeros(count, np.int32), parent[columns] == rows
    steps[columns[down]], steps[rows[~down]] = wraps[down], -wraps[~down]
    return summed_to_root(steps, parent)


def summed_to_root(steps: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Sum of the steps from each node to its root, where the step is 0, by pointer doubling: log2(depth) passes."""
    total, ancestor = steps.copy(), parent.copy()
    while True:
        further = ancestor[ancestor]
        total += total[ancestor]
        if np.array_equal(further, ancestor):
            return total
        ancestor = further


def add_wraps(phase: np.ndarray, wraps: np.ndarray) -> np.ndarray:
    """φ + 2π n, rounded to float32 once."""
    return (phase + TWO_PI * wraps.astype(np.float64)).astype(np.float32)
