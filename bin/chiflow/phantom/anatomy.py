"""Draws a head: every random number of it, from one seed. head.py draws nothing, it renders.

Head coordinates are in mm, right-anterior-superior, with the origin near the middle of the brain.
"""

from dataclasses import dataclass, replace

import numpy as np

from chiflow.phantom.detail import Detail, draw_detail
from chiflow.phantom.grid import rotation
from chiflow.phantom.tissues import BRAIN, IN_VIVO_PPM, TISSUES, Tissue
from chiflow.phantom.waves import Waves, draw_waves

VEINS = 90
TISSUE_SPREAD = 0.1  # relative standard deviation of χ and R2* between heads
SKULL_MM = 6.5
M0, CONTRAST, SEEN_S = 0.78, 0.015, 0.0115  # in vivo: mean over the brain, relative spread between tissues, the echo time at which it is seen
WHITE_CONTRAST = 0.022  # of white to grey matter, of either sign


@dataclass(frozen=True)
class Head:
    """Everything that makes one head different from the next."""

    to_head: np.ndarray  # (4, 4) scanner → head coordinates, mm: pose and size
    tissues: dict[str, Tissue]
    sulci: Waves
    folia: Waves
    shape: Waves
    texture: Waves
    cells: Waves
    sulcus_depth_mm: float
    cortex_mm: float
    ventricle_scale: float
    sinus_scale: float
    nuclei_shift_mm: dict[str, np.ndarray]
    veins: tuple[tuple[np.ndarray, float], ...]  # polylines (N, 3) in mm with their radius in mm
    detail: Detail | None = None  # none in a plain head


def draw_head(seed: int, subject: int = 0, plain: bool = True) -> Head:
    """The head of a subject: the same seed and subject give the same head. A plain one and one as in vivo have the same shapes."""
    return _plain_head(seed, subject) if plain else _in_vivo(_plain_head(seed, subject), np.random.default_rng([seed, subject, 7]))


def _in_vivo(head: Head, rng: np.random.Generator) -> Head:
    """A head with detail: means of tissues that texture and layers add to, a contrast of the magnitude that is drawn."""
    tissues = dict(head.tissues)
    for name in (*BRAIN, "csf", "ventricle", "vein"):
        spread = tissues[name].chi_ppm / TISSUES[name].chi_ppm
        chi = spread * IN_VIVO_PPM.get(name, TISSUES[name].chi_ppm)
        contrast = rng.normal(0, CONTRAST) if name not in ("grey_matter", "white_matter") else 0
        tissues[name] = replace(tissues[name], chi_ppm=chi, m0=M0 * float(np.exp(contrast + SEEN_S * (tissues[name].r2star - 20))))
    contrast = WHITE_CONTRAST * rng.choice([-1, 1])
    white = tissues["white_matter"]
    tissues["white_matter"] = replace(white, m0=white.m0 * float(np.exp(contrast)))
    return replace(head, tissues=tissues, veins=(), detail=draw_detail(rng))


def _plain_head(seed: int, subject: int) -> Head:
    """The shapes and tissues of a head."""
    rng = np.random.default_rng([seed, subject, 1])
    spread = {name: rng.normal(1, TISSUE_SPREAD, 2).clip(0.7, 1.3) for name in (*BRAIN, "vein")}
    tissues = {
        name: replace(t, chi_ppm=t.chi_ppm * spread[name][0], r2star=t.r2star * spread[name][1]) if name in spread else t
        for name, t in TISSUES.items()
    }
    return Head(
        to_head=_draw_pose(rng),
        tissues=tissues,
        sulci=draw_waves(rng, 56, 15.0, 28.0),
        folia=draw_waves(rng, 40, 9.0, 14.0),
        shape=draw_waves(rng, 40, 50.0, 110.0),
        texture=draw_waves(rng, 96, 6.0, 22.0),
        cells=draw_waves(rng, 48, 7.0, 11.0),
        sulcus_depth_mm=rng.uniform(14, 18),
        cortex_mm=rng.uniform(2.5, 3.1),
        ventricle_scale=rng.uniform(0.85, 1.35),
        sinus_scale=rng.uniform(0.8, 1.15),
        nuclei_shift_mm={name: rng.normal(0, 0.6, 3) for name in BRAIN},
        veins=tuple(_draw_vein(rng) for _ in range(VEINS)),
    )


def _draw_pose(rng: np.random.Generator) -> np.ndarray:
    """Scanner to head coordinates: a nod and turn of a few degrees, a shift of a few mm, a size within 4 %."""
    pose = np.eye(4)
    turned = rotation(0, rng.normal(0, 3)) @ rotation(1, rng.normal(0, 1.5)) @ rotation(2, rng.normal(0, 2))
    pose[:3, :3] = np.diag(1 / rng.uniform(0.96, 1.04, 3)) @ turned
    pose[:3, 3] = rng.normal(0, 1.5, 3)
    return pose


def _draw_vein(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A random walk from the cortex towards the ventricles, turning a little with each 3 mm step."""
    outward = rng.standard_normal(3)
    outward[2] = abs(outward[2]) - 0.3
    outward /= np.linalg.norm(outward)
    start = np.array([0, 0, 14]) + outward * np.array([66, 83, 57]) * rng.uniform(0.5, 0.97)
    target = np.array([np.sign(start[0]) * 12, rng.uniform(-30, 30), 20])
    points, heading = [start], (target - start) / np.linalg.norm(target - start)
    for _ in range(rng.integers(6, 18)):
        aim = target - points[-1]
        heading = heading + 0.25 * aim / max(np.linalg.norm(aim), 1) + rng.normal(0, 0.35, 3)
        heading /= np.linalg.norm(heading)
        points.append(points[-1] + 3 * heading)
    return np.array(points), float(rng.uniform(0.45, 1.1))
