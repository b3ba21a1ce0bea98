"""The small things of the head: air spaces, ventricles, deep grey nuclei, veins; each is painted in its own box."""

import numpy as np

from chiflow.phantom.anatomy import Head
from chiflow.phantom.canvas import Canvas
from chiflow.phantom.shapes import capsule, ellipsoid

BOTH = (-1, 1)

# name: centre on the right side, semi-axes (mm), turn about z on the right side (degrees)
DEEP = (
    ("caudate", (14.5, 21, 13), (5.5, 10.5, 8.5), 12),
    ("putamen", (27, 5, 4), (5.2, 16, 10), 14),
    ("pallidum", (19.5, 1, 1), (4.6, 9, 6.5), 20),
    ("thalamus", (11, -15, 9), (8, 14, 9), 22),
    ("red_nucleus", (5.2, -17.5, -8.5), (3.3, 3.6, 4), 0),
    ("substantia_nigra", (9.5, -13, -12), (7, 2.4, 4.2), -38),
)

LATERAL_VENTRICLE = ((11, 37, 10), (9, 26, 20), (9, 4, 24), (14, -22, 24), (23, -36, 14), (31, -32, -2), (33, -14, -13))
CAUDATE_TAIL = ((16, 14, 20), (18, -2, 24), (20, -20, 26), (26, -32, 20))

# name of air space: centre, semi-axes; the side counts when x is not 0
AIR_SPACES = (
    ((12, 88, -6), (10, 6, 11)),  # frontal sinus
    ((0, 62, -38), (9, 24, 13)),  # nasal cavity and ethmoid cells
    ((8, 29, -31), (9, 11, 8)),  # sphenoid sinus
    ((29, 58, -58), (12, 14, 14)),  # maxillary sinus
    ((0, 24, -78), (11, 7, 26)),  # pharynx
)
MASTOID = ((57, -26, -44), (9, 13, 13))
EAR_CANAL = ((50, -8, -40), (95, -8, -40), 3.5)
AIRWAY = ((0, 22, -95), (0, 8, -190), 9.0)

SAGITTAL_SINUS = tuple((0, 88 * np.cos(t), 14 + 61 * np.sin(t)) for t in np.linspace(0.35, 3.3, 24))
TRANSVERSE_SINUS = ((2, -86, -8), (20, -83, -14), (40, -68, -20), (54, -48, -26), (53, -34, -38))
STRAIGHT_SINUS = ((0, -36, 10), (0, -46, 8), (0, -66, 0), (0, -85, -6))
CEREBRAL_VEIN = ((3, 12, 15), (2.5, -6, 17), (2, -24, 16), (0.5, -36, 11))


def paint_air(canvas: Canvas, head: Head, inner: np.ndarray) -> None:
    """Sinuses, airway, ear canals and mastoid cells, never inside the skull."""
    air = head.tissues["air"]
    for centre, semi in AIR_SPACES:
        for side in BOTH if centre[0] else (1,):
            place, size = (side * centre[0], *centre[1:]), tuple(head.sinus_scale * s for s in semi)
            box = canvas.box(place, max(size))
            outside = canvas.cover(1.8 - inner[box])
            canvas.paint(canvas.cover(ellipsoid(canvas.points(box), place, size)) * outside, air, box)
    _tube(canvas, (AIRWAY[0], AIRWAY[1]), AIRWAY[2], air)
    for side in BOTH:
        _tube(canvas, [_mirrored(point, side) for point in EAR_CANAL[:2]], EAR_CANAL[2], air)
        place = _mirrored(MASTOID[0], side)
        box = canvas.box(place, max(MASTOID[1]))
        cells = canvas.waves(head.cells, box)
        share = canvas.cover(ellipsoid(canvas.points(box), place, MASTOID[1])) * np.clip(0.6 + 1.2 * cells, 0, 1)
        canvas.paint(share * canvas.cover(1.8 - inner[box]), air, box)


def paint_deep(canvas: Canvas, head: Head) -> None:
    """Ventricles and deep grey nuclei."""
    csf, size = head.tissues["ventricle"], head.ventricle_scale
    for side in BOTH:
        _tube(canvas, [_mirrored(point, side) for point in LATERAL_VENTRICLE], [4.2 * size] * 3 + [5 * size] * 2 + [3.5 * size, 2.5 * size], csf)
        _tube(canvas, [_mirrored(point, side) for point in CAUDATE_TAIL], [3.4, 3.0, 2.4, 1.6], head.tissues["caudate"])
        for name, centre, semi, turn in DEEP:
            place = np.array(_mirrored(centre, side)) + head.nuclei_shift_mm[name]
            box = canvas.box(place, max(semi))
            canvas.paint(canvas.cover(ellipsoid(canvas.points(box), place, semi, side * turn)), head.tissues[name], box)
        _paint_dentate(canvas, head, side)
    for centre, semi in (((0, -3, 6), (2 * size, 13, 9)), ((0, -38, -36), (6 * size, 5, 10))):
        box = canvas.box(centre, max(semi))
        canvas.paint(canvas.cover(ellipsoid(canvas.points(box), centre, semi)), csf, box)
    _tube(canvas, ((0, -13, 0), (0, -28, -14), (0, -36, -28)), 1.1, csf)


def paint_veins(canvas: Canvas, head: Head) -> None:
    """The large sinuses and the veins drawn for this head."""
    blood = head.tissues["vein"]
    _tube(canvas, SAGITTAL_SINUS, 3.2, blood)
    _tube(canvas, STRAIGHT_SINUS, 1.9, blood)
    for side in BOTH:
        _tube(canvas, [_mirrored(point, side) for point in TRANSVERSE_SINUS], 3.0, blood)
        _tube(canvas, [_mirrored(point, side) for point in CEREBRAL_VEIN], 1.1, blood)
    for points, radius in head.veins:
        _tube(canvas, points, radius, blood)


def _paint_dentate(canvas: Canvas, head: Head, side: int) -> None:
    """The dentate: a crumpled shell."""
    place = np.array(_mirrored((15, -54, -37), side)) + head.nuclei_shift_mm["dentate"]
    box = canvas.box(place, 11)
    wall = ellipsoid(canvas.points(box), place, (8.5, 8, 6.5), side * 25) + 1.2 * canvas.waves(head.folia, box)
    canvas.paint(canvas.cover(np.abs(wall + 1.5) - 1.3), head.tissues["dentate"], box)


def _mirrored(point, side: int) -> tuple[float, ...]:
    return (side * point[0], *point[1:])


def _tube(canvas: Canvas, points, radius, tissue) -> None:
    """A tube along a polyline; radius in mm, one for all or one a point. What is thinner than a voxel fills its share of the section."""
    radii = np.broadcast_to(radius, len(points))
    for start, end, r0, r1 in zip(points[:-1], points[1:], radii[:-1], radii[1:]):
        reach = np.linalg.norm(np.subtract(end, start)) / 2 + max(r0, r1)
        box = canvas.box((np.asarray(start) + np.asarray(end)) / 2, reach)
        thin = min(1.0, 2 * max(r0, r1) / canvas.width)
        canvas.paint(thin * canvas.cover(capsule(canvas.points(box), start, end, r0, r1)), tissue, box)
