"""The multiple of 2π of regions that no edge connects.

The median of the largest region is brought nearest to 0. Every other region, the big ones first, is brought nearest to what is already
tied, by the median over the pairs of surface voxels that face each other across the narrowest gap.
"""

import numpy as np
from scipy.ndimage import binary_erosion, label, median, minimum
from scipy.spatial import cKDTree

from chiflow.core.units import TWO_PI

BIG = 0.01  # share of the largest region from which on a region may have others tied to it
FACING = 1.5  # voxels beyond the narrowest gap that still count as facing


def bridged(unwrapped: np.ndarray, wraps: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Wraps (X, Y, Z) int32 with the regions' multiples of 2π settled, for phase (X, Y, Z) rad unwrapped region by region with `wraps`."""
    regions, count = label(mask)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    largest = int(np.argmax(sizes)) + 1
    turns = np.zeros(count + 1, np.int32)
    values = unwrapped[regions == largest]
    turns[1:] = -int(np.rint(np.median(values[:: max(1, values.size // 200_000)]) / TWO_PI))
    if count > 1:
        order = np.argsort(-sizes, kind="stable") + 1
        big = int(np.count_nonzero(sizes >= BIG * sizes.max()))
        surface = mask & ~binary_erosion(mask, border_value=1)
        tie(np.argwhere(surface).astype(np.float32), regions[surface], unwrapped[surface], [order[k : k + 1] for k in range(big)] + [order[big:]], turns)
    return wraps + turns[regions]


def tie(places, regions, values, groups, turns) -> None:
    """Add to `turns` (by region number) what brings each group of regions nearest to the groups before it.

    places : (N, 3) voxels of the regions' surfaces. regions : (N,) their numbers. values : (N,) rad.
    """
    tied = np.isin(regions, groups[0])
    values = values + np.float32(TWO_PI) * turns[regions]
    for group in groups[1:]:
        own = np.isin(regions, group)
        if own.any():
            away, near = cKDTree(places[tied], balanced_tree=False).query(places[own])
            gap = np.zeros(turns.size)
            gap[group] = minimum(away, regions[own], group)
            facing = away <= gap[regions[own]] + FACING
            steps = (values[tied][near] - values[own])[facing]
            shift = np.zeros(turns.size, np.int32)
            shift[group] = np.rint(median(steps, regions[own][facing], group) / TWO_PI)
            turns += shift
            values = values + np.float32(TWO_PI) * shift[regions]
            tied |= own
