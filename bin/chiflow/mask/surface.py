"""Brain extraction by a deformable surface (BET).

A sphere of triangles inside the head moves, each vertex by u1 + u2 + u3 in every step:

    s  = mean of the neighbours − vertex,   sn = (s·n) n,   st = s − sn          n: outward normal
    u1 = ½ st                                                                    even spacing
    u2 = ½ (1 + tanh(F (1/r − E))) sn,   r = l² / (2 |sn|)                       smoothness, radii of 3.33…10 mm
    u3 = 0.05 l f3 n,   f3 = 2 (Imin − tl) / (Imax − t2),   tl = t2 + ½ (Imax − t2)    towards the edge of the brain

Imin is the least intensity within 20 mm below the vertex, Imax the largest within 10 mm, both kept between t2, t and tm: robust minimum,
its threshold, and the median inside the first sphere.

Reference: Smith 2002 (10.1002/hbm.10062).
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_fill_holes

STEPS = 400
SUBDIVISIONS = 4  # 2562 vertices
DEPTH_MIN_MM, DEPTH_MAX_MM, SAMPLE_MM = 20, 10, 2.0
E = (1 / 3.33 + 1 / 10) / 2
F = 6 / (1 / 3.33 - 1 / 10)
BEYOND_MM = 15.0  # the volume is continued past its edge, so that a slab is not rounded off
FRACTION = 0.5


@dataclass(frozen=True)
class Head:
    """Intensity of a head on its grid with robust limits: t2, t98, threshold t, median tm inside, centre (mm) and radius (mm)."""

    intensity: np.ndarray
    voxel_size: np.ndarray
    t2: float
    t: float
    tm: float
    centre: np.ndarray
    radius: float

    def at(self, points: np.ndarray) -> np.ndarray:
        """Intensity at points (…, 3) in mm, nearest voxel; the edge continues for BEYOND_MM, then t2."""
        index = np.rint(points / self.voxel_size).astype(int)
        top = np.array(self.intensity.shape) - 1
        inside = np.clip(index, 0, top)
        far = (np.abs(index - inside) * self.voxel_size).max(axis=-1) > BEYOND_MM
        return np.where(far, self.t2, self.intensity[inside[..., 0], inside[..., 1], inside[..., 2]])


def surface_mask(intensity: np.ndarray, voxel_size: tuple[float, ...], steps: int = STEPS) -> np.ndarray:
    """Mask (X, Y, Z) bool of what the surface encloses in an intensity volume (X, Y, Z), voxel size in mm."""
    head = measured_head(intensity, np.asarray(voxel_size, dtype=float))
    sphere, triangles = icosphere(SUBDIVISIONS)
    neighbours, counts = neighbour_table(triangles, len(sphere))
    points = head.centre + sphere * head.radius / 2
    for _ in range(steps):
        points = points + movement(points, triangles, neighbours, counts, head)
    return enclosed(points, triangles, intensity.shape, head.voxel_size)


def measured_head(intensity: np.ndarray, voxel_size: np.ndarray) -> Head:
    """Robust intensity limits, centre of mass and radius of the bright part."""
    t2, t98 = np.percentile(intensity, [2, 98])
    t = t2 + 0.1 * (t98 - t2)
    bright = np.argwhere(intensity > t)
    weight = np.minimum(intensity[intensity > t], t98) - t2
    centre = (bright * weight[:, None]).sum(axis=0) / weight.sum() * voxel_size
    radius = (3 * len(bright) * voxel_size.prod() / (4 * np.pi)) ** (1 / 3)
    near = ((bright * voxel_size - centre) ** 2).sum(axis=1) < radius**2
    tm = float(np.median(intensity[intensity > t][near])) if near.any() else float(t98)
    return Head(intensity, voxel_size, float(t2), float(t), tm, centre, radius)


def movement(points: np.ndarray, triangles: np.ndarray, neighbours: np.ndarray, counts: np.ndarray, head: Head) -> np.ndarray:
    """u1 + u2 + u3 of every vertex, (V, 3) in mm."""
    around = points[neighbours]
    valid = np.arange(neighbours.shape[1]) < counts[:, None]
    mean = (around * valid[..., None]).sum(axis=1) / counts[:, None]
    spacing = float((np.linalg.norm(around - points[:, None], axis=2) * valid).sum() / valid.sum())
    normal = normals(points, triangles)
    s = mean - points
    along = (s * normal).sum(axis=1, keepdims=True)
    tangential, radial = s - along * normal, along * normal
    curvature = 2 * np.abs(along) / spacing**2
    smooth = 0.5 * (1 + np.tanh(F * (curvature - E))) * radial
    return 0.5 * tangential + smooth + 0.05 * spacing * pull(points, normal, head)[:, None] * normal


def pull(points: np.ndarray, normal: np.ndarray, head: Head) -> np.ndarray:
    """f3 of every vertex: positive outwards where there is brain below, negative where there is none."""
    depths = np.arange(0, DEPTH_MIN_MM + 1e-6, SAMPLE_MM)
    below = head.at(points[:, None] - depths[:, None] * normal[:, None])
    least = np.maximum(head.t2, np.minimum(head.tm, below.min(axis=1)))
    most = np.minimum(head.tm, np.maximum(head.t, below[:, depths <= DEPTH_MAX_MM].max(axis=1)))
    threshold = head.t2 + FRACTION * (most - head.t2)
    return 2 * (least - threshold) / np.maximum(most - head.t2, 1e-12)


def normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit outward normal of every vertex."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    faces = np.cross(b - a, c - a)
    index = triangles.T.ravel()
    total = np.stack([np.bincount(index, weights=np.tile(faces[:, axis], 3), minlength=len(points)) for axis in range(3)], axis=1)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def icosphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) on the unit sphere and triangles (T, 3) with outward orientation."""
    g = (1 + 5**0.5) / 2
    corners = [(s1, s2 * g, 0) for s1 in (-1, 1) for s2 in (-1, 1)]
    points = np.array([np.roll(c, k) for k in range(3) for c in corners], dtype=float)
    edge = np.linalg.norm(points[:, None] - points, axis=2)
    near = np.isclose(edge, 2)
    triangles = np.array([(i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]])
    for _ in range(subdivisions):
        sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
        unique, place = np.unique(sides, axis=0, return_inverse=True)
        ab, bc, ca = place.reshape(3, -1) + len(points)
        points = np.concatenate([points, points[unique].mean(axis=1)])
        a, b, c = triangles.T
        triangles = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    a, b, c = (points[triangles[:, i]] for i in range(3))
    inward = (np.cross(b - a, c - a) * a).sum(axis=1) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return points, triangles


def neighbour_table(triangles: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of each vertex (V, 6), padded with the vertex itself, and how many there are."""
    pairs = np.unique(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=0)
    counts = np.bincount(pairs[:, 0], minlength=count)
    table = np.tile(np.arange(count)[:, None], (1, counts.max()))
    table[pairs[:, 0], np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)] = pairs[:, 1]
    return table, counts


def enclosed(points: np.ndarray, triangles: np.ndarray, shape: tuple[int, ...], voxel_size: np.ndarray) -> np.ndarray:
    """Voxels (X, Y, Z) bool inside a closed surface: its triangles sampled finer than voxels, then filled."""
    corners = points[triangles] / voxel_size
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max()
    parts = int(np.ceil(longest * 2)) + 1
    steps = np.array([(i, j) for i in range(parts + 1) for j in range(parts + 1 - i)]) / parts
    u, v = steps.T
    low = np.floor(corners.min(axis=(0, 1))).astype(int) - 1
    canvas = np.zeros(np.ceil(corners.max(axis=(0, 1))).astype(int) - low + 2, dtype=bool)
    for part in np.array_split(corners, max(1, len(corners) * len(u) // 2_000_000)):
        dense = part[:, 0, None] * (1 - u - v)[:, None] + part[:, 1, None] * u[:, None] + part[:, 2, None] * v[:, None]
        index = np.rint(dense.reshape(-1, 3)).astype(int) - low
        canvas[tuple(index.T)] = True
    body = binary_fill_holes(canvas)
    mask = np.zeros(shape, dtype=bool)
    place = tuple(slice(max(0, l), min(n, l + m)) for l, n, m in zip(low, shape, canvas.shape))
    mask[place] = body[tuple(slice(p.start - l, p.stop - l) for p, l in zip(place, low))]
    return mask
