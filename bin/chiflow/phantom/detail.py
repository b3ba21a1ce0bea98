"""What a brain in vivo has beside its shapes: texture at all scales, sheets of fibres, a cortex with layers,
trees of veins, a magnitude of its own.

    χ = tissue + layers + texture + regional changes + sheets + veins

Cortex is richest in iron between the pial and the white surface, white matter just below the latter. The
magnitude shows little of all that.
Drawn here, painted by `paint_detail` on any grid.
"""

from dataclasses import dataclass

import numpy as np

from chiflow.phantom.canvas import Canvas
from chiflow.phantom.fibres import FibreWaves, draw_fibres
from chiflow.phantom.tissues import Tissue
from chiflow.phantom.vessels import Trees, draw_trees, vein_share
from chiflow.phantom.waves import Waves, draw_power_law, draw_waves

SHORTEST_MM, LONGEST_MM = 1.2, 80.0  # of texture
QUIET_FLUID = 0.4  # texture of fluid over that of tissue
SHEET = 0.3  # width of a sheet, in standard deviations of the noise whose zeros it follows
BELOW_MM = 1.5  # over which iron below the cortex falls
VEIN_R2STAR, VEIN_SHADE = 34.0, (0.085, 0.095)  # of small veins, 1/s at 3 T; signal that they take away beside their decay


@dataclass(frozen=True)
class Detail:
    """Waves of each kind, and how strong they are: χ in ppm, spreads as standard deviation of a logarithm,
    the magnitude's grain relative.
    """

    texture: Waves
    texture_ppm: float
    strength: Waves
    texture_spread: float
    regional: Waves
    regional_ppm: float
    sheets: Waves
    sheets_strength: Waves
    sheets_ppm: float
    layers: Waves
    cortex_ppm: float
    below_ppm: float
    soft_mm: float
    trees: Trees
    veins_strength: Waves
    vein_ppm: float
    vein_shade: float
    grain: Waves
    grain_size: float
    decay: Waves
    decay_spread: float
    fibres: FibreWaves


def draw_detail(rng: np.random.Generator) -> Detail:
    """The detail of a head; what is strong differs by a tenth from head to head."""
    near = lambda value, spread=0.1: float(value * np.exp(spread * rng.uniform(-1, 1)))
    return Detail(
        texture=draw_power_law(rng, 80, SHORTEST_MM, LONGEST_MM, near(3.1, 0.02), near(14.0)),
        texture_ppm=near(0.016, 0.05),
        strength=draw_waves(rng, 64, 7.0, 22.0),
        texture_spread=near(0.4, 0.05),
        regional=draw_waves(rng, 40, 40.0, 110.0),
        regional_ppm=near(0.006),
        sheets=draw_power_law(rng, 56, 4.0, LONGEST_MM, 4.5, near(12.0)),
        sheets_strength=draw_waves(rng, 40, 15.0, 45.0),
        sheets_ppm=near(-0.016),
        layers=draw_waves(rng, 40, 18.0, 50.0),
        cortex_ppm=near(0.015),
        below_ppm=near(0.008),
        soft_mm=near(1.2),
        trees=draw_trees(rng, int(rng.integers(100, 120)), 1.3),
        veins_strength=draw_waves(rng, 40, 12.0, 35.0),
        vein_ppm=near(0.2, 0.05),
        vein_shade=float(rng.uniform(*VEIN_SHADE)),
        grain=draw_power_law(rng, 64, 2.5, 50.0, 4.0, 9.0),
        grain_size=near(0.077, 0.03),
        decay=draw_power_law(rng, 24, 4.0, 60.0, 3.0, 10.0),
        decay_spread=near(0.08, 0.3),
        fibres=draw_fibres(rng),
    )


def layers(detail: Detail, depth_mm: np.ndarray, thickness_mm: float) -> np.ndarray:
    """χ in ppm that cortex and the white matter under it have more than their tissue, at a depth below the
    pial surface: 0 at the surfaces.
    """
    depth = depth_mm / thickness_mm
    within = detail.cortex_ppm * np.clip(4 * depth * (1 - depth), 0, None)
    below = np.clip(depth_mm - thickness_mm, 0, None) / BELOW_MM
    return within + detail.below_ppm * np.e * below * np.exp(-below)


def paint_detail(canvas: Canvas, detail: Detail, brain: np.ndarray, profile: np.ndarray, blood: Tissue) -> None:
    """Add to a painted canvas what a head in vivo has; brain (X, Y, Z) is its share, profile (X, Y, Z) the χ
    of layers in ppm.
    """
    inside = np.argwhere(brain.any((1, 2))), np.argwhere(brain.any((0, 2))), np.argwhere(brain.any((0, 1)))
    if not len(inside[0]):
        return
    box = tuple(slice(int(places.min()), int(places.max()) + 1) for places in inside)
    see = lambda drawn: canvas.waves(drawn, box, averaged=True)
    share = brain[box]
    chi = profile[box] * np.exp(0.4 * see(detail.layers) - 0.08) + detail.regional_ppm * see(detail.regional)
    strength = np.exp(detail.texture_spread * see(detail.strength) - detail.texture_spread**2)
    chi += detail.texture_ppm * strength * (1 - (1 - QUIET_FLUID) * canvas.fluid[box]) * see(detail.texture)
    folded = np.exp(-((see(detail.sheets) / SHEET) ** 2)) - 1 / np.sqrt(1 + 2 / SHEET**2)
    chi += detail.sheets_ppm * canvas.white[box] * folded * np.exp(0.5 * see(detail.sheets_strength) - 0.125)
    veins = vein_share(canvas, detail.trees)[box] * share
    chi += detail.vein_ppm * veins * np.exp(0.3 * see(detail.veins_strength) - 0.045)
    canvas.chi[box] += chi * share
    canvas.m0[box] *= np.exp(share * detail.grain_size * see(detail.grain)) * (1 - detail.vein_shade * veins)
    canvas.r2star[box] *= np.exp(share * detail.decay_spread * see(detail.decay))
    canvas.r2star[box] += veins * np.clip(VEIN_R2STAR - canvas.r2star[box], 0, None)
    canvas.white[box] *= 1 - veins
    canvas.labels[box][veins > 0.5] = blood.label
