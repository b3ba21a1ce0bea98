"""Closed-form L2: the smoothest map that explains the field, in one division.

    min over χ   ½ ‖D χ − f‖² + ½ λ ‖∇χ‖²,      χ = F⁻¹ [ D / (D² + λ L) F f ],      L the spectrum of ∇ᵀ∇

λ is the one of generalised cross-validation (spectral.py). The field is zero outside the mask: a closed form has no masked data term.

Reference: Bilgic 2014 (10.1002/mrm.25029).
"""

import torch

from chiflow.core.dipole import PADDING, dipole_kernel
from chiflow.core.fourier import inverse, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.invert.problem import laplacian_kernel
from chiflow.invert.result import Susceptibility
from chiflow.invert.spectral import cross_validated


def l2(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
       magnitude: torch.Tensor | None = None, *, lambda_: float | None = None) -> Susceptibility:
    """χ in ppm with λ.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. lambda_ : λ, no unit; by cross-validation when None.
    The method has no weights; `weight`, `sigma_ppm` and `magnitude` are not used.
    """
    shape = padded_shape(geometry.shape, PADDING)
    D = dipole_kernel(geometry, shape, field.device)
    L = laplacian_kernel(shape, geometry.voxel_size, field.device)
    L[0, 0, 0] = 1  # where D = 0: the mean of χ, which is free
    spectrum = transform(field * mask, shape)
    strength = cross_validated(spectrum, D**2 / L, shape) if lambda_ is None else lambda_
    chi = inverse(D / (D**2 + strength * L) * spectrum, shape, geometry.shape)
    return Susceptibility(chi * mask, {"Lambda": strength})
