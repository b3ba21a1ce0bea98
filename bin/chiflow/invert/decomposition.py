"""Total variation and texture: χ is a structure s with few edges and a texture r with a smooth spectrum, told apart by the model's own error.

    χ = s + r,      min over s, r   ½ ‖D (s + r) − f‖² + λ ‖∇s‖₁ + ½ Σ_k q(k) |r(k)|²,      q = P_e / P_r,      P_r = 0.6 P_χ

an infimal convolution of total variation with a quadratic norm. r for a given s is a Wiener filter of what s leaves, and put in its place it whitens the
data term: s is fitted to f by the inverse covariance of noise and texture together,

    min over s   ½ Σ_k C⁻¹ |D s − f|² + λ ‖∇s‖₁,      C⁻¹ = q / (D² + q),      r = D / (D² + q) (f − D s)

Deep grey matter and veins keep their χ, since edges are paid for once, whatever their height; texture is shrunk as far as the error of the field says
(core/model_error.py), instead of being flattened. λ = 0.1 σ_e. All is in units of rms f, so χ is homogeneous in (f, σ).

s is found by ADMM, whose step in s is a division in k space. Weights and mask enter by filling: after each pass the field of the map takes the place of
that of voxels with little weight and, where the field is exact enough, of those outside the mask (an iteration of majorisation). Voxels that fit worse
than three times the typical one count less.

References: Chambolle and Lions 1997 (10.1007/s002110050258) for infimal convolution, Bilgic 2014 (10.1002/mrm.25029) for the steps in k space, Liu 2013
(10.1002/mrm.24272) for voxels that do not fit.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import avg_pool3d

from chiflow.core.dipole import dipole_kernel
from chiflow.core.fourier import inverse, k_grid, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.core.gradient import gradient, gradient_adjoint, scales
from chiflow.core.model_error import error_share, error_to_susceptibility
from chiflow.core.progress import progress
from chiflow.core.solvers import soft_threshold

TEXTURE_SHARE = 0.6  # of the power of χ
LAMBDA_PER_ERROR = 0.1
FIRST_SHARE = 0.55  # σ_e over rms f before a misfit is known
STEP = 3.0  # λ/ρ, the gradient that one iteration can remove, in units of rms f
PASSES = (15, 10, 10)  # iterations of ADMM in each
OUTLIER, MAD_TO_SIGMA = 3.0, 1.4826
FILL_FROM, FILL_OVER = 0.42, 0.08  # misfit over rms f from which the field is not continued outside the mask, and range over which that begins
TRUSTED = 0.3  # W from which on a voxel counts in full: the error of the model, not noise, decides there
MARGIN_MM, PADDING = 20.0, 1.25


@dataclass(frozen=True)
class Decomposition:
    """structure (s), chi (s + r) and misfit (f − D χ), (X, Y, Z), and share (σ_e), misfit_share (its rms) and strength (λ), all in units of rms_ppm, that of f."""

    structure: torch.Tensor
    chi: torch.Tensor
    misfit: torch.Tensor
    share: float
    misfit_share: float
    strength: float
    rms_ppm: float


def decomposed(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float,
               lambda_ppm: float | None = None, passes: tuple[int, ...] = PASSES) -> Decomposition:
    """Structure and texture with all that was found; arguments as those of ictv.py."""
    search = Search(field, mask, geometry, weight)
    share = max(FIRST_SHARE, error_share(0, sigma_ppm / search.rms))
    bar = iter(progress(range(sum(passes)), "ICTV"))
    for count in passes:
        strength = LAMBDA_PER_ERROR * share if lambda_ppm is None else lambda_ppm / search.rms
        search.minimise(strength, share, count, bar)
        misfit = search.misfit()
        size = search.size(misfit)
        share = error_share(size, sigma_ppm / search.rms)
        search.fill(misfit, size)
    next(bar, None)
    return Decomposition(search.cut(search.structure), search.cut(search.chi), search.cut(misfit), share, size, strength, search.rms)


class Search:
    """The state of ADMM on a padded grid, the volume in its low corner; everything in units of rms, the root mean square of the field in the mask in ppm."""

    def __init__(self, field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None):
        self.voxel_size, self.volume = geometry.voxel_size, geometry.shape
        margin = tuple(int(-(-MARGIN_MM // v)) for v in geometry.voxel_size)
        self.shape = padded_shape(geometry.shape, PADDING, margin)
        self.dipole = dipole_kernel(geometry, self.shape, field.device)
        axes = k_grid(self.shape, geometry.voxel_size, field.device)
        self.kappa_squared = (2 * torch.pi) ** 2 * sum(k**2 for k in axes)
        terms = zip(axes, geometry.voxel_size, scales(geometry.voxel_size))
        self.laplacian = sum(scale**2 * (2 - 2 * torch.cos(2 * torch.pi * k * size)) for k, size, scale in terms)
        self.inside = self.placed(mask.float())
        self.weight = self.inside if weight is None else self.placed((weight / TRUSTED).clamp(max=1) * mask)
        measured = self.placed(field * mask)
        self.rms = max(self.size(measured), 1e-12)
        self.measured = measured / self.rms
        self.data = self.weight * self.measured + (self.inside - self.weight) * self.neighbours()
        self.both = torch.stack([self.inside * torch.roll(self.inside, -1, axis) for axis in range(3)])
        self.structure, self.chi = torch.zeros_like(self.inside), torch.zeros_like(self.inside)
        self.split = torch.zeros_like(self.both)

    def placed(self, volume: torch.Tensor) -> torch.Tensor:
        """A volume (X, Y, Z) on the grid."""
        result = torch.zeros(self.shape, device=volume.device)
        result[tuple(slice(n) for n in volume.shape)] = volume
        return result

    def cut(self, volume: torch.Tensor) -> torch.Tensor:
        """The volume (X, Y, Z) of the grid, 0 outside the mask."""
        return (volume * self.inside)[tuple(slice(n) for n in self.volume)].contiguous()

    def size(self, volume: torch.Tensor) -> float:
        """Root mean square of a volume on the grid, by the weights."""
        return float(((self.weight * volume**2).sum() / self.weight.sum().clamp(min=1e-12)).sqrt())

    def neighbours(self) -> torch.Tensor:
        """The field around each voxel, in the mean over 5³ voxels by their weights: what stands for it until there is a map."""
        mean = lambda volume: avg_pool3d(volume[None, None], 5, 1, 2)[0, 0]
        return mean(self.weight * self.measured) / mean(self.weight).clamp(min=1e-3)

    def filtered(self, spectrum: torch.Tensor) -> torch.Tensor:
        """F⁻¹ of a spectrum on the grid."""
        return inverse(spectrum, self.shape, self.shape)

    def minimise(self, strength: float, share: float, iterations: int, bar) -> None:
        """Structure and texture for λ = strength and σ_e = share; bar : an iterator that is moved on with each iteration."""
        prior = error_to_susceptibility(self.kappa_squared, share) / TEXTURE_SHARE
        wiener = self.dipole / (self.dipole**2 + prior)
        spectrum, penalty = transform(self.data, self.shape), strength / STEP
        if not self.structure.any():
            self.structure = self.inside * self.filtered(wiener * spectrum)
            self.split = self.both * gradient(self.structure, self.voxel_size)
        right, below = wiener * prior * spectrum, self.dipole * wiener * prior + penalty * self.laplacian
        below[0, 0, 0] = 1
        dual = torch.zeros_like(self.split)
        for _ in range(iterations):
            next(bar, None)
            pulled = transform(gradient_adjoint(self.both * (self.split - dual), self.voxel_size), self.shape)
            self.structure = self.inside * self.filtered((right + penalty * pulled) / below)
            slope = self.both * gradient(self.structure, self.voxel_size) + dual
            self.split = soft_threshold(slope, STEP)
            dual = slope - self.split
        structure = transform(self.structure, self.shape)
        self.chi = self.inside * self.filtered(structure + wiener * (spectrum - self.dipole * structure))

    def misfit(self) -> torch.Tensor:
        """f − D χ in the mask; D χ everywhere is kept for filling."""
        self.predicted = self.filtered(self.dipole * transform(self.chi, self.shape))
        return self.inside * (self.measured - self.predicted)

    def fill(self, misfit: torch.Tensor, size: float) -> None:
        """The field with that of the map in the place of what is not known; size : rms of the misfit."""
        error = (self.weight * misfit).abs()
        typical = MAD_TO_SIGMA * error[self.weight > 0].median()
        known = self.weight * (OUTLIER * typical / error.clamp(min=1e-20)).clamp(max=1)
        outside = min(max((FILL_FROM - size) / FILL_OVER, 0), 1) * (1 - self.inside)
        self.data = known * self.measured + (self.inside - known + outside) * self.predicted
