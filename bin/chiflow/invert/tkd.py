"""TKD: division by the dipole kernel, its small values raised to a threshold.

    χ = F⁻¹ [ F f · sign(D) / max(|D|, t) ] / c,      c = mean over k of D · sign(D) / max(|D|, t),      t = λ^0.4

c undoes the loss of contrast that the threshold causes. λ is the one that generalised cross-validation (spectral.py) gives the damped
division D / (D² + λ); the exponent is measured: from a noise of 5 % of the field to one as large as the field, t is within 3 % of the least error.

References: Shmueli 2009 (10.1002/mrm.22135), Schweser 2013 (10.1002/mrm.24405) for the correction.
"""

import torch

from chiflow.core.dipole import PADDING, dipole_kernel
from chiflow.core.fourier import inverse, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.invert.result import Susceptibility
from chiflow.invert.spectral import cross_validated, multiplicity

EXPONENT = 0.4
LARGEST_THRESHOLD = 0.5  # of |D| ≤ 2/3


def tkd(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 0.0,
        magnitude: torch.Tensor | None = None, *, threshold: float | None = None) -> Susceptibility:
    """χ in ppm.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. threshold : least |D|; by cross-validation when None.
    The method has no weights; `weight`, `sigma_ppm` and `magnitude` are not used.
    """
    shape = padded_shape(geometry.shape, PADDING)
    kernel = dipole_kernel(geometry, shape, field.device)
    spectrum = transform(field * mask, shape)
    if threshold is None:
        threshold = min(cross_validated(spectrum, kernel**2, shape) ** EXPONENT, LARGEST_THRESHOLD)
    quotient = torch.where(kernel < 0, -1.0, 1.0) / kernel.abs().clamp(min=threshold)
    gain = (kernel * quotient * multiplicity(shape, field.device)).sum() / (shape[0] * shape[1] * shape[2])
    return Susceptibility(inverse(spectrum * quotient / gain, shape, geometry.shape) * mask, {"Threshold": threshold})
