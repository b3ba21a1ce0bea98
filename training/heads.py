"""Heads for the training of the brain extraction: label maps with their brain, warped at random, kept on disk.

    tissue = labels of the brain;   brain = closing(tissue, ball of 5 mm), holes filled, of what is brain, CSF or vessel,
    cut below the lowest 1 % of the cerebellum

so that sulci and fissures belong to the brain and the space under the skull does not. The same rule fits the simulated head's own brain to Dice 0.994.
A label map becomes a map of KINDS: what can have an intensity of its own. Kinds up to LAST_BRAIN are brain.
"""

from pathlib import Path

import nibabel
import numpy as np
import torch
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter

SHAPE = (192, 240, 208)  # 1 mm
CLOSING_MM = 5
KINDS = {
    "white_matter": (2, 41, 7, 46, 25, 57, 30, 62, 72, 77, 85),
    "cerebral_cortex": (3, 42),
    "cerebellar_cortex": (8, 47),
    "hippocampus": (17, 53, 18, 54, 26, 58, 136, 137, 163, 164),
    "thalamus": (10, 49),
    "caudate": (11, 50),
    "putamen": (12, 51),
    "pallidum": (13, 52),
    "ventral_dc": (28, 60),
    "brainstem": (16,),
    "ventricle": (4, 5, 14, 15, 43, 44),
    "csf_inside": (),
    "vessel_inside": (),
    "csf": (24,),
    "vein": (514,),
    "artery": (502,),
    "cord": (512,),
    "eye": (506,),
    "muscle": (507,),
    "fat": (),
    "eye_muscle": (508, 530),
    "mucosa": (509,),
    "skin": (511,),
    "bone": (515,),
    "marrow": (516,),
    "sinus": (501,),
    "air": (0,),
}
INDEX = {name: index for index, name in enumerate(KINDS)}
LAST_BRAIN = INDEX["vessel_inside"]


def ball_closing(mask: np.ndarray, radius_mm: float) -> np.ndarray:
    """Closing of a mask (X, Y, Z) at 1 mm with a ball, holes filled."""
    margin = int(radius_mm) + 2
    grown = distance_transform_edt(~np.pad(mask, margin)) <= radius_mm
    closed = distance_transform_edt(grown) > radius_mm
    return binary_fill_holes(closed)[(slice(margin, -margin),) * 3]


def kinds_of(labels: np.ndarray) -> np.ndarray:
    """KINDS (X, Y, Z) uint8 of a label map at 1 mm in RAS order."""
    table = np.full(1024, INDEX["muscle"], np.uint8)
    for name, members in KINDS.items():
        table[list(members)] = INDEX[name]
    kinds = table[labels]
    tissue = kinds <= INDEX["ventricle"]
    brain = ball_closing(tissue, CLOSING_MM)
    brain[:, :, : int(np.percentile(np.nonzero(np.isin(labels, (7, 8, 46, 47)))[2], 1))] = False
    kinds[tissue & ~brain] = INDEX["cord"]
    kinds[brain & (kinds == INDEX["csf"])] = INDEX["csf_inside"]
    kinds[brain & np.isin(kinds, (INDEX["vein"], INDEX["artery"]))] = INDEX["vessel_inside"]
    around = gaussian_filter((kinds != INDEX["air"]).astype(np.float32), 8, mode="nearest")
    kinds[(kinds == INDEX["air"]) & (around > 0.6)] = INDEX["sinus"]
    return kinds


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], points: tuple[int, int]) -> torch.Tensor:
    """Noise (1, 1, X, Y, Z) of unit variance at its control points, `points` from … to of them along an axis."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *rng.integers(*points, 3, endpoint=True))).astype(np.float32))
    return torch.nn.functional.interpolate(coarse, shape, mode="trilinear", align_corners=True)


def drawn_affine(rng: np.random.Generator, turn_deg: float) -> np.ndarray:
    """(3, 3) rotation up to about ± turn_deg round each axis, size within 15 %, some shear."""
    matrix = np.diag(rng.uniform(0.87, 1.15) * rng.uniform(0.93, 1.07, 3)) + rng.normal(0, 0.03, (3, 3))
    for axis in range(3):
        angle = np.radians(turn_deg * rng.uniform(-1, 1) * rng.choice([1, 0.4]))
        turn = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        turn[i, i], turn[i, j], turn[j, i], turn[j, j] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = matrix @ turn
    return matrix


def warped(kinds: np.ndarray, rng: np.random.Generator, turn_deg: float = 30, elastic_mm: float = 4) -> np.ndarray:
    """KINDS on the grid SHAPE, centred near the brain: affine, elastic, flipped left to right half of the time, part of the muscle made fat."""
    where = np.argwhere(kinds <= LAST_BRAIN)
    centre = (where.min(axis=0) + where.max(axis=0)) / 2 + (0, 0, -8) + rng.normal(0, 5, 3)
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in SHAPE]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    if rng.random() < 0.5:
        grid[0] *= -1
    matrix = torch.from_numpy(drawn_affine(rng, turn_deg).astype(np.float32))
    place = torch.einsum("ij,jxyz->ixyz", matrix, grid)
    for axis in range(3):
        place[axis] += elastic_mm * smooth_noise(rng, SHAPE, (4, 9))[0, 0] + float(centre[axis])
    top = torch.tensor(kinds.shape) - 1
    nearest = place.round_().long()
    inside = torch.stack([(nearest[a] >= 0) & (nearest[a] <= top[a]) for a in range(3)]).all(dim=0)
    index = [nearest[a].clamp(0, int(top[a])) for a in range(3)]
    result = torch.from_numpy(kinds)[index[0], index[1], index[2]]
    result[~inside] = INDEX["air"]
    result[(result == INDEX["muscle"]) & (smooth_noise(rng, SHAPE, (6, 14))[0, 0] > rng.uniform(-0.5, 1.2))] = INDEX["fat"]
    return result.numpy()


def kept_heads(labels: Path, cache: Path, subjects: list[int], warps: int, seed: int, **options) -> list[Path]:
    """Files of `warps` warped heads a subject, made when they are not in the cache; a file can be mapped with numpy.load."""
    paths = []
    for subject in subjects:
        wanted = [cache / f"head_{subject:02d}_{warp:02d}.npy" for warp in range(warps)]
        if not all(path.is_file() for path in wanted):
            image = nibabel.as_closest_canonical(nibabel.load(labels / f"training_seg_{subject:02d}.nii.gz"))
            kinds = kinds_of(np.asarray(image.dataobj).astype(np.int64))
            for warp, path in enumerate(wanted):
                part = path.with_suffix(".part.npy")
                np.save(part, warped(kinds, np.random.default_rng([seed, subject, warp]), **options))
                part.replace(path)
        paths += wanted
    return paths
