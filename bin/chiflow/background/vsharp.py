"""V-SHARP: a harmonic field equals its mean over any sphere, so what differs from the mean is local.

    g = (δ − S_r) * f   with the largest sphere of radius r around each voxel that stays in the mask
    local = F⁻¹ [ F g / (1 − F S_R) ]   where |1 − F S_R| > threshold, else 0;     R the largest radius

References: Schweser 2011 (10.1016/j.neuroimage.2010.10.070), Wu 2012 (10.1002/mrm.23000), Özbay 2017 (10.1002/nbm.3550).
"""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from chiflow.background.result import LocalField
from chiflow.core.fourier import filtered, inverse, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress

LARGEST_MM = 20.0
THRESHOLD = 0.1


def vsharp(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0, *,
           largest_mm: float = LARGEST_MM, threshold: float = THRESHOLD) -> LocalField:
    """Local field in ppm in the mask that it holds in, one smallest sphere narrower than the mask given.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. largest_mm : radius of the largest sphere in mm; the smallest is one
    voxel (its longest side) and they differ by one voxel each. threshold : of the deconvolution. The method has no weights; `weight` is not used.
    """
    step = max(geometry.voxel_size)
    radii = step * np.arange(max(int(largest_mm / step), 1), 0, -1)
    depth = torch.from_numpy(distance_transform_edt(np.pad(mask.cpu().numpy(), 1), sampling=geometry.voxel_size)[1:-1, 1:-1, 1:-1]).to(field.device)
    shape = padded_shape(geometry.shape, margin=tuple(int(np.ceil(radii[0] / v)) for v in geometry.voxel_size))
    spectrum = transform(field * mask, shape)
    local = torch.zeros_like(field)
    done = torch.zeros_like(mask)
    largest = None
    for radius in progress(radii, "V-SHARP spheres"):
        high_pass = 1 - torch.fft.rfftn(sphere(radius, shape, geometry.voxel_size, field.device)).real
        largest = high_pass if largest is None else largest
        reach = (depth > radius) & ~done
        local = torch.where(reach, inverse(spectrum * high_pass, shape, geometry.shape), local)
        done = done | reach
    deconvolution = torch.where(largest.abs() > threshold, 1 / largest, torch.zeros_like(largest))
    return LocalField(filtered(local, deconvolution, shape) * done, done, {"LargestRadiusMm": largest_mm, "Threshold": threshold})


def sphere(radius_mm: float, shape: tuple[int, ...], voxel_size: tuple[float, ...], device=None) -> torch.Tensor:
    """Ball of a radius in mm with sum 1, centred on voxel (0, 0, 0) of a periodic grid."""
    axes = [torch.fft.fftfreq(n, 1 / (n * v), device=device) for n, v in zip(shape, voxel_size)]
    r2 = axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2][None, None, :] ** 2
    ball = (r2 <= (radius_mm * (1 + 1e-5)) ** 2).float()
    return ball / ball.sum()
