"""TKD: division by the dipole kernel, its small values raised to a threshold.

    χ = F⁻¹ [ F f · sign(D) / max(|D|, t) ] / c,      c = mean over k of D · sign(D) / max(|D|, t)

c undoes the loss of contrast that the threshold causes.

References: Shmueli 2009 (10.1002/mrm.22135), Schweser 2013 (10.1002/mrm.24405) for the correction.
"""

import torch

from chiflow.core.dipole import PADDING, dipole_kernel
from chiflow.core.fourier import filtered, padded_shape
from chiflow.core.geometry import Geometry
from chiflow.invert.result import Susceptibility

THRESHOLD = 0.2


def tkd(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0,
        magnitude: torch.Tensor | None = None, *, threshold: float = THRESHOLD) -> Susceptibility:
    """χ in ppm.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. threshold : least |D|. The method has no weights; `weight`, `sigma_ppm` and `magnitude` are not used.
    """
    shape = padded_shape(geometry.shape, PADDING)
    kernel = dipole_kernel(geometry, shape, field.device)
    inverse = torch.where(kernel < 0, -1.0, 1.0) / kernel.abs().clamp(min=threshold)
    twice = torch.full((shape[2] // 2 + 1,), 2.0, device=field.device)
    twice[0] = 1
    if shape[2] % 2 == 0:
        twice[-1] = 1
    gain = (kernel * inverse * twice).sum() / (shape[0] * shape[1] * shape[2])
    return Susceptibility(filtered(field * mask, inverse / gain, shape) * mask, {"Threshold": threshold})
