"""Samples of total fields: a training sample (sample.py) with the background of its head, turned with it, and of random sources around it.

    total = local + a f_head + f_random − shim,      f_head = Σ_ij (δ_ij / 3 − b_i b_j) T_ij,      T_ij = F⁻¹ k_i k_j / |k|² F G (χ_head − χ_air)

T is computed once for a head, so that its background is known for every direction of B0. A shim takes off the solid harmonics up to order two that
fit the total field in the mask best, as a scanner does. The mask may be a voxel smaller than the brain; what is local is then what lies in it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import affine_transform, spline_filter

from chiflow.core.dipole import DipoleOperator
from chiflow.core.fourier import inverse, k_grid, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.simulate.anatomy import LabelHead
from chiflow.simulate.paint import centre_of, rotation
from chiflow.simulate.recipe import Recipe, drawn, log_uniform
from chiflow.simulate.sample import Sample, harmonic_rest, made, moved, rms
from chiflow.simulate.surroundings import BLUR_MM, PADDING, Surroundings

PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
MARGIN = 6  # voxels of 1 mm around the brain: only its own are looked up
VOXEL_MM, STRETCH = (2.3, 3.4), (0.9, 1.12)
HEAD_MM = (170.0, 205.0, 170.0)


@dataclass(frozen=True)
class HeadTensor:
    """splines (6, X, Y, Z) float32: coefficients of T_ij in ppm at 1 mm, in the order of PAIRS; corner: the first voxel of the brain's box in it."""

    splines: np.ndarray
    corner: tuple[int, int, int]


@dataclass(frozen=True)
class TotalRecipe:
    """anatomy : of the sample (residue 0). head_share : a. random : rms of f_random over that of the local field. shimmed. eroded : the mask is a voxel smaller."""

    anatomy: Recipe
    head_share: float
    random: float
    shimmed: bool
    eroded: bool


@dataclass(frozen=True)
class TotalSample:
    """sample : with the total field (ppm) as its field. local (X, Y, Z) : field of χ in the mask less its mean, ppm, without errors."""

    sample: Sample
    local: torch.Tensor


def head_tensor(around: Surroundings, shape: tuple[int, ...]) -> HeadTensor:
    """T of what a label map has around its brain; shape : of the brain's box."""
    size = around.excess.shape
    padded = padded_shape(size, PADDING)
    k = k_grid(padded, (1.0,) * 3)
    square = sum(axis**2 for axis in k).clamp(min=1e-12)
    spectrum = transform(torch.from_numpy(around.excess), padded) * torch.exp(-2 * (np.pi * BLUR_MM) ** 2 * square)
    box = [(max(c - MARGIN, 0), min(c + n + MARGIN, s)) for c, n, s in zip(around.corner, shape, size)]
    cut = tuple(slice(*ends) for ends in box)
    parts = [spline_filter(inverse(spectrum * (k[i] * k[j] / square), padded, size)[cut].numpy(), 3, np.float32) for i, j in PAIRS]
    return HeadTensor(np.stack(parts), tuple(c - low for c, (low, _) in zip(around.corner, box)))


def drawn_total(rng: np.random.Generator, heads: int, shapes_share: float = 0.15) -> TotalRecipe:
    """A whole head of coarse voxels or random shapes, with its background."""
    whole = bool(heads) and rng.random() >= shapes_share
    anatomy = drawn(rng, heads if whole else 0, whole=whole)
    if whole:
        size = np.round(rng.uniform(*VOXEL_MM) * np.exp(rng.uniform(-0.12, 0.12, 3)), 3)
        scale = rng.uniform(*STRETCH)
        shape = tuple(int(np.ceil(h / scale / v)) for h, v in zip(HEAD_MM, size))
        anatomy = replace(anatomy, voxel_size=tuple(size.tolist()), shape=shape, stretch=(scale,) * 3, elastic_mm=0.0)
    anatomy = replace(anatomy, residue=0.0, mask_error=0, cut=bool(rng.random() < 0.15), sigma_ppm=log_uniform(rng, 3e-4, 6e-3),
                      outlier_size=min(anatomy.outlier_size, 3.0))
    near = log_uniform(rng, 0.2, 3) if rng.random() < 0.4 else 0.0
    return TotalRecipe(anatomy, float(rng.uniform(0.6, 1.2)) if whole else 0.0, near if whole else log_uniform(rng, 3, 30), bool(rng.random() < 0.6),
                       bool(rng.random() < 0.3))


def made_total(recipe: TotalRecipe, heads: list[LabelHead], tensors: list[HeadTensor]) -> TotalSample:
    """The sample of a recipe."""
    anatomy = recipe.anatomy
    sample = made(anatomy, heads)
    rng = np.random.default_rng([anatomy.seed, 1])
    mask, local = sample.mask, sample.local
    if recipe.eroded:
        mask, local = eroded(sample)
    background = torch.zeros_like(local)
    if recipe.head_share:
        background += recipe.head_share * turned_field(tensors[anatomy.head], heads[anatomy.head], anatomy)
    if recipe.random:
        rest = harmonic_rest(mask, sample.geometry, rng)
        background += rest * recipe.random * rms(local[mask]) / rms(rest[mask])
    total = (sample.field + background) * mask
    if recipe.shimmed:
        total = (total - shim(total, mask, sample.geometry)) * mask
    chi = (sample.chi - sample.chi[mask].mean()) * mask
    return TotalSample(replace(sample, field=total, mask=mask, weight=sample.weight * mask, chi=chi), local * mask)


def eroded(sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """The mask less its outermost voxels, and the field of χ in it."""
    mask = moved(sample.mask, -1)
    inside = (sample.chi - sample.chi[mask].mean()) * mask
    return mask, sample.local + DipoleOperator(sample.geometry, padding=2).forward(inside - sample.chi)


def turned_field(tensor: HeadTensor, head: LabelHead, recipe: Recipe) -> torch.Tensor:
    """f_head (X, Y, Z) in ppm in the pose of the recipe, which is stretched along all axes alike."""
    matrix = rotation(recipe.turn_deg) @ np.diag([-1.0 if recipe.flipped else 1.0, 1.0, 1.0])
    b = matrix @ np.array(recipe.b0)
    splines = sum(((1 / 3 if i == j else 0.0) - (1 if i == j else 2) * b[i] * b[j]) * tensor.splines[n] for n, (i, j) in enumerate(PAIRS))
    step = recipe.stretch[0] * matrix @ np.diag(recipe.voxel_size)
    first = centre_of(recipe, head, np.random.default_rng(recipe.seed)) + tensor.corner - step @ ((np.array(recipe.shape) - 1) / 2)
    return torch.from_numpy(affine_transform(splines.astype(np.float32), step, first, recipe.shape, np.float32, order=3, mode="nearest", prefilter=False))


def shim(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """The solid harmonics (X, Y, Z) up to order two that fit a field in a mask best."""
    axes = [(torch.arange(n) - (n - 1) / 2) * v / 100 for n, v in zip(geometry.shape, geometry.voxel_size)]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    terms = torch.stack([torch.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 2 * z * z - x * x - y * y])
    seen = terms[:, mask].double()
    factors = torch.linalg.solve(seen @ seen.T, seen @ field[mask].double())
    return torch.einsum("n,nxyz->xyz", factors.float(), terms)
