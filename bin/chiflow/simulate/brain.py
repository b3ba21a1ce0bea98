"""χ and magnitude of a brain as a scan shows them, on the fine grid of a label map.

    χ = soft (tissue + cortex + lesions) + texture + sheets of fibres + veins

Every tissue has a mean, changes slowly over the brain and carries texture at all scales; borders are as soft as partial volume makes them. Cortex is
richest in iron between the pial and the white surface, white matter just below the latter. The magnitude shows little of that: a contrast of
tissues, some decay with χ, veins, and texture of its own.
"""

from dataclasses import dataclass

import numpy as np
import torch

from chiflow.simulate.anatomy import INDEX
from chiflow.simulate.paint import LESION
from chiflow.simulate.texture import blurred, power_law, wave
from chiflow.simulate.vessels import vessel_share

CORTEX = ("cerebral_cortex", "cerebellar_cortex")
WHITE = ("white_matter", "hyperintensity", "brainstem")
FLUID = ("csf", "ventricle")
PROFILE_MM = 1.2  # blur of white matter whose value tells the depth in cortex
QUIET_FLUID = 0.4  # texture of fluid over that of tissue


@dataclass(frozen=True)
class Appearance:
    """What is alike in all tissues of a brain. χ in ppm, lengths in mm.

    texture : its standard deviation, texture_spread : of the log of its strength over space, texture_exponent and texture_mm : its spectrum. regional : slow
    changes. sheets, sheets_mm : of fibres. cortex, below_cortex : at the middle of cortex, and under it. soft_mm : of borders. trees : number of veins' trees,
    vein : their χ. contrast : of the magnitude between tissues, decay : with χ, relative per ppm, grain : texture of its own, noise : relative.
    """

    texture: float = 0.009
    texture_spread: float = 0.75
    texture_exponent: float = 3.0
    texture_mm: float = 10.0
    regional: float = 0.010
    sheets: float = -0.022
    sheets_mm: float = 12.0
    cortex: float = 0.018
    below_cortex: float = 0.008
    soft_mm: float = 0.4
    trees: int = 60
    vein: float = 0.15
    contrast: float = 0.06
    decay: float = 0.5
    grain: float = 0.03
    noise: float = 0.02


@dataclass(frozen=True)
class Brain:
    """Tensors on the fine grid: chi (ppm), magnitude (1 in the mean of tissue), white (share of white matter)."""

    chi: torch.Tensor
    magnitude: torch.Tensor
    white: torch.Tensor


def brain_of(labels: torch.Tensor, chi_ppm: tuple[float, ...], look: Appearance, step_mm: tuple[float, ...], rng: np.random.Generator,
             lesions: tuple[tuple[float, float], ...] = ()) -> Brain:
    """The brain of labels (fine, int64: kinds, and lesions from LESION on) whose kinds have the χ given in ppm."""
    shape, tissue = labels.shape, labels > 0
    share = lambda kinds: sum((labels == INDEX[kind]).float() for kind in kinds)
    white, cortex = share(WHITE), share(CORTEX)
    table = torch.zeros(LESION + len(lesions) + 1)
    table[: len(chi_ppm)] = torch.tensor(chi_ppm)
    for number, (value, _) in enumerate(lesions):
        table[LESION + number] = value
    depth = blurred(white, PROFILE_MM, step_mm)
    profile = 4 * depth * (1 - depth) * (look.cortex * cortex + look.below_cortex * white)
    soft = blurred(table[labels] + profile * torch.exp(0.5 * wave(rng, shape, step_mm, 12.0)), look.soft_mm, step_mm)
    strength = torch.exp(look.texture_spread * wave(rng, shape, step_mm, 5.0))
    strength *= blurred(1 - (1 - QUIET_FLUID) * share(FLUID), 0.7, step_mm) / strength.square().mean().sqrt()
    texture = look.texture * strength * power_law(rng, shape, step_mm, look.texture_exponent, look.texture_mm)
    texture += look.regional * wave(rng, shape, step_mm, 30.0) + look.sheets * white * sheets(rng, shape, step_mm, look.sheets_mm)
    veins = blurred(vessel_share(rng, tissue, step_mm, look.trees), 0.35, step_mm)
    chi = soft + texture + look.vein * veins * torch.exp(0.4 * wave(rng, shape, step_mm, 8.0))
    magnitude = brightness(labels, chi, veins, look, step_mm, rng)
    return Brain(chi * blurred(tissue.float(), 0.5, step_mm), magnitude * tissue, white)


def sheets(rng: np.random.Generator, shape: tuple[int, ...], step_mm: tuple[float, ...], period_mm: float) -> torch.Tensor:
    """Thin sheets (X, Y, Z) where smooth noise passes zero, as bundles of fibres show, of mean 0."""
    folded = torch.exp(-((power_law(rng, shape, step_mm, 4.5, period_mm) / 0.3) ** 2))
    return (folded - folded.mean()) * torch.exp(0.5 * wave(rng, shape, step_mm, 10.0))


def brightness(labels: torch.Tensor, chi: torch.Tensor, veins: torch.Tensor, look: Appearance, step_mm: tuple[float, ...],
               rng: np.random.Generator) -> torch.Tensor:
    """Magnitude (fine) without noise."""
    table = torch.from_numpy(1 + look.contrast * rng.standard_normal(int(labels.max()) + 1).astype(np.float32)).clamp(min=0.2)
    grain = look.grain * power_law(rng, labels.shape, step_mm, 2.5, 6.0)
    dark = look.decay * chi.clamp(-0.05, 0.3) + rng.uniform(0.2, 0.7) * veins.clamp(max=1)
    bias = 0.12 * wave(rng, labels.shape, step_mm, 70.0)
    return blurred(table[labels], look.soft_mm, step_mm) * torch.exp(grain - dark + bias)
