"""White matter of one scan: the field of its fibres' anisotropy and what its waters do to the signal, in the
box of the brain.
"""

from dataclasses import dataclass

import numpy as np

from chiflow.core.box import mask_box
from chiflow.core.geometry import geometry_of
from chiflow.phantom.anatomy import Head
from chiflow.phantom.fibres import anisotropic_field, fibres_on_grid
from chiflow.phantom.grid import Grid, box_mean
from chiflow.phantom.pools import Pools, pools_factor, pools_of


@dataclass(frozen=True)
class WhiteMatter:
    """anisotropic_ppm (x, y, z) on the fine grid's slices `box`, which cover the voxels of `coarse`; pools,
    when there are any; fine voxels along each axis.
    """

    box: tuple[slice, ...]
    coarse: tuple[slice, ...]
    anisotropic_ppm: np.ndarray
    pools: Pools | None
    factors: tuple[int, int, int]

    def anisotropic(self, shape: tuple[int, ...]) -> np.ndarray:
        """The field of the anisotropy (X, Y, Z) in ppm on the voxels of the scan, 0 outside the box."""
        result = np.zeros(shape, np.float32)
        result[self.coarse] = box_mean(self.anisotropic_ppm, self.factors)
        return result

    def turn(self, signal: np.ndarray, phase_rad: np.ndarray, echo_time_s: float, frequency_mhz: float, field_strength_t: float) -> None:
        """Put the pools into the signal (fine) of one echo, and the phase that they add into phase_rad (X, Y,
        Z); both in place.
        """
        if self.pools is not None:
            factor = pools_factor(self.pools, echo_time_s, frequency_mhz, field_strength_t)
            signal[self.box] *= factor
            phase_rad[self.coarse] = np.angle(box_mean(factor, self.factors))


def white_matter(head: Head, share: np.ndarray, mask: np.ndarray, grid: Grid, factors: tuple[int, int, int], anisotropy_ppm: float,
                 pools: bool) -> WhiteMatter:
    """White matter of a share (fine), around the mask (X, Y, Z) of a scan; anisotropy_ppm : χ∥ − χ⊥."""
    coarse, _ = mask_box(mask, geometry_of(grid.affine, grid.shape))
    box = tuple(slice(s.start * f, s.stop * f) for s, f in zip(coarse, factors))
    affine = grid.finer(factors).affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([s.start for s in box])
    inside = np.ascontiguousarray(share[box])
    geometry = geometry_of(affine, inside.shape)
    fibres = fibres_on_grid(head.detail.fibres, inside, affine, head.to_head)
    field = anisotropic_field(fibres, geometry, anisotropy_ppm).numpy() if anisotropy_ppm else np.zeros(inside.shape, np.float32)
    return WhiteMatter(box, coarse, field, pools_of(fibres, geometry.b0) if pools else None, factors)
