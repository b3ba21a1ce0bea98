"""Phase offsets of slices that were excited one by one: each slice has its own, the same in all its echoes
and coils.

    δ_k = angle Σ_xy S1_k+1 S1_k* exp(−i r angle(P_k+1 P_k*)),   P = S2 S1*,   r = TE1 / (TE2 − TE1)
    c_k = δ_0 + … + δ_k−1

What grows with echo time between two slices is taken off by the step P of the echoes, so that δ_k is what
does not: the offset of slice k + 1 against slice k. Coils' offsets are smooth: their δ_k changes little from
slice to slice. The mean course of c along the slices goes with it, as any part of the offset may.
"""

from collections.abc import Callable, Iterable

import numpy as np

from chiflow.core.spanning_tree import wrapped

SAMPLES = 64  # along each side of a slice: 4000 voxels tell its mean phase to 1e-3 rad
OWN_RAD = 0.1  # median change of δ from slice to slice: smooth offsets have 0.02 a voxel of 3 mm
# of the products of the brightest slice: what is darker does not tell whether slices differ
LEAST_SHARE = 0.05
Coils = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]


def slice_offsets(coils: Coils, ratio: float) -> tuple[int, np.ndarray] | None:
    """The axis along which slices have phases of their own, and these, rad from slice to slice; None where
    they have none.

    coils : gives magnitude and phase (X, Y, Z, E) of one coil after the other, E of two or more. ratio : TE1
    / (TE2 − TE1).
    """
    sums = [0, 0, 0]
    for magnitude, phase in coils():
        sums = [before + _products(magnitude, phase, ratio, axis) for axis, before in enumerate(sums)]
    found = [(_roughness(products), axis) for axis, products in enumerate(sums)]
    roughness, axis = max(found)
    if roughness < OWN_RAD:
        return None
    return axis, np.concatenate([[0], np.cumsum(np.angle(sums[axis]))])


def without_slice_offsets(coils: Coils, axis: int, offsets: np.ndarray) -> Coils:
    """The coils with the offset of each slice (rad) taken off all echoes."""
    shape = [-1 if a == axis else 1 for a in range(4)]
    plain = offsets.astype(np.float32).reshape(shape)
    return lambda: ((magnitude, wrapped(phase - plain)) for magnitude, phase in coils())


def _products(magnitude: np.ndarray, phase: np.ndarray, ratio: float, axis: int) -> np.ndarray:
    """Σ_xy of the neighbours' products along an axis (complex), whose angle is δ."""
    some = tuple(slice(None) if a == axis else slice(None, None, max(1, n // SAMPLES)) for a, n in enumerate(magnitude.shape[:3]))
    weight, first, second = (np.moveaxis(volume[some], axis, 0) for volume in (magnitude[..., 1], phase[..., 0], phase[..., 1]))
    step = wrapped(np.diff(wrapped(second - first), axis=0))
    turn = np.diff(first, axis=0) - np.float32(ratio) * step
    return (weight[1:] * weight[:-1] * np.exp(1j * turn)).sum(axis=(1, 2), dtype=np.complex128)


def _roughness(products: np.ndarray) -> float:
    """Median change in rad of δ from one pair of slices to the next, over the slices with signal; 0 where
    there are few.
    """
    lit = np.abs(products) > LEAST_SHARE * np.abs(products).max()
    changes = np.abs(np.angle(products[1:] * products[:-1].conj()))[lit[1:] & lit[:-1]]
    return float(np.median(changes)) if changes.size > 2 else 0.0
