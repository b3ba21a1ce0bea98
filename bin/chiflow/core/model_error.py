"""What a field map has beside the field of χ: not white noise alone, but a part in proportion to the field, at every scale.

    P_e(k) / P_χ(k) = (0.008 + 0.015 mm² κ²) σ_e / (0.65 rms f),      κ = 2π |k|
    σ_e = max(σ, e / 0.75),      e the root mean square misfit of a map that is regularised for σ_e

The numbers are those of a brain in vivo whose χ is known from many orientations: anisotropy of white matter and the frequencies of its water, what
background removal left, motion, flow. There σ_e is 0.65 rms f, and the ratio of powers follows the first line within a fifth from 0.02 to 0.36 per
mm. Most of the error looks like a field of sources, so the misfit shows part of it: three quarters, on samples of simulate/realistic.py. It does not
vanish where D does.
"""

import torch

FLAT, STEEP_MM2 = 0.008, 0.015
SHARE_IN_VIVO = 0.65  # σ_e over rms f
MISFIT_SHARE = 0.75
LEAST_SHARE = 0.02  # of σ_e over rms f: no map explains a measured field better than that


def error_to_susceptibility(kappa_squared: torch.Tensor, error_share: float) -> torch.Tensor:
    """P_e / P_χ for κ² in 1/mm², and σ_e over rms f."""
    return (FLAT + STEEP_MM2 * kappa_squared) * (error_share / SHARE_IN_VIVO)


def error_share(misfit_share: float, sigma_share: float = 0.0) -> float:
    """σ_e from the root mean square misfit and the noise as told; all over rms f."""
    return max(misfit_share / MISFIT_SHARE, min(sigma_share, 1.0), LEAST_SHARE)
