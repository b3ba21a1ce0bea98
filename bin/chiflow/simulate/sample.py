"""From a recipe to what an inversion gets and what it should find.

    f = D χ + D q + D₃ χ₁₃ + noise + outliers

q are sources around the mask, the rest of a background; χ₁₃ makes a field in white matter that no scalar χ explains.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch.nn.functional import avg_pool3d, max_pool3d

from chiflow.core.dipole import DipoleOperator
from chiflow.core.fourier import filtered, k_grid, padded_shape
from chiflow.core.geometry import Geometry
from chiflow.simulate.anatomy import INDEX, LabelHead
from chiflow.simulate.paint import FINER, LESION, VEIN, add_lesions, add_veins, from_head, from_shapes, smooth
from chiflow.simulate.recipe import Recipe

PADDING = 2.0
REST_MM = 15.0
CONTRAST = 0.3  # spread of the magnitude that guide_noise is relative to


@dataclass(frozen=True)
class Sample:
    """Tensors (X, Y, Z): field, local (the field without errors) and chi in ppm, mask, weight as told, magnitude (0 where there is none), kinds.

    sigma_ppm : noise as told, where the weight is 1.
    """

    geometry: Geometry
    field: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor
    sigma_ppm: float
    magnitude: torch.Tensor
    chi: torch.Tensor
    local: torch.Tensor
    kinds: torch.Tensor


def made(recipe: Recipe, heads: list[LabelHead]) -> Sample:
    """The sample of a recipe: the same recipe and heads give the same sample, bit by bit on one machine."""
    recipe.require_possible(len(heads))
    rng = np.random.default_rng(recipe.seed)
    labels = from_shapes(recipe, rng) if recipe.head is None else from_head(recipe, heads[recipe.head], rng)
    add_veins(labels, recipe, rng)
    add_lesions(labels, recipe, rng)
    brain = region(labels, recipe, rng)
    chi = susceptibility(labels, recipe, rng)
    geometry = Geometry(recipe.shape, recipe.voxel_size, recipe.b0)
    local = field_of(chi, brain, geometry, recipe.fine)
    mask = moved(brain, recipe.mask_error)
    field = local + model_errors(labels, local, mask, geometry, recipe, rng)
    weight, error = noise(mask, recipe, rng)
    truth = mean(chi)
    truth = (truth - truth[mask].mean()) * mask
    magnitude = brightness(labels, recipe, rng) * (recipe.guide_noise is not None)
    kinds = labels[(slice(0, None, FINER),) * 3]
    return Sample(geometry, (field + error) * mask, mask, weight, recipe.sigma_ppm * recipe.told, magnitude, truth, local, kinds)


def mean(fine: torch.Tensor) -> torch.Tensor:
    """Mean of the fine voxels in each voxel."""
    return avg_pool3d(fine[None, None], FINER)[0, 0]


def refined(volume: torch.Tensor) -> torch.Tensor:
    """Each voxel repeated on the fine grid."""
    return volume.repeat_interleave(FINER, 0).repeat_interleave(FINER, 1).repeat_interleave(FINER, 2)


def region(labels: torch.Tensor, recipe: Recipe, rng: np.random.Generator) -> torch.Tensor:
    """The true mask: tissue, cut to a blob when the recipe says so."""
    inside = mean((labels > 0).float()) > 0.5
    if recipe.cut:
        axes = [torch.linspace(-1, 1, n) + rng.uniform(-0.3, 0.3) for n in recipe.shape]
        radius2 = sum(g**2 for g in torch.meshgrid(*axes, indexing="ij"))
        kept = inside & (radius2 + 0.15 * smooth(rng, recipe.shape, 12) < rng.uniform(0.6, 1.4))
        inside = kept if kept.sum() > 0.05 * kept.numel() else inside
    if not inside.any():
        inside[tuple(slice(n // 4, -n // 4) for n in recipe.shape)] = True
    return inside


def susceptibility(labels: torch.Tensor, recipe: Recipe, rng: np.random.Generator) -> torch.Tensor:
    """χ (fine) in ppm: a value and a texture for each label."""
    table, texture = torch.zeros(2, LESION + len(recipe.lesions) + 1)
    table[: len(recipe.chi_ppm)] = torch.tensor(recipe.chi_ppm)
    table[VEIN] = float(rng.uniform(0.1, 0.45))
    for number, (chi, _) in enumerate(recipe.lesions):
        table[LESION + number] = chi
    texture[: len(recipe.texture_ppm)] = torch.tensor(recipe.texture_ppm)
    period = recipe.texture_mm * FINER / np.mean(recipe.voxel_size)
    chi = table[labels] + texture[labels] * smooth(rng, labels.shape, max(period, 1.01))
    return avg_pool3d(chi[None, None], 3, 1, 1, count_include_pad=False)[0, 0] if recipe.blurred else chi


def brightness(labels: torch.Tensor, recipe: Recipe, rng: np.random.Generator) -> torch.Tensor:
    """Magnitude (X, Y, Z) of any contrast, with a bias field and noise."""
    table = torch.from_numpy(rng.uniform(0.1, 1, LESION + len(recipe.lesions) + 1).astype(np.float32))
    table[: len(recipe.brightness)] = torch.tensor(recipe.brightness, dtype=torch.float32)
    if recipe.vein_brightness is not None:
        table[VEIN:] = recipe.vein_brightness
    table[0] = 0
    period = 60.0 if recipe.bias_mm is None else recipe.bias_mm * FINER / np.mean(recipe.voxel_size)
    image = mean(table[labels] * torch.exp(0.03 * smooth(rng, labels.shape, 3.0) + 0.25 * smooth(rng, labels.shape, period)))
    return (image + (recipe.guide_noise or 0) * CONTRAST * torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))).abs()


def field_of(chi: torch.Tensor, brain: torch.Tensor, geometry: Geometry, fine: bool) -> torch.Tensor:
    """Field (X, Y, Z) in ppm of χ (fine) less its mean, in the true mask."""
    inside = refined(brain.float())
    source = (chi - (chi * inside).sum() / inside.sum()) * inside
    if fine:
        finer = Geometry(tuple(chi.shape), tuple(v / FINER for v in geometry.voxel_size), geometry.b0)
        return mean(DipoleOperator(finer, padding=1.5).forward(source))
    return DipoleOperator(geometry, padding=PADDING).forward(mean(source))


def moved(mask: torch.Tensor, voxels: int) -> torch.Tensor:
    """The mask, a voxel larger (+1) or smaller (−1)."""
    if voxels < 0:
        smaller = ~grown(~mask)
        return smaller if smaller.any() else mask
    return grown(mask) if voxels else mask


def grown(mask: torch.Tensor) -> torch.Tensor:
    """The mask and its 26 neighbours."""
    return max_pool3d(mask[None, None].float(), 3, 1, 1)[0, 0] > 0


def model_errors(labels: torch.Tensor, local: torch.Tensor, mask: torch.Tensor, geometry: Geometry, recipe: Recipe,
                 rng: np.random.Generator) -> torch.Tensor:
    """Harmonic rest, anisotropy and outliers, (X, Y, Z) in ppm."""
    error = torch.zeros_like(local)
    size = rms(local[mask])
    if recipe.residue:
        rest = harmonic_rest(mask, geometry, rng)
        error += rest * recipe.residue * size / rms(rest[mask])
    if recipe.anisotropy_ppm:
        white = mean((labels == INDEX["white_matter"]).float())
        error += anisotropic_field(white, geometry, recipe.anisotropy_ppm, rng)
    for _ in range(recipe.outliers):
        cluster = ball(mask.shape, rng.uniform(0, 1, 3) * mask.shape, rng.uniform(0.8, 3))
        error[cluster] += rng.choice([-1, 1]) * recipe.outlier_size * size
    return error


def rms(values: torch.Tensor) -> float:
    """Root mean square."""
    return float(values.square().mean() ** 0.5)


def ball(shape: tuple[int, ...], centre: np.ndarray, radius: float) -> torch.Tensor:
    """Voxels (X, Y, Z) within a radius of a centre, both in voxels."""
    axes = [torch.arange(n) - c for n, c in zip(shape, centre)]
    return sum(g**2 for g in torch.meshgrid(*axes, indexing="ij")) < radius**2


def harmonic_rest(mask: torch.Tensor, geometry: Geometry, rng: np.random.Generator) -> torch.Tensor:
    """A field (X, Y, Z) that is harmonic in the mask: of random sources within 15 mm around it, strong in places."""
    margin = tuple(int(np.ceil(REST_MM / v)) for v in geometry.voxel_size)
    place = tuple(slice(m, m + n) for m, n in zip(margin, geometry.shape))
    outside = np.pad(~mask.numpy(), [(m, m) for m in margin], constant_values=True)
    distance = torch.from_numpy(distance_transform_edt(outside, sampling=geometry.voxel_size)).float()
    first = rng.uniform(0, 2)
    shell = (distance > first) & (distance < rng.uniform(first + max(geometry.voxel_size), REST_MM + 1))
    size = np.mean(geometry.voxel_size)
    sources = smooth(rng, outside.shape, max(rng.uniform(3, 20) / size, 1.01))
    sources = sources * torch.exp(0.8 * smooth(rng, outside.shape, 20 / size)) * shell
    return DipoleOperator(Geometry(outside.shape, geometry.voxel_size, geometry.b0)).forward(sources)[place]


def anisotropic_field(white: torch.Tensor, geometry: Geometry, size_ppm: float, rng: np.random.Generator) -> torch.Tensor:
    """Field (X, Y, Z) of off-diagonal susceptibilities χ₁₃ in white matter: F⁻¹ −(k·b)(k·e)/|k|² F χ₁₃ for the two e across b."""
    padded = padded_shape(geometry.shape, PADDING)
    k = k_grid(padded, geometry.voxel_size)
    square = sum(axis**2 for axis in k).clamp(min=1e-12)
    kb = sum(axis * b for axis, b in zip(k, geometry.b0))
    result = torch.zeros_like(white)
    for across in np.linalg.svd(np.array([geometry.b0]))[2][1:]:
        ke = sum(axis * float(e) for axis, e in zip(k, across))
        off_diagonal = size_ppm * white * smooth(rng, geometry.shape, 10 / np.mean(geometry.voxel_size))
        result += filtered(off_diagonal, -kb * ke / square, padded)
    return result


def noise(mask: torch.Tensor, recipe: Recipe, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight as told and noise (X, Y, Z) in ppm: σ varies smoothly, and is 3 to 10 times larger in places."""
    spread = recipe.noise_spread * smooth(rng, recipe.shape, 16)
    if recipe.noise_spread:
        spread = spread + (smooth(rng, recipe.shape, 8) - 1.2).clamp(min=0, max=1) * np.log(rng.uniform(3, 10))
    error = recipe.sigma_ppm * torch.exp(spread) * torch.from_numpy(rng.standard_normal(recipe.shape, dtype=np.float32))
    weight = torch.exp(-spread * (1 - 0.5 * (rng.random() < 0.3))).clamp(max=2) * mask
    return weight, error
