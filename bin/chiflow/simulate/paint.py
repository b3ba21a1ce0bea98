"""Labels on the fine grid of a sample: a turned and bent label map, or random shapes; then veins and lesions over them."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from chiflow.simulate.anatomy import INDEX, LabelHead
from chiflow.simulate.recipe import FREE_KINDS, Recipe

FINER = 2
DEEP = ("red_nucleus", "substantia_nigra", "dentate", "pallidum", "putamen", "caudate", "thalamus", "ventricle")
DEEP_GREY = ("red_nucleus", "substantia_nigra", "pallidum", "putamen", "caudate", "thalamus")
VEIN, LESION = 100, 101  # first labels beyond the kinds; lesions have one each


def smooth(rng: np.random.Generator, shape: tuple[int, ...], period: float) -> torch.Tensor:
    """Smooth noise (X, Y, Z) of about unit variance; period : distance of its control points in voxels."""
    points = tuple(max(int(np.ceil(n / period)) + 1, 2) for n in shape)
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *points), dtype=np.float32))
    return 1.6 * interpolate(coarse, shape, mode="trilinear", align_corners=True)[0, 0]


def fine_grid(recipe: Recipe) -> tuple[tuple[int, ...], torch.Tensor]:
    """Shape of the fine grid and the places of its voxels in mm from the middle, (3, X, Y, Z)."""
    shape = tuple(FINER * n for n in recipe.shape)
    axes = [(torch.arange(n) - (n - 1) / 2) * (v / FINER) for n, v in zip(shape, recipe.voxel_size)]
    return shape, torch.stack(torch.meshgrid(*axes, indexing="ij"))


def from_head(recipe: Recipe, head: LabelHead, rng: np.random.Generator) -> torch.Tensor:
    """Kinds (fine) int64 of a label map in the pose of the recipe."""
    shape, place = fine_grid(recipe)
    matrix = rotation(recipe.turn_deg) @ np.diag(recipe.stretch) @ np.diag([-1 if recipe.flipped else 1, 1, 1])
    place = torch.einsum("ij,jxyz->ixyz", torch.from_numpy(matrix.astype(np.float32)), place)
    period = 25 * FINER / np.mean(recipe.voxel_size)
    flat, inside = torch.zeros(shape, dtype=torch.int32), torch.ones(shape, dtype=torch.bool)
    for axis, centre in enumerate(centre_of(recipe, head, rng)):
        along = place[axis].add_(centre)
        if recipe.elastic_mm:
            along += recipe.elastic_mm * smooth(rng, shape, period)
        nearest, size = along.round_().int(), head.kinds.shape[axis]
        inside &= (nearest >= 0) & (nearest < size)
        flat = flat.mul_(size).add_(nearest.clamp_(0, size - 1))
    return torch.from_numpy(head.kinds).flatten()[flat.flatten()].view(shape).long().mul_(inside)


def centre_of(recipe: Recipe, head: LabelHead, rng: np.random.Generator) -> np.ndarray:
    """Voxel of the label map in the middle of the box."""
    if recipe.centre == "whole":
        return (np.array(head.kinds.shape) - 1) / 2
    if recipe.centre == "nuclei":
        return np.argwhere(is_kind(head, DEEP_GREY)).mean(0)
    points = np.flatnonzero(head.kinds > 0 if recipe.centre == "anywhere" else is_kind(head, DEEP))
    return np.array(np.unravel_index(points[rng.integers(len(points))], head.kinds.shape), float)


def is_kind(head: LabelHead, names: tuple[str, ...]) -> np.ndarray:
    """Where a label map (X, Y, Z) is of one of some kinds."""
    return np.isin(head.kinds, [INDEX[name] for name in names])


def rotation(turn_deg: tuple[float, ...]) -> np.ndarray:
    """(3, 3) rotation about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(turn_deg)):
        turn = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        turn[i, i], turn[i, j], turn[j, i], turn[j, j] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = turn @ matrix
    return matrix


def from_shapes(recipe: Recipe, rng: np.random.Generator) -> torch.Tensor:
    """Kinds (fine) int64 of random shapes in a blob: folded layers below, ellipsoids, boxes and cylinders over them."""
    shape, place = fine_grid(recipe)
    half = torch.tensor([n * v / 2 for n, v in zip(recipe.shape, recipe.voxel_size)])
    place = place / half[:, None, None, None]
    kinds = layers(shape, rng)
    for kind in range(8, FREE_KINDS):
        add_shape(kinds, place, kind, rng)
    blob = (place**2).sum(0) + 0.25 * smooth(rng, shape, 30) < rng.uniform(0.7, 1.3)
    return torch.where(blob, kinds, 0)


def layers(shape: tuple[int, ...], rng: np.random.Generator) -> torch.Tensor:
    """Kinds 1 to 5: smooth noise cut at up to four levels."""
    wave = smooth(rng, shape, rng.uniform(8, 30)) + 0.7 * smooth(rng, shape, rng.uniform(20, 50))
    levels = np.sort(rng.uniform(-1.5, 1.5, rng.integers(1, 5)))
    return 1 + torch.bucketize(wave, torch.tensor(levels, dtype=torch.float32))


def add_shape(kinds: torch.Tensor, place: torch.Tensor, kind: int, rng: np.random.Generator) -> None:
    """Paint a turned ellipsoid, box or cylinder; place (3, X, Y, Z) : −1 to 1 in the box of the sample."""
    size, centre = np.exp(rng.uniform(np.log(0.04), np.log(0.45))), rng.uniform(-0.8, 0.8, 3)
    semi = size * np.exp(rng.uniform(-0.7, 0.7, 3))
    turn = torch.from_numpy(rotation(tuple(rng.uniform(-180, 180, 3))).astype(np.float32))
    reach = 1.8 * semi.max()
    box = tuple(slice(max(int((c - reach + 1) * n / 2), 0), int((c + reach + 1) * n / 2) + 1) for c, n in zip(centre, kinds.shape))
    local = place[(slice(None), *box)] - column(centre)
    u, v, w = torch.einsum("ij,jxyz->ixyz", turn, local) / column(semi)
    kinds[box][FORMS[rng.integers(3)](u, v, w) < 1] = kind


def column(values: np.ndarray) -> torch.Tensor:
    """Three numbers as (3, 1, 1, 1) float32."""
    return torch.from_numpy(values.astype(np.float32))[:, None, None, None]


FORMS = (  # below 1 inside: ellipsoid, box, cylinder
    lambda u, v, w: u**2 + v**2 + w**2,
    lambda u, v, w: torch.stack((u.abs(), v.abs(), w.abs())).amax(0),
    lambda u, v, w: torch.maximum(u**2 + v**2, w.abs()),
)


def add_veins(labels: torch.Tensor, recipe: Recipe, rng: np.random.Generator) -> None:
    """Bent tubes of 0.3 to 1.5 mm radius."""
    step = np.array(recipe.voxel_size) / FINER
    for _ in range(recipe.veins):
        radius = np.exp(rng.uniform(np.log(0.3), np.log(1.5)))
        count = int(rng.uniform(20, 60) / step.min())
        heading = np.cumsum(rng.standard_normal((count, 3)) * 0.08, axis=0) + rng.standard_normal(3)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        path = rng.uniform(0.1, 0.9, 3) * labels.shape + np.cumsum(heading * step.min(), axis=0) / step
        ball = grid_around(radius / step)
        ball = ball[((ball * step) ** 2).sum(1) <= radius**2]
        paint(labels, (path[:, None] + ball).reshape(-1, 3), VEIN)


def add_lesions(labels: torch.Tensor, recipe: Recipe, rng: np.random.Generator) -> None:
    """Ellipsoids of blood or calcium, each with its own label."""
    step = np.array(recipe.voxel_size) / FINER
    for number, (_, radius) in enumerate(recipe.lesions):
        semi = np.maximum(radius * np.exp(rng.uniform(-0.3, 0.3, 3)) / step, 0.75)
        ball = grid_around(semi)
        ball = ball[((ball / semi) ** 2).sum(1) <= 1]
        place = np.array(recipe.lesion_places[number]) if recipe.lesion_places else rng.uniform(0.15, 0.85, 3)
        paint(labels, place * labels.shape + ball, LESION + number)


def grid_around(reach: np.ndarray) -> np.ndarray:
    """Voxels (N, 3) around 0, as far as `reach` along each axis."""
    axes = [np.arange(-int(np.ceil(r)), int(np.ceil(r)) + 1) for r in reach]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def paint(labels: torch.Tensor, points: np.ndarray, label: int) -> None:
    """Give voxels that are tissue a label."""
    index = torch.from_numpy(points.round().astype(np.int64))
    index = index[((index >= 0) & (index < torch.tensor(labels.shape))).all(1)]
    x, y, z = index.T
    labels[x, y, z] = torch.where(labels[x, y, z] > 0, label, 0)
