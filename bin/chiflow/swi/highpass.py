"""The smooth part of a phase inside a mask: a harmonic polynomial fitted around every voxel, with Gaussian weights.

    c = argmin Σ_r g(r) w(x + r) (φ(x + r) − Σ_a c_a h_a(r))²,      smooth(x) = c₀,      h = 1, x, y, z, xy, xz, yz, x² − y², x² + y² − 2z²

The phase of sources outside the mask is harmonic. Away from the edge h₁ … h₈ are orthogonal to h₀ and the fit is the Gaussian mean, which leaves a
harmonic phase as it is; at the edge, where a mean would lean inwards and leave a rim, the polynomial carries it over. The sums are moments Σ g w r^a φ:
correlations with g(r) r^a along one axis after the other.
"""

from itertools import product

import numpy as np
from scipy.ndimage import correlate1d

TRUNCATE = 3.0
SLAB = 16  # slices at a time, to bound memory
RIDGE = 1e-6  # of the weight in reach; keeps a lone voxel or a lone slice solvable
HARMONICS = (
    {(0, 0, 0): 1},
    {(1, 0, 0): 1},
    {(0, 1, 0): 1},
    {(0, 0, 1): 1},
    {(1, 1, 0): 1},
    {(1, 0, 1): 1},
    {(0, 1, 1): 1},
    {(2, 0, 0): 1, (0, 2, 0): -1},
    {(2, 0, 0): 1, (0, 2, 0): 1, (0, 0, 2): -2},
)


def smooth_part(values: np.ndarray, weight: np.ndarray, sigma_voxels: tuple[float, ...]) -> np.ndarray:
    """Smooth part (X, Y, Z) float32 of values (X, Y, Z) where the weight (X, Y, Z) ≥ 0 is positive, 0 elsewhere.

    sigma_voxels : σ of the Gaussian in voxels of each axis.
    """
    result, reach = np.zeros(values.shape, dtype=np.float32), int(np.ceil(TRUNCATE * sigma_voxels[0]))
    for start in range(0, len(values), SLAB):
        first, stop = max(0, start - reach), min(start + SLAB, len(values))
        around = slice(first, stop + reach)
        fitted = constant_term(values[around], weight[around], slice(start - first, stop - first), sigma_voxels)
        result[start:stop][weight[start:stop] > 0] = fitted
    return result


def constant_term(values: np.ndarray, weight: np.ndarray, slab: slice, sigma_voxels: tuple[float, ...]) -> np.ndarray:
    """c₀ of the voxels in a slab (slices of the first axis) that have a weight."""
    inside = weight[slab] > 0
    left, right = moments(weight, sigma_voxels, 4, slab, inside), moments(weight * values, sigma_voxels, 2, slab, inside)
    matrix = np.empty((int(inside.sum()), len(HARMONICS), len(HARMONICS)))
    for (i, a), (j, b) in product(enumerate(HARMONICS), repeat=2):
        if i <= j:
            terms = (ca * cb * left[tuple(p + q for p, q in zip(pa, pb))] for (pa, ca), (pb, cb) in product(a.items(), b.items()))
            matrix[:, i, j] = matrix[:, j, i] = sum(terms)
    ridge = np.diag([0, *np.full(len(HARMONICS) - 1, RIDGE)])
    vector = np.stack([sum(c * right[p] for p, c in a.items()) for a in HARMONICS], axis=-1)
    return np.linalg.solve(matrix + ridge * matrix[:, :1, :1], vector[..., None])[:, 0, 0]


def moments(volume: np.ndarray, sigma_voxels: tuple[float, ...], order: int, slab: slice, inside: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
    """Σ_r g(r) u^a volume(x + r), u = r / σ, for all powers a = (a1, a2, a3) up to an order in sum, at the voxels x inside a slab of the first axis.

    Nothing lies beyond the border.
    """
    partial = {(): volume.astype(np.float64)}
    for axis, sigma in enumerate(sigma_voxels):
        u = np.arange(-np.ceil(TRUNCATE * sigma), np.ceil(TRUNCATE * sigma) + 1) / sigma
        gauss = np.exp(-(u**2) / 2) / np.exp(-(u**2) / 2).sum()
        steps = [(powers, power) for powers, power in product(partial, range(order + 1)) if sum(powers) + power <= order]
        partial = {(*powers, power): correlate1d(partial[powers], gauss * u**power, axis=axis, mode="constant") for powers, power in steps}
        if axis == 0:
            partial = {powers: part[slab] for powers, part in partial.items()}
    return {powers: part[inside] for powers, part in partial.items()}
