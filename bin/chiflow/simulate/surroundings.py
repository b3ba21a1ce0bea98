"""The background field of a whole head: what air, bone and soft tissue around the brain add to its local field.

    f_background = D G (χ_head − χ_air),      χ_head = 0 in the brain and in soft tissue,     total = local + f_background

G is a Gaussian of 0.85 voxels: a smoothed source has the same field outside itself, and no edge is left to ring. In the brain χ_head is constant, so
the background is harmonic there. The neck goes on below the label map and fades, or its cut would be a magnet of its own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import affine_transform, label

from chiflow.core.dipole import dipole_kernel
from chiflow.core.errors import ChiflowError
from chiflow.core.fourier import filtered, k_grid, padded_shape
from chiflow.core.geometry import Geometry
from chiflow.simulate.anatomy import LabelHead, box_of, kinds_of, read_labels
from chiflow.simulate.paint import centre_of
from chiflow.simulate.recipe import Recipe

AIR_PPM = 9.4
AROUND = {0: AIR_PPM, 515: -2.1, 516: -0.5}  # χ in ppm by label: air, cortical and cancellous bone; all else is soft tissue, 0
SOFT_TISSUE = 507
SMALLEST_CAVITY = 30  # voxels: what is smaller is a gap between labels, not air
NECK_MM = 45
BLUR_MM = 0.85
PADDING = 1.5


@dataclass(frozen=True)
class Surroundings:
    """excess (X, Y, Z) float32: χ in ppm at 1 mm less that of air, 0 far away; corner: the first voxel of the brain's box in it."""

    excess: np.ndarray
    corner: tuple[int, int, int]


def read_surroundings(path: Path) -> Surroundings:
    """What a label map has around its brain. Raises ChiflowError as `read_head` does, and when there is no air or bone in it."""
    labels = read_labels(path)
    brain = kinds_of(labels, path)[1]
    if not np.isin(labels[~brain], (515, 516)).any():
        raise ChiflowError(f"{path}: no bone (labels 515 and 516): a label map of the whole head is wanted for a background field")
    labels[gaps(labels)] = SOFT_TISSUE
    excess = np.full(labels.shape, -AIR_PPM, np.float32)
    for number, chi in AROUND.items():
        excess[(labels == number) & ~brain] = chi - AIR_PPM
    fade = np.sin(np.pi / 2 * np.arange(NECK_MM) / NECK_MM) ** 2
    neck = excess[:, :, :1] * fade.astype(np.float32)
    corner = tuple(s.start for s in box_of(brain))
    return Surroundings(np.concatenate((neck, excess), axis=2), (*corner[:2], corner[2] + NECK_MM))


def gaps(labels: np.ndarray) -> np.ndarray:
    """Voxels (X, Y, Z) of label 0 that no cavity explains."""
    pieces, _ = label(labels == 0)
    return (np.bincount(pieces.ravel()) < SMALLEST_CAVITY)[pieces] & (labels == 0)


def background_field(around: Surroundings, head: LabelHead, recipe: Recipe) -> torch.Tensor:
    """Background field (X, Y, Z) in ppm on the grid of a whole head's recipe. Raises ChiflowError when its head is turned or bent."""
    if any(getattr(recipe, name) != getattr(Recipe, name) for name in ("turn_deg", "stretch", "elastic_mm", "flipped")):
        raise ChiflowError("a background field is that of a head which lies straight in its box: this recipe turns or bends it")
    if recipe.centre not in ("whole", "nuclei"):
        raise ChiflowError(f"a background field is that of a box around the whole head or its nuclei, not around '{recipe.centre}'")
    field = smoothed_field(around.excess, recipe.b0)
    middle = centre_of(recipe, head, np.random.default_rng(recipe.seed)) + around.corner
    first = middle - (np.array(recipe.shape) - 1) / 2 * recipe.voxel_size
    return torch.from_numpy(affine_transform(field, np.diag(recipe.voxel_size), first, recipe.shape, np.float32, order=3, mode="nearest"))


def smoothed_field(excess: np.ndarray, b0: tuple[float, float, float]) -> np.ndarray:
    """D G χ (X, Y, Z) in ppm on voxels of 1 mm."""
    padded = padded_shape(excess.shape, PADDING)
    kernel = dipole_kernel(Geometry(excess.shape, (1.0,) * 3, b0), padded)
    for k in k_grid(padded, (1.0,) * 3):
        kernel *= torch.exp(-2 * (np.pi * BLUR_MM * k) ** 2)
    return filtered(torch.from_numpy(excess), kernel, padded).numpy()
