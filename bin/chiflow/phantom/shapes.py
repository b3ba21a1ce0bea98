"""Shapes as signed distances in mm (negative inside) of points p = (x, y, z) in head coordinates, and smooth combinations of them."""

import numpy as np

TINY = 1e-6


def ellipsoid(p, centre, semi, turn_deg: float = 0.0) -> np.ndarray:
    """Distance to an ellipsoid to first order, |q/s| (|q/s| − 1) / |q/s²|; `turn_deg` turns it about z."""
    x, y, z = (a - c for a, c in zip(p, centre))
    if turn_deg:
        c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
        x, y = c * x + s * y, c * y - s * x
    u, v, w = x / semi[0], y / semi[1], z / semi[2]
    near = np.sqrt(u * u + v * v + w * w + TINY)
    far = np.sqrt((u / semi[0]) ** 2 + (v / semi[1]) ** 2 + (w / semi[2]) ** 2 + TINY / min(semi) ** 2)
    return near * (near - 1) / far


def capsule(p, start, end, start_radius: float, end_radius: float | None = None) -> np.ndarray:
    """Distance to a tube with round ends whose radius goes linearly from start to end."""
    along = np.subtract(end, start).astype(np.float32)
    q = [a - np.float32(s) for a, s in zip(p, start)]
    t = np.clip(sum(a * b for a, b in zip(q, along)) / max(float(along @ along), TINY), 0, 1)
    distance = np.sqrt(sum((a - t * b) ** 2 for a, b in zip(q, along)))
    return distance - (start_radius + t * ((start_radius if end_radius is None else end_radius) - start_radius))


def union(a: np.ndarray, b: np.ndarray, blend: float = 0.0) -> np.ndarray:
    """Union of two shapes, rounded where they meet over `blend` mm."""
    if not blend:
        return np.minimum(a, b)
    h = np.maximum(blend - np.abs(a - b), 0) / blend
    return np.minimum(a, b) - h * h * blend / 4


def intersection(a: np.ndarray, b: np.ndarray, blend: float = 0.0) -> np.ndarray:
    """Intersection of two shapes, rounded over `blend` mm."""
    return -union(-a, -b, blend)


def coverage(distance: np.ndarray, width: float) -> np.ndarray:
    """Share of a voxel of `width` mm that lies inside: partial volume of a plane face."""
    return np.clip(0.5 - distance / width, 0, 1)
