"""How far off the map of an iterative inversion may be: as far as it is from a truth that is like it.

    χ* = χ + r,      f* = D χ* + e,      s² = G (χ(f*) − χ*)²

The map found is taken for the truth, with a random texture r and a random error e of the spectra that the inversion itself assumes (core/model_error.py),
and the field of both is inverted again. What it then gets wrong, squared and averaged over a Gaussian G of 6 mm, is the variance: noise that came through,
texture that was shrunk, edges that were moved, and what the cone hides. A parametric bootstrap with one draw; the average stands for many.

    r(k) ∝ w(k) |k|^−1.7,  rms 0.6^½ × that of χ;      e(k) ∝ w(k) (0.008 + 0.015 mm² κ²)^½ |k|^−1.7,  rms σ_e

|k|^−3.4 is the power of χ in vivo.

Reference: Efron and Tibshirani 1993 (10.1201/9780429246593).
"""

import torch

from chiflow.core.fourier import k_grid
from chiflow.core.geometry import Geometry
from chiflow.core.model_error import error_to_susceptibility
from chiflow.invert.decomposition import PASSES, TEXTURE_SHARE, Decomposition, Search

SLOPE, LONGEST_MM = 3.4, 60.0
SMOOTH_MM = 6.0
CALIBRATION = 1.0  # s over that of held-out samples of simulate/realistic.py
SEED = 0


def bootstrapped(found: Decomposition, mask: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """s (X, Y, Z) of a map in ppm, 0 outside the mask."""
    search = Search(torch.zeros_like(found.chi), mask, geometry, None)
    generator = torch.Generator().manual_seed(SEED)
    inside, scale = search.inside, search.placed(found.chi)[search.inside > 0].std()
    spectrum = (sum(k**2 for k in k_grid(search.shape, geometry.voxel_size, mask.device)) + LONGEST_MM**-2) ** (-SLOPE / 4)

    def drawn(amplitude: torch.Tensor, rms: float) -> torch.Tensor:
        noise = torch.randn(search.shape, generator=generator).to(mask.device)
        volume = inside * search.filtered(amplitude * torch.fft.rfftn(noise))
        return volume * (rms / volume[inside > 0].square().mean().sqrt().clamp(min=1e-20))

    truth = search.placed(found.chi) + drawn(spectrum, TEXTURE_SHARE**0.5 * float(scale))
    error = drawn(spectrum * error_to_susceptibility(search.kappa_squared, 1.0).sqrt(), found.share)
    field = inside * search.filtered(search.dipole * torch.fft.rfftn(truth)) + error
    again = Search(search.cut(field), mask, geometry, None)
    for count in PASSES:
        again.minimise(found.strength / again.rms, found.share / again.rms, count, iter(()))
        misfit = again.misfit()
        again.fill(misfit, again.size(misfit))
    wrong = inside * (again.chi * again.rms - truth)
    wrong = wrong - inside * wrong.sum() / inside.sum()
    window = torch.exp(-0.5 * (SMOOTH_MM**2) * search.kappa_squared)
    smooth = lambda volume: search.filtered(window * torch.fft.rfftn(volume)).clamp(min=0)
    return CALIBRATION * search.cut((smooth(wrong**2) / smooth(inside).clamp(min=1e-3)).sqrt()) * found.rms_ppm
