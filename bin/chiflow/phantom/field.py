"""The field of a head: the part from inside the brain on the imaging grid, the background on a grid along B0, resampled.

    total = D (χ − χ_air) = D (χ − χ̄) m + D {(χ̄ − χ_air) m + (χ − χ_air)(1 − m)} = local + background

m is the brain mask, χ̄ the mean of χ in it. The background's sources are strong, so they lie on a grid along B0 and are smoothed by a
Gaussian: a smoothed source has the same field outside itself (mean value theorem), and no edge is left to ring. The local field needs no
resampling, which would cost what is thin: veins lose a fifth of the field's energy half a voxel away.
"""

import numpy as np
import torch
from scipy.ndimage import affine_transform

from chiflow.core.box import mask_box
from chiflow.core.dipole import dipole_kernel
from chiflow.core.fourier import filtered, k_grid, padded_shape
from chiflow.core.geometry import Geometry, geometry_of
from chiflow.phantom.anatomy import Head
from chiflow.phantom.grid import Grid
from chiflow.phantom.head import render
from chiflow.phantom.tissues import AIR_PPM

FINEST_MM, COARSEST_MM = 0.8, 2.0  # of the grid along B0: memory above, detail below
PADDING = 2.0
HEAD_BOX_MM = ((-98, 98), (-122, 132), (-135, 105))  # right, anterior, superior
NECK_FADE_MM = 45.0  # the neck ends softly, or its cut would be a magnet of its own
SOURCE_BLUR_VOXELS = 0.85


def spacing_for(voxel_size) -> float:
    """Voxel edge in mm of the grid along B0 for an imaging voxel size in mm."""
    return float(np.clip(min(voxel_size), FINEST_MM, max(COARSEST_MM, min(voxel_size) / 3)))


def background_field(head: Head, imaging: Grid, chi_mean_ppm: float, spacing_mm: float) -> tuple[np.ndarray, Grid]:
    """Background field (ppm) of a head for a slab whose mask has the mean χ given (ppm), and its grid along B0."""
    low, high = np.array(HEAD_BOX_MM, float).T
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing_mm))
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = low
    grid = Grid(shape, affine)
    maps = render(head, grid, detailed=False)  # all that counts here is outside the mask
    mask = (maps.brain > 0.5) & _inside(imaging, grid)
    sources = np.where(mask, np.float32(chi_mean_ppm - AIR_PPM), (maps.chi - AIR_PPM) * _fade(grid))
    return dipole_field(sources, Geometry(shape, (spacing_mm,) * 3), SOURCE_BLUR_VOXELS * spacing_mm), grid


def local_field(chi: np.ndarray, mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Field (X, Y, Z) in ppm of χ in the mask, less its mean χ there, in the mask and 20 mm round it."""
    box, geometry = mask_box(mask, geometry_of(grid.affine, grid.shape), margin_mm=20)
    result = np.zeros(grid.shape, np.float32)
    result[box] = dipole_field(np.where(mask, chi - chi[mask].mean(dtype=np.float64), 0)[box], geometry)
    return result


def dipole_field(chi: np.ndarray, geometry: Geometry, blur_mm: float = 0.0) -> np.ndarray:
    """Field (X, Y, Z) in ppm of χ in ppm with zeros around it, sources smoothed by a Gaussian of σ = blur_mm."""
    padded = padded_shape(geometry.shape, PADDING)
    kernel = dipole_kernel(geometry, padded)
    if blur_mm:
        for k in k_grid(padded, geometry.voxel_size):
            kernel *= torch.exp(-2 * (np.pi * blur_mm * k) ** 2)
    return filtered(torch.from_numpy(np.ascontiguousarray(chi, np.float32)), kernel, padded).numpy()


def resample(volume: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """A smooth volume on another grid by cubic splines, only what the target sees of it."""
    to_source = np.linalg.inv(source.affine) @ target.affine
    corners = to_source @ np.array(np.meshgrid(*[(0, n - 1) for n in target.shape], [1])).reshape(4, -1)
    low = np.clip(np.floor(corners[:3].min(1)).astype(int) - 6, 0, np.array(source.shape) - 2)
    high = np.clip(np.ceil(corners[:3].max(1)).astype(int) + 7, low + 2, source.shape)
    part = volume[tuple(slice(a, b) for a, b in zip(low, high))]
    return affine_transform(part, to_source[:3, :3], to_source[:3, 3] - low, target.shape, np.float32, order=3, mode="nearest")


def shim(field: np.ndarray, mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Second-order shim (X, Y, Z): the solid harmonics up to order two that fit the field in the mask best."""
    terms = [t.astype(np.float32) for t in _solid_harmonics(grid)]
    inside = np.stack([np.broadcast_to(t, field.shape)[mask] for t in terms], 1).astype(np.float64)
    weights = np.linalg.lstsq(inside.T @ inside, inside.T @ field[mask].astype(np.float64), rcond=None)[0]
    return sum(np.float32(w) * t for w, t in zip(weights, terms))


def _solid_harmonics(grid: Grid) -> list[np.ndarray]:
    """1, x, y, z, xy, xz, yz, x² − y², 2z² − x² − y² in units of 10 cm."""
    i, j, k = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij", sparse=True)
    x, y, z = ((row[0] * i + row[1] * j + row[2] * k + row[3]) / 100 for row in grid.affine[:3])
    return [np.ones((1, 1, 1)), x, y, z, x * y, x * z, y * z, x * x - y * y, 2 * z * z - x * x - y * y]


def _inside(imaging: Grid, grid: Grid) -> np.ndarray:
    """Voxels of a grid that lie in the field of view of the imaging slab."""
    to_voxel = np.linalg.inv(imaging.affine) @ grid.affine
    i, j, k = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij", sparse=True)
    result = np.ones(grid.shape, bool)
    for row, n in zip(to_voxel[:3], imaging.shape):
        index = row[0] * i + row[1] * j + row[2] * k + row[3]
        result &= (index >= -0.5) & (index <= n - 0.5)
    return result


def _fade(grid: Grid) -> np.ndarray:
    """1 in the head, falling smoothly to 0 at the lower end of the grid (B0 is its last axis)."""
    height = np.arange(grid.shape[2]) * grid.affine[2, 2] / NECK_FADE_MM
    return (np.sin(np.pi / 2 * np.clip(height, 0, 1)) ** 2).astype(np.float32)
