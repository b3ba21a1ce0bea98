"""Renders a head on any grid: scalp, skull, sinuses, folded cortex, ventricles, deep nuclei, veins.

All shapes are analytic in mm in head coordinates, so a grid of any voxel size and obliquity samples the same head.
"""

from dataclasses import dataclass

import numpy as np

from chiflow.phantom import nuclei, waves
from chiflow.phantom.anatomy import SKULL_MM, Head
from chiflow.phantom.canvas import Canvas
from chiflow.phantom.detail import layers, paint_detail
from chiflow.phantom.grid import Grid
from chiflow.phantom.shapes import capsule, ellipsoid, intersection, union

TEXTURE_PPM = 0.003
SULCUS_MM = 0.7  # half width of a sulcus


@dataclass(frozen=True)
class Folding:
    """How a cortex folds: its waves, how deep and half how wide a sulcus is (mm), the sheets and the core that bound it, the middle it folds about (mm)."""

    waves: waves.Waves
    depth_mm: float
    sulcus_mm: float
    limits: tuple
    middle: tuple[float, float, float]


@dataclass(frozen=True)
class HeadMaps:
    """Maps (X, Y, Z) on one grid: chi (ppm, soft tissue = 0), m0, r2star (1/s at 3 T), labels (uint8), brain and white matter (share 0 … 1)."""

    chi: np.ndarray
    m0: np.ndarray
    r2star: np.ndarray
    labels: np.ndarray
    brain: np.ndarray
    white: np.ndarray


def render(head: Head, grid: Grid, detailed: bool = True) -> HeadMaps:
    """The head on a grid; without the detail of a head in vivo unless detailed, its shapes and tissues alone."""
    canvas = Canvas(grid, head.to_head, head.tissues["air"])
    p = canvas.points()
    wobble = waves.on_grid(head.shape, canvas.to_head, grid.shape)
    cerebrum, cerebellum, stem = cerebrum_hull(p) + wobble, cerebellum_hull(p) + 0.7 * wobble, brainstem(p)
    inner = union(union(cerebrum - 3.0, cerebellum - 2.5, 10.0), stem - 4.0, 8.0)
    _paint_outside(canvas, head, p, inner, wobble)
    nuclei.paint_air(canvas, head, inner)
    canvas.paint(canvas.cover(inner), head.tissues["csf"])
    brain = canvas.cover(union(union(cerebrum, cerebellum), intersection(stem, -62 - p[2])))
    canvas.soft_mm = head.detail.soft_mm if head.detail else 0.0
    canvas.paint(canvas.cover(stem), head.tissues["white_matter"])
    profile = _paint_cortex(canvas, head, p, cerebellum, Folding(head.folia, 7.0, 0.55, (nowhere, nowhere), (0, -55, -41)))
    sulci = Folding(head.sulci, head.sulcus_depth_mm, SULCUS_MM, (fissures, deep_brain), (0, 0, 14))
    profile = profile + _paint_cortex(canvas, head, p, cerebrum, sulci)
    nuclei.paint_deep(canvas, head)
    nuclei.paint_veins(canvas, head)
    if head.detail and detailed:
        paint_detail(canvas, head.detail, brain, profile, head.tissues["vein"])
    elif not head.detail:
        canvas.chi += TEXTURE_PPM * brain * waves.on_grid(head.texture, canvas.to_head, grid.shape)
    return HeadMaps(canvas.chi, canvas.m0, canvas.r2star, canvas.labels, brain, canvas.white)


def cerebrum_hull(p) -> np.ndarray:
    """Distance to the smooth surface that the gyri touch."""
    x, y, z = p
    dome = ellipsoid(p, (0, 0, 13), (67, 85, 59))
    floor = intersection(dome, -16 - z + 0.1 * y, 14.0)
    left, right = (ellipsoid(p, (side * 43, 2, -17), (23, 41, 22), -side * 12) for side in (-1, 1))
    return union(floor, union(left, right), 8.0)


def cerebellum_hull(p) -> np.ndarray:
    """Distance to the cerebellum."""
    return union(ellipsoid(p, (-21, -55, -41), (29, 27, 20)), ellipsoid(p, (21, -55, -41), (29, 27, 20)), 10.0)


def brainstem(p) -> np.ndarray:
    """Distance to midbrain, pons, medulla and cord."""
    pons = union(capsule(p, (0, -16, -2), (0, -24, -48), 13.5, 11), ellipsoid(p, (0, -15, -31), (16, 13, 14)), 5.0)
    return union(pons, capsule(p, (0, -26, -50), (0, -42, -170), 8.5, 6), 6.0)


def fissures(p) -> np.ndarray:
    """Distance to the sheets of the interhemispheric and the Sylvian fissures."""
    x, y, z = p
    between = np.maximum(np.abs(x), -ellipsoid(p, (0, -2, 12), (30, 46, 22)))
    sheet = 0.85 * np.abs(z + 2 + 0.45 * y - 0.25 * (np.abs(x) - 45))  # rises to the back and to the outside
    sylvian = np.maximum(sheet, np.maximum(36 - np.abs(x), np.maximum(y - 36, -40 - y)))
    return np.minimum(between, sylvian)


def deep_brain(p) -> np.ndarray:
    """Distance to the middle of the brain, which no sulcus enters."""
    return ellipsoid(p, (0, -2, 6), (38, 44, 26))


def nowhere(p) -> np.ndarray:
    """Distance to nothing."""
    return np.float32(np.inf)


def _paint_outside(canvas: Canvas, head: Head, p, inner: np.ndarray, wobble: np.ndarray) -> None:
    """Skin and muscle, fat under the skin, face, neck and the skull with its marrow."""
    x, y, z = p
    face = union(ellipsoid(p, (0, 50, -48), (57, 52, 66)), ellipsoid(p, (0, 100, -42), (11, 16, 19)), 10.0)
    neck = capsule(p, (0, -28, -60), (0, -32, -190), 54, 60)
    skin = union(union(inner - SKULL_MM - 6.5, face, 14.0), neck, 20.0)
    canvas.paint(canvas.cover(skin), head.tissues["soft_tissue"])
    canvas.paint(canvas.cover(np.abs(skin + 3.6) - 1.6), head.tissues["fat"])
    for side in (-1, 1):
        for name, centre, semi in (("fat", (side * 32, 66, -26), (18, 20, 16)), ("eye", (side * 32, 76, -26), (12, 12, 12))):
            box = canvas.box(centre, max(semi))
            canvas.paint(canvas.cover(ellipsoid(canvas.points(box), centre, semi)), head.tissues[name], box)
    skull = intersection(inner - SKULL_MM - 0.6 * wobble, -70 - z, 6.0)
    canvas.paint(canvas.cover(skull), head.tissues["bone"])
    canvas.paint(canvas.cover(intersection(np.abs(inner - SKULL_MM / 2) - 1.3, -20 - z)), head.tissues["marrow"])


def _paint_cortex(canvas: Canvas, head: Head, p, hull: np.ndarray, folding: Folding) -> np.ndarray:
    """White matter, and round it a ribbon of grey matter that follows the sulci. Returns the χ (X, Y, Z) of its layers in ppm, 0 of a plain head.

    A sulcus is where the smooth noise n of the direction from the middle passes 0: |n| / |∇n| is the distance to it. In a plain head the middle is
    that of the part on the grid.
    """
    shell, sulcus_mm = hull < canvas.width + canvas.soft_mm, folding.sulcus_mm
    q = np.stack([a[shell] if a.shape == shell.shape else np.broadcast_to(a, shell.shape)[shell] for a in p], 1)
    centre = np.array(folding.middle, np.float32) if head.detail or not len(q) else np.average(q, axis=0)
    radius = np.linalg.norm(q - centre, axis=1, keepdims=True) + 1
    stretch = (60 / radius) ** 0.75  # nearly radial: sulci stand upright on the surface
    noise, slope = waves.at_points(folding.waves, (q - centre) * stretch)
    sulcus = np.abs(noise) / np.maximum(slope * stretch[:, 0], 1e-3)
    depth = -hull[shell]
    sheet, core = (limit(q.T) for limit in folding.limits)
    valley = np.minimum(np.hypot(sulcus, np.maximum(np.maximum(depth - folding.depth_mm, -core), 0)), sheet)
    whole = canvas.cover(hull)
    for limit, name in ((-np.inf, "white_matter"), (None, "grey_matter"), (0.0, "csf")):
        share = np.zeros(hull.shape, np.float32)
        if name == "white_matter":
            share[shell] = 1
        else:
            thickness = sulcus_mm + (head.cortex_mm if limit is None else 0)
            pial = np.minimum(depth + sulcus_mm, valley) if limit is None else valley
            share[shell] = canvas.cover(pial - thickness)
        canvas.paint(share * whole, head.tissues[name])
    profile = np.zeros(hull.shape, np.float32)
    if head.detail:
        profile[shell] = layers(head.detail, np.minimum(depth + sulcus_mm, valley) - sulcus_mm, head.cortex_mm)
    return profile * whole
