"""What is random about one training sample, drawn at once: `drawn` draws, `made` in sample.py applies, and a recipe gives the same sample again."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import ConfigDict

from chiflow.core.errors import ChiflowError
from chiflow.simulate.anatomy import INDEX, KINDS

SHAPES = ((48, 48, 48), (48, 48, 48), (40, 56, 48), (64, 56, 32), (56, 64, 48), (64, 72, 56))
VOXEL_MM = (0.5, 2.5)
WHOLE_SHAPE, WHOLE_MM, WHOLE_TURN_DEG = (60, 72, 56), (2.4, 2.9), 20.0
SIGMA_PPM = (3e-4, 1.5e-2)
TYPICAL_PPM = np.array([chi for _, chi in KINDS.values()])
FREE_KINDS = 28  # kinds of a sample of random shapes
SMALLEST = 8  # voxels along an axis


@dataclass(frozen=True)
class Recipe:
    """head : index of the label map, None for random shapes. voxel_size in mm, b0 a unit vector in voxel axes, shape in voxels.

    turn_deg, stretch, elastic_mm, flipped : how the label map lies in the box. centre : what of it is in the middle: the whole, a random
    voxel of it (anywhere) or of a deep structure (deep), or the middle of the deep grey matter (nuclei).
    chi_ppm, texture_ppm, brightness : of each kind; texture_mm : correlation length. veins : number; lesions : χ in ppm and radius in mm;
    lesion_places : of their middles, as fractions of the box, anywhere when there are none. vein_brightness : of veins and lesions, any when None.
    bias_mm : period of the magnitude's bias field, 30 voxels when None.
    sigma_ppm : noise in the median voxel. noise_spread : of log σ over space. told : what is said about σ over what is true.
    residue : rms of the harmonic rest of the background over that of the field. anisotropy_ppm : of χ₁₃ and χ₂₃ in white matter.
    outliers : number of clusters that are wrong by outlier_size × rms of the field. mask_error : voxels that the mask is too large (+) or too
    small (−). cut : the mask is cut to a blob. blurred : χ is smoothed over the fine voxels.
    remainder_told : whoever inverts knows of the rest. fine : the field is that of a grid twice finer. guide_noise : of the magnitude over its
    spread; None: there is no magnitude.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    seed: int
    head: int | None
    shape: tuple[int, int, int]
    voxel_size: tuple[float, float, float]
    b0: tuple[float, float, float]
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    elastic_mm: float = 0.0
    centre: Literal["whole", "anywhere", "deep", "nuclei"] = "whole"
    flipped: bool = False
    chi_ppm: tuple[float, ...] = tuple(TYPICAL_PPM.tolist())
    texture_ppm: tuple[float, ...] = (0.005,) * len(KINDS)
    texture_mm: float = 3.0
    brightness: tuple[float, ...] = (1.0,) * len(KINDS)
    vein_brightness: float | None = None
    bias_mm: float | None = None
    blurred: bool = False
    veins: int = 0
    lesions: tuple[tuple[float, float], ...] = ()
    lesion_places: tuple[tuple[float, float, float], ...] = ()
    sigma_ppm: float = 1e-3
    noise_spread: float = 0.0
    told: float = 1.0
    residue: float = 0.0
    anisotropy_ppm: float = 0.0
    outliers: int = 0
    outlier_size: float = 0.0
    mask_error: int = 0
    cut: bool = False
    remainder_told: bool = False
    fine: bool = False
    guide_noise: float | None = None

    def require_possible(self, heads: int) -> None:
        """Raise ChiflowError for a recipe that cannot be made with this number of label maps."""
        kinds = FREE_KINDS if self.head is None else len(KINDS)
        if self.head is not None and not 0 <= self.head < heads:
            raise ChiflowError(f"recipe: label map {self.head} is wanted, {heads} are there")
        if min(self.shape) < SMALLEST or min(self.voxel_size) <= 0 or min(self.stretch) <= 0:
            given = f"shape {self.shape}, voxel_size {self.voxel_size}, stretch {self.stretch}"
            raise ChiflowError(f"recipe: {given}: at least {SMALLEST} voxels along each axis, and sizes above 0 are wanted")
        for name in ("chi_ppm", "texture_ppm", "brightness"):
            if len(getattr(self, name)) < kinds:
                raise ChiflowError(f"recipe: {name} has {len(getattr(self, name))} values, one for each of {kinds} kinds is wanted")
        if self.mask_error not in (-1, 0, 1):
            raise ChiflowError(f"recipe: mask_error {self.mask_error} is not -1, 0 or 1")
        if self.lesion_places and len(self.lesion_places) != len(self.lesions):
            raise ChiflowError(f"recipe: {len(self.lesion_places)} lesion_places for {len(self.lesions)} lesions")


def drawn(rng: np.random.Generator, heads: int, heads_share: float = 0.65, whole: bool = False) -> Recipe:
    """A recipe for one of `heads` label maps or for random shapes. whole : a whole head, of coarse voxels, in place of a part of one."""
    head = int(rng.integers(heads)) if heads and (whole or rng.random() < heads_share) else None
    voxel, shape = drawn_whole_grid(rng) if whole else drawn_grid(rng)
    kinds = len(KINDS) if head is not None else FREE_KINDS
    pose = drawn_pose(rng, shape, voxel) if head is not None else {}
    if whole and pose:
        pose |= {"centre": "whole", "turn_deg": tuple(WHOLE_TURN_DEG / 180 * turn for turn in pose["turn_deg"])}
    return Recipe(int(rng.integers(2**31)), head, shape, voxel, drawn_b0(rng), **pose, **drawn_tissue(rng, head is None, kinds), **drawn_errors(rng),
                  sigma_ppm=log_uniform(rng, *SIGMA_PPM), cut=bool(rng.random() < 0.5), fine=bool(rng.random() < 0.3),
                  guide_noise=log_uniform(rng, 0.01, 0.3) if rng.random() < 0.7 else None)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def drawn_grid(rng: np.random.Generator) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Voxel size in mm and shape: isotropic or not, the longest axis anywhere."""
    shape = np.array(SHAPES[rng.integers(len(SHAPES))])
    base = log_uniform(rng, *VOXEL_MM) if shape.prod() < 2e5 else rng.uniform(1.6, 2.8)
    size = np.full(3, base)
    if rng.random() < 0.5:
        size *= np.exp(rng.uniform(-0.1, 0.1, 3))
        size[2] *= rng.uniform(1, 3)
        size = np.clip(size / (size.prod() ** (1 / 3)) * base, VOXEL_MM[0], 3.0)
    order = rng.permutation(3)
    return tuple(float(v) for v in np.round(size[order], 3)), tuple(int(n) for n in shape[rng.permutation(3)])


def drawn_whole_grid(rng: np.random.Generator) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Voxel size in mm and shape of a box that a head fits in."""
    size = rng.uniform(*WHOLE_MM) * np.exp(rng.uniform(-0.1, 0.1, 3))
    return tuple(float(v) for v in np.round(size, 3)), WHOLE_SHAPE


def drawn_b0(rng: np.random.Generator) -> tuple[float, float, float]:
    """Along an axis (30 %) or anywhere on the sphere."""
    if rng.random() < 0.3:
        return tuple(float(v) for v in np.eye(3)[rng.integers(3)])
    b = rng.standard_normal(3)
    return tuple(float(v) for v in b / np.linalg.norm(b))


def drawn_pose(rng: np.random.Generator, shape: tuple[int, ...], voxel: tuple[float, ...]) -> dict:
    """How a label map lies in the box."""
    extent = np.array(shape) * voxel
    centre = "whole" if extent.min() > 100 else str(rng.choice(["anywhere", "deep"], p=[0.6, 0.4]))
    return {"turn_deg": tuple(rng.uniform(-180, 180, 3)), "stretch": tuple(rng.uniform(0.85, 1.15, 3)), "elastic_mm": rng.uniform(0, 4),
            "centre": centre, "flipped": bool(rng.random() < 0.5)}


def drawn_tissue(rng: np.random.Generator, free: bool, kinds: int) -> dict:
    """χ, texture and brightness of each kind, veins and lesions."""
    if free:
        chi = rng.standard_t(3, kinds) * log_uniform(rng, 0.01, 0.08)
    elif rng.random() < 0.25:
        chi = rng.normal(0, 0.05, kinds)
    else:
        chi = TYPICAL_PPM * rng.normal(1, 0.2, kinds) + rng.normal(0, 0.006, kinds)
        chi[INDEX["vessel"]] = rng.uniform(0.05, 0.35)
    brightness = rng.uniform(0.2, 1, kinds)
    same = rng.random(kinds) < 0.35
    brightness[same] = brightness[1]
    lesions = drawn_lesions(rng) if rng.random() < 0.3 else ()
    return {"chi_ppm": tuple(chi.tolist()), "texture_ppm": tuple((rng.uniform(0, 1, kinds) * log_uniform(rng, 0.002, 0.03)).tolist()),
            "texture_mm": log_uniform(rng, 1, 8), "brightness": tuple(brightness.tolist()), "blurred": bool(rng.random() < 0.5),
            "veins": int(rng.integers(1, 14)) if rng.random() < 0.7 else 0, "lesions": lesions}


def drawn_lesions(rng: np.random.Generator) -> tuple[tuple[float, float], ...]:
    """χ in ppm and radius in mm of one to four lesions: blood (70 %) or calcium, small or large."""
    lesions = []
    for _ in range(rng.integers(1, 5)):
        strength = rng.choice([rng.uniform(0.2, 1.5), rng.uniform(-1.5, -0.2)], p=[0.7, 0.3])
        lesions.append((float(strength), float(rng.choice([rng.uniform(0.6, 2), rng.uniform(2, 6)]))))
    return tuple(lesions)


def drawn_errors(rng: np.random.Generator) -> dict:
    """What is wrong with the field: a third of the samples has white noise only."""
    if rng.random() < 0.33:
        return {}

    def some(share, value):
        return value if rng.random() < share else type(value)(0)

    return {"noise_spread": some(0.6, float(rng.uniform(0.1, 0.7))), "told": log_uniform(rng, 0.4, 2.5) if rng.random() < 0.7 else 1.0,
            "residue": some(0.6, log_uniform(rng, 0.01, 0.5)), "anisotropy_ppm": some(0.5, log_uniform(rng, 0.003, 0.03)),
            "outliers": some(0.4, int(rng.integers(1, 8))), "outlier_size": log_uniform(rng, 0.5, 8),
            "mask_error": int(rng.choice([-1, 1])) if rng.random() < 0.3 else 0,
            "remainder_told": bool(rng.random() < 0.9)}
