"""Samples that are like scans in vivo: what is random in one function, what is made of it in another.

    field = scan of the fine field + anisotropy of fibres + their water's shift + false sources + coloured rest + harmonic rest + noise / magnitude

False sources are a field of χ that is not there, in proportion to that of χ: in vivo what a field map has beyond D χ looks like one, at every scale
(motion between echoes, flow, neighbours' ringing). The coloured rest is no source's field.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from pydantic import ConfigDict

from chiflow.core.dipole import DipoleOperator
from chiflow.core.geometry import Geometry
from chiflow.phantom.fibres import anisotropic_field
from chiflow.simulate.anatomy import INDEX, KINDS, LabelHead
from chiflow.simulate.brain import Appearance, brain_of
from chiflow.simulate.fibres import drawn_fibres, pools_shift
from chiflow.simulate.paint import add_lesions, from_head, from_shapes
from chiflow.simulate.recipe import FREE_KINDS, TYPICAL_PPM, Recipe, drawn_b0, drawn_lesions, drawn_pose, log_uniform
from chiflow.simulate.sample import Sample, harmonic_rest, moved, region, rms
from chiflow.simulate.scanned import coarse, fine_field, scanned
from chiflow.simulate.texture import power_law, wave

PART, PART_MM = (88, 104), (0.6, 1.5)
WHOLE_MM = (1.7, 2.7)
WHOLE_EXTENT_MM = (165.0, 200.0, 170.0)
WHOLE_SHARE = 0.3
SIGMA_PPM, ERRORS = (5e-4, 8e-3), (0.1, 0.9)
NEAR_TYPICAL = {"white_matter": -0.022, "hyperintensity": -0.01, "brainstem": -0.012, "cerebral_cortex": 0.014, "cerebellar_cortex": 0.010, "csf": 0.012,
                "ventricle": 0.012}  # means of tissues that carry texture and profiles beside; the other kinds as in KINDS


@dataclass(frozen=True)
class RealRecipe:
    """anatomy : place, tissue, lesions, residue, noise and mask as in a plain Recipe. look : see Appearance. rad_per_ppm : phase of the scan.

    anisotropy_ppm : Δ, shift_ppm : A and shift_zero : s of the fibres. false_share, coloured_share : rms over that of the field. decay_noise : noise grows
    as the magnitude to this power falls.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    anatomy: Recipe
    look: Appearance = field(default_factory=Appearance)
    rad_per_ppm: float = 16.0
    anisotropy_ppm: float = 0.015
    shift_ppm: float = 0.008
    shift_zero: float = 0.3
    false_share: float = 0.2
    coloured_share: float = 0.1
    decay_noise: float = 1.0


def typical_ppm() -> np.ndarray:
    """χ in ppm of each kind."""
    chi = TYPICAL_PPM.copy()
    for kind, value in NEAR_TYPICAL.items():
        chi[INDEX[kind]] = value
    return chi


def drawn_real(rng: np.random.Generator, heads: int) -> RealRecipe:
    """A recipe for one of `heads` label maps, a whole head of coarse voxels or a part of one; for random shapes when there are none."""
    whole = rng.random() < WHOLE_SHARE and heads > 0
    shape, size = drawn_box(rng, whole)
    pose = drawn_pose(rng, shape, size)
    pose |= {"centre": "whole", "turn_deg": tuple(turn / 6 for turn in pose["turn_deg"])} if whole else {}
    unused = {} if heads else {name: (0.0,) * FREE_KINDS for name in ("texture_ppm", "brightness")}  # of a plain sample
    anatomy = Recipe(int(rng.integers(2**31)), int(rng.integers(heads)) if heads else None, shape, size, drawn_b0(rng), **pose, **unused,
                     chi_ppm=drawn_chi(rng, heads > 0), lesions=drawn_lesions(rng) if rng.random() < 0.25 else (), sigma_ppm=log_uniform(rng, *SIGMA_PPM),
                     noise_spread=float(rng.uniform(0, 0.3)), told=log_uniform(rng, 0.5, 2), residue=log_uniform(rng, 0.02, 0.4) * (rng.random() < 0.7),
                     mask_error=int(rng.choice([-1, 0, 1], p=[0.3, 0.6, 0.1])), cut=bool(not whole and rng.random() < 0.6),
                     guide_noise=0.05 if rng.random() < 0.75 else None)
    errors = log_uniform(rng, *ERRORS) * (rng.random() < 0.9)
    return RealRecipe(anatomy, drawn_look(rng), log_uniform(rng, 5, 40), errors * float(rng.uniform(0.008, 0.024)), errors * float(rng.uniform(0, 0.018)),
                      float(rng.uniform(0, 0.6)), errors * float(rng.uniform(0, 0.5)), errors * float(rng.uniform(0, 0.35)), float(rng.uniform(0.5, 1.5)))


def drawn_box(rng: np.random.Generator, whole: bool) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Shape in voxels and voxel size in mm: isotropic or not; the longest axis of a part is any."""
    low, high = WHOLE_MM if whole else PART_MM
    size = np.full(3, log_uniform(rng, low, high))
    if rng.random() < 0.4:
        size *= np.exp(rng.uniform(-0.1, 0.1, 3))
        size[2] *= rng.uniform(1, 2.2 if not whole else 1.3)
    size = size[rng.permutation(3)] if not whole else size
    extent = np.array(WHOLE_EXTENT_MM)
    shape = np.ceil(extent / size) if whole else np.minimum(rng.integers(*PART, 3), np.ceil(extent.max() / size))
    return tuple(int(n) // 4 * 4 for n in shape), tuple(float(v) for v in size.round(3))


def drawn_chi(rng: np.random.Generator, known: bool) -> tuple[float, ...]:
    """χ of each kind in ppm: near what is typical, in a tenth of all heads and for shapes (not known) of any size and sign."""
    if not known:
        return tuple(rng.normal(0, 0.04, FREE_KINDS).tolist())
    kinds = len(KINDS)
    if rng.random() < 0.1:
        return tuple(rng.normal(0, 0.04, kinds).tolist())
    return tuple((typical_ppm() * rng.normal(1, 0.3, kinds) + rng.normal(0, 0.006, kinds)).tolist())


def drawn_look(rng: np.random.Generator) -> Appearance:
    """Each figure of an Appearance within a factor of about 1.5 of its default; the magnitude from hardly any contrast to much."""
    near = lambda value, factor=1.4: value * log_uniform(rng, 1 / factor, factor)
    base = Appearance()
    return Appearance(near(base.texture), near(base.texture_spread, 1.25), float(rng.uniform(2.6, 3.6)), near(base.texture_mm, 1.8), near(base.regional, 1.8),
                      near(base.sheets), near(base.sheets_mm), near(base.cortex, 1.6), near(base.below_cortex, 1.8), near(base.soft_mm), int(rng.integers(25, 100)),
                      near(base.vein, 1.6), log_uniform(rng, 0.006, 0.12), float(rng.uniform(0, 1)), near(base.grain, 2), log_uniform(rng, 0.01, 0.08))


def made_real(recipe: RealRecipe, heads: list[LabelHead]) -> Sample:
    """The sample of a recipe: the same recipe and heads give the same sample, bit by bit on one machine."""
    anatomy = recipe.anatomy
    anatomy.require_possible(len(heads))
    rng = np.random.default_rng([anatomy.seed, 2])
    geometry = Geometry(anatomy.shape, anatomy.voxel_size, anatomy.b0)
    labels = from_shapes(anatomy, rng) if anatomy.head is None else from_head(anatomy, heads[anatomy.head], rng)
    add_lesions(labels, anatomy, rng)
    step = tuple(v / 2 for v in anatomy.voxel_size)
    brain = brain_of(labels, anatomy.chi_ppm, recipe.look, step, rng, anatomy.lesions)
    inside = region(labels, anatomy, rng)
    fine = fine_field(brain.chi, inside, geometry)
    local = coarse(fine)
    measured, seen = scanned(fine, brain.magnitude + 1e-3, recipe.rad_per_ppm)
    mask = moved(inside, anatomy.mask_error)
    error = model_error(recipe, brain.white, coarse(brain.chi), measured, inside, mask, geometry, rng)
    weight, noise = measured_noise(recipe, seen, mask, rng)
    chi = coarse(brain.chi)
    chi = (chi - chi[mask].mean()) * mask
    magnitude = torch.zeros_like(seen)
    if anatomy.guide_noise is not None:
        magnitude = (seen + recipe.look.noise * torch.from_numpy(rng.standard_normal(seen.shape, dtype=np.float32))).abs()
    return Sample(geometry, (measured + error + noise) * mask, mask, weight, anatomy.sigma_ppm * anatomy.told, magnitude, chi, local, labels[::2, ::2, ::2])


def model_error(recipe: RealRecipe, white: torch.Tensor, chi: torch.Tensor, measured: torch.Tensor, inside: torch.Tensor, mask: torch.Tensor,
                geometry: Geometry, rng: np.random.Generator) -> torch.Tensor:
    """What is in the field (X, Y, Z, ppm) beside that of χ and noise."""
    size, error = rms(measured[mask]), torch.zeros_like(measured)
    fibres = drawn_fibres(rng, coarse(white) * inside, geometry)
    if recipe.anisotropy_ppm:
        error += anisotropic_field(fibres, geometry, recipe.anisotropy_ppm)
    if recipe.shift_ppm:
        error += pools_shift(fibres, geometry, recipe.shift_ppm, recipe.shift_zero)
    scaled = lambda volume, share: volume * share * size / max(rms(volume[mask]), 1e-20)
    if recipe.false_share:
        error += scaled(false_field(chi, inside, geometry, rng), recipe.false_share)
    if recipe.coloured_share:
        error += scaled(power_law(rng, geometry.shape, geometry.voxel_size, float(rng.uniform(1.5, 3)), 20.0) * mask, recipe.coloured_share)
    if recipe.anatomy.residue:
        error += scaled(harmonic_rest(mask, geometry, rng), recipe.anatomy.residue)
    return error


def false_field(chi: torch.Tensor, inside: torch.Tensor, geometry: Geometry, rng: np.random.Generator) -> torch.Tensor:
    """Field (X, Y, Z) of sources that are not there: χ itself, stronger here and weaker there, and a texture like that of χ."""
    shape, size = geometry.shape, geometry.voxel_size
    own = (chi - chi[inside].mean()) * wave(rng, shape, size, 12.0)
    other = power_law(rng, shape, size, float(rng.uniform(2.5, 3.5)), 25.0) * torch.exp(0.6 * wave(rng, shape, size, 8.0))
    sources = own / max(rms(own[inside]), 1e-12) * float(rng.uniform(0, 1)) + other / max(rms(other[inside]), 1e-12)
    return DipoleOperator(geometry).forward(sources * inside)


def measured_noise(recipe: RealRecipe, magnitude: torch.Tensor, mask: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight as told, and noise (X, Y, Z) in ppm: it grows where the magnitude is small."""
    anatomy = recipe.anatomy
    typical = magnitude[mask].median()
    spread = -recipe.decay_noise * torch.log((magnitude / typical).clamp(0.05, 3)) + anatomy.noise_spread * wave(rng, anatomy.shape, anatomy.voxel_size, 16.0)
    noise = anatomy.sigma_ppm * torch.exp(spread) * torch.from_numpy(rng.standard_normal(anatomy.shape, dtype=np.float32))
    told = torch.exp(-spread * (1 - 0.5 * (rng.random() < 0.3))).clamp(max=2) * mask
    return told, noise


def whole_real(head: LabelHead, voxel_size: tuple[float, ...], b0: tuple[float, ...], seed: int, sigma_ppm: float = 0.004, number: int = 0,
               **changes) -> RealRecipe:
    """Recipe of a whole brain with typical tissue and the errors of a scan in vivo, a voxel of air around it; for judging what was trained on other heads.

    number : index of the head among those that `made_real` gets. changes : other values for fields of the RealRecipe.
    """
    shape = tuple(int(np.ceil(n / v)) + 2 for n, v in zip(head.kinds.shape, voxel_size))
    direction = tuple(float(b) for b in np.array(b0) / np.linalg.norm(b0))
    anatomy = Recipe(seed, number, shape, tuple(float(v) for v in voxel_size), direction, chi_ppm=tuple(typical_ppm().tolist()), sigma_ppm=sigma_ppm,
                     noise_spread=0.15, residue=0.12, guide_noise=0.05)
    typical = RealRecipe(anatomy, false_share=0.12, coloured_share=0.08)
    return replace(typical, **changes)
