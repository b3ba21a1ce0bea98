"""The field that a scanner measures of a susceptibility on a finer grid than its voxels.

    S = M exp(i κ f),      f = D (χ − χ̄) m on the fine grid;      the scan keeps of F S what its voxels resolve;      f_scan = arg S_scan / κ

so a voxel sees the mean over the signal in it, with the ringing of k-space truncation, and no inversion's kernel on the grid of the scan made it.
"""

import torch
from torch.nn.functional import avg_pool3d

from chiflow.core.dipole import DipoleOperator
from chiflow.core.geometry import Geometry
from chiflow.phantom.kspace import truncated
from chiflow.simulate.paint import FINER

PADDING = 1.25


def fine_geometry(geometry: Geometry) -> Geometry:
    """The grid FINER times finer than the voxels."""
    return Geometry(tuple(FINER * n for n in geometry.shape), tuple(v / FINER for v in geometry.voxel_size), geometry.b0)


def coarse(fine: torch.Tensor) -> torch.Tensor:
    """Mean of the fine voxels in each voxel."""
    return avg_pool3d(fine[None, None], FINER)[0, 0]


def repeated(volume: torch.Tensor) -> torch.Tensor:
    """Each voxel repeated on the fine grid."""
    return volume.repeat_interleave(FINER, 0).repeat_interleave(FINER, 1).repeat_interleave(FINER, 2)


def fine_field(chi: torch.Tensor, mask: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """f on the fine grid in ppm, of χ (fine, ppm) in the mask (X, Y, Z) of the scan less its mean there."""
    inside = repeated(mask.float())
    source = (chi - (chi * inside).sum() / inside.sum()) * inside
    return DipoleOperator(fine_geometry(geometry), PADDING).forward(source)


def scanned(field: torch.Tensor, magnitude: torch.Tensor, rad_per_ppm: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Field in ppm and magnitude (X, Y, Z) as the scan has them, of those on the fine grid; rad_per_ppm : κ.

    Phase is told from that of the mean field, so wraps do not enter.
    """
    signal = truncated(torch.polar(magnitude, rad_per_ppm * field), (FINER,) * 3)
    expected = coarse(field)
    turned = torch.angle(signal * torch.polar(torch.ones_like(expected), -rad_per_ppm * expected))
    return expected + turned / rad_per_ppm, signal.abs()
