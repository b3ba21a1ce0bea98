"""What a background removal leaves in the local field, as doubt about voxels near the mask's surface.

    s(d) = 1.6 rms f / (1 + d / 1.2 mm),      W' = σ' / √((σ / W)² + s²),      σ' the median of the root in the mask

d is the depth of a voxel below the surface. The remainder is harmonic in the mask: sources at the rim explain it without a misfit, so no inversion
can find out by itself. s is what `joint` leaves on simulated heads (8, 4, 2 and 1 times the noise of 0.001 ppm at 1, 3, 7 and 15 mm). Since it is smooth, an inversion of
the field does best with a σ of 2 σ' (three heads, axial and tilted), which no misfit would tell it.
"""

import torch

from chiflow.core.depth import depth_mm
from chiflow.core.geometry import Geometry
from chiflow.core.reliability import LARGEST_WEIGHT

AT_SURFACE, DEPTH_MM = 1.6, 1.2
SMOOTH, MOST = 2.0, 0.4  # σ that an inversion needs, over σ', and over rms f at most: where no voxel lies deep σ' says little
LEAST_WEIGHT = 0.02  # as told; below it a voxel stays without weight


def with_remainder(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor,
                   sigma_ppm: float) -> tuple[torch.Tensor, float, float]:
    """W' (X, Y, Z), σ' and the σ that an inversion needs, in ppm, for a local field in ppm with W and σ."""
    depth = depth_mm(mask, geometry) - min(geometry.voxel_size) / 2
    rms = field[mask].square().mean().sqrt()
    doubt = ((sigma_ppm / weight.clamp(min=LEAST_WEIGHT)) ** 2 + (AT_SURFACE * rms / (1 + depth.clamp(min=0) / DEPTH_MM)) ** 2).sqrt()
    sigma = float(doubt[mask].median())
    return (sigma / doubt.clamp(min=1e-20)).clamp(max=LARGEST_WEIGHT) * mask * (weight >= LEAST_WEIGHT), sigma, min(SMOOTH * sigma, MOST * float(rms))
