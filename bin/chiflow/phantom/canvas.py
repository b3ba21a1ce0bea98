"""A grid that tissues are painted on, one over the other, each with the share of the voxel that it fills."""

import numpy as np

from chiflow.phantom import waves
from chiflow.phantom.grid import Grid
from chiflow.phantom.shapes import coverage
from chiflow.phantom.tissues import FLUIDS, WHITE, Tissue


class Canvas:
    """χ (ppm, soft tissue = 0), M0, R2* (1/s), labels, shares of white matter and of fluid on a grid (X, Y, Z), all air at first.

    soft_mm : over which a border fades beside the width of a voxel.
    """

    def __init__(self, grid: Grid, to_head: np.ndarray, air: Tissue):
        self.grid, self.to_head = grid, to_head @ grid.affine
        self.from_head = np.linalg.inv(self.to_head)
        self.width = float(np.prod(np.linalg.norm(self.to_head[:3, :3], axis=0)) ** (1 / 3))
        self.chi = np.full(grid.shape, air.chi_ppm, np.float32)
        self.m0 = np.full(grid.shape, air.m0, np.float32)
        self.r2star = np.full(grid.shape, air.r2star, np.float32)
        self.white, self.fluid, self.soft_mm = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32), 0.0
        self.labels = np.full(grid.shape, air.label, np.uint8)

    def box(self, centre, radius_mm: float) -> tuple[slice, ...]:
        """Slices of the voxels within a radius of a point in head coordinates."""
        middle = self.from_head[:3, :3] @ np.asarray(centre, float) + self.from_head[:3, 3]
        reach = (radius_mm + 2 * self.width) * np.linalg.norm(self.from_head[:3, :3], axis=1)
        low, high = np.floor(middle - reach).astype(int), np.ceil(middle + reach).astype(int) + 1
        return tuple(slice(min(max(a, 0), n), max(min(b, n), 0)) for a, b, n in zip(low, high, self.grid.shape))

    def points(self, box: tuple[slice, ...] | None = None) -> tuple[np.ndarray, ...]:
        """Head coordinates x, y, z (mm, float32) of the voxels of a box."""
        box = box or tuple(slice(0, n) for n in self.grid.shape)
        i, j, k = (np.arange(s.start, s.stop).reshape([-1 if a == axis else 1 for a in range(3)]) for axis, s in enumerate(box))
        return tuple((row[0] * i + row[1] * j + row[2] * k + row[3]).astype(np.float32) for row in self.to_head[:3])

    def cover(self, distance: np.ndarray) -> np.ndarray:
        """Share of each voxel inside a shape."""
        return coverage(distance, float(np.hypot(self.width, self.soft_mm)))

    def paint(self, share: np.ndarray, tissue: Tissue, box: tuple[slice, ...] | None = None) -> None:
        """Put a share (of the box's shape, 0 … 1) of a tissue over what is there."""
        box = box or tuple(slice(None) for _ in range(3))
        properties = (self.chi, tissue.chi_ppm), (self.m0, tissue.m0), (self.r2star, tissue.r2star)
        for values, value in (*properties, (self.white, tissue.label in WHITE), (self.fluid, tissue.label in FLUIDS)):
            part = values[box]
            part += share * (np.float32(value) - part)
        self.labels[box][share > 0.5] = tissue.label

    def waves(self, drawn: waves.Waves, box: tuple[slice, ...], averaged: bool = False) -> np.ndarray:
        """Plane waves in head coordinates at the voxels of a box, or their means over them."""
        affine = self.to_head.copy()
        affine[:3, 3] += affine[:3, :3] @ np.array([s.start for s in box])
        return waves.on_grid(drawn, affine, tuple(s.stop - s.start for s in box), averaged)
