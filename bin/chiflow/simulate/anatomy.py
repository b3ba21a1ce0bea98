"""Whole-head label maps as kinds of tissue, with the brain and the nuclei that the maps lack.

    brain = closing(tissue of the brain, ball of 5 mm), holes filled, of what is brain, fluid or vessel

Label maps of FreeSurfer's numbers as SynthSeg ships them (Billot 2023, 10.1016/j.media.2023.102789). Red nucleus and substantia nigra are placed
in the ventral diencephalon, the dentate in the white matter of the cerebellum, as ellipsoids of anatomical size.
"""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt

from chiflow.core.box import mask_box
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import Geometry
from chiflow.core.nifti import read_header

CLOSING_MM = 5
LARGEST_LABEL = 20000  # of FreeSurfer's table
CEREBELLUM = (7, 46, 8, 47)
KINDS = {  # labels and χ in ppm relative to soft tissue
    "outside": ((), 0.0),
    "white_matter": ((2, 41, 7, 46, 25, 57, 30, 62, 72, 85), -0.030),
    "hyperintensity": ((77,), -0.010),
    "cerebral_cortex": ((3, 42), 0.020),
    "cerebellar_cortex": ((8, 47), 0.015),
    "hippocampus": ((17, 53, 18, 54, 136, 137, 163, 164), 0.010),
    "accumbens": ((26, 58), 0.030),
    "thalamus": ((10, 49), 0.020),
    "caudate": ((11, 50), 0.044),
    "putamen": ((12, 51), 0.038),
    "pallidum": ((13, 52), 0.131),
    "ventral_dc": ((28, 60), 0.010),
    "brainstem": ((16,), -0.010),
    "ventricle": ((4, 5, 14, 15, 43, 44), 0.019),
    "csf": ((24,), 0.019),
    "vessel": ((502, 514), 0.190),
    "red_nucleus": ((), 0.100),
    "substantia_nigra": ((), 0.111),
    "dentate": ((), 0.152),
}
INDEX = {name: index for index, name in enumerate(KINDS)}
TISSUE = [index for name, index in INDEX.items() if name not in ("outside", "csf", "vessel")]
NUCLEI = {  # kind it is placed in, semi-axes in mm, where: quantiles of the host's voxels along x (outwards), y and z
    "red_nucleus": (("ventral_dc",), (3.0, 3.5, 4.5), (0.20, 0.40, 0.35)),
    "substantia_nigra": (("ventral_dc",), (5.5, 2.5, 4.0), (0.60, 0.45, 0.20)),
    "dentate": (("white_matter", "cerebellar_cortex"), (6.0, 7.5, 5.0), (0.45, 0.60, 0.45)),
}


@dataclass(frozen=True)
class LabelHead:
    """kinds (X, Y, Z) uint8 at 1 mm, 0 outside the brain, and the label map's name."""

    kinds: np.ndarray
    name: str


def label_maps(folder: Path) -> list[Path]:
    """The NIfTI files of a folder, sorted by name. Raises ChiflowError when there is none."""
    if not Path(folder).is_dir():
        raise ChiflowError(f"{folder}: no such folder: a folder of whole-head label maps is wanted")
    paths = sorted(path for path in Path(folder).iterdir() if path.name.endswith((".nii", ".nii.gz")))
    if not paths:
        raise ChiflowError(f"{folder}: no label maps (.nii or .nii.gz) in this folder")
    return paths


def read_head(path: Path) -> LabelHead:
    """A label map at 1 mm, cut to its brain. Raises ChiflowError for a file that is not a label map or has no brain labels."""
    labels = read_labels(path)
    kinds, brain = kinds_of(labels, path)
    cerebellum = np.isin(labels, CEREBELLUM)
    for name, (hosts, semi, where) in NUCLEI.items():
        host = np.isin(kinds, [INDEX[h] for h in hosts])
        place_nucleus(kinds, host & cerebellum if name == "dentate" else host, INDEX[name], semi, where)
    return LabelHead(np.ascontiguousarray(kinds[box_of(brain)]), Path(path).name)


def read_labels(path: Path) -> np.ndarray:
    """Labels (X, Y, Z) int64, axes to the right, front and top. Raises ChiflowError unless it is a 3D map of integers at 1 mm."""
    image = nibabel.as_closest_canonical(read_header(path))
    sizes = np.array(image.header.get_zooms()[:3], float)
    if image.ndim != 3 or np.abs(sizes - 1).max() > 0.01:
        raise ChiflowError(f"{path}: shape {image.shape}, voxels of {sizes.round(3).tolist()} mm: a 3D label map at 1 mm is wanted")
    values = np.asarray(image.dataobj)
    if not np.isfinite(values).all() or (values != np.floor(values)).any() or values.min() < 0 or values.max() > LARGEST_LABEL:
        raise ChiflowError(f"{path}: not a label map: whole numbers from 0 to {LARGEST_LABEL} are wanted")
    return values.astype(np.int64)


def kinds_of(labels: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Kinds (X, Y, Z) uint8 and the brain (X, Y, Z) bool of labels; `path` is for the message."""
    table = np.zeros(LARGEST_LABEL + 1, np.uint8)
    for name, (members, _) in KINDS.items():
        table[list(members)] = INDEX[name]
    kinds = table[labels]
    brain = closed(np.isin(kinds, TISSUE))
    if not brain.any():
        raise ChiflowError(f"{path}: no brain labels: a label map of FreeSurfer's numbers at 1 mm is wanted")
    kinds[brain & (kinds == 0)] = INDEX["csf"]
    kinds[~brain] = 0
    return kinds, brain


def box_of(mask: np.ndarray) -> tuple[slice, ...]:
    """Slices of the box around a mask (X, Y, Z)."""
    return mask_box(mask, Geometry(mask.shape))[0]


def closed(mask: np.ndarray) -> np.ndarray:
    """Closing of a mask (X, Y, Z) at 1 mm with a ball of 5 mm, holes filled."""
    margin = CLOSING_MM + 2
    grown = distance_transform_edt(~np.pad(mask, margin)) <= CLOSING_MM
    return binary_fill_holes(distance_transform_edt(grown) > CLOSING_MM)[(slice(margin, -margin),) * 3]


def place_nucleus(kinds: np.ndarray, host: np.ndarray, kind: int, semi_mm: tuple[float, ...], where: tuple[float, ...]) -> None:
    """Paint an ellipsoid into each half of a host region; `where` are quantiles of the host's voxels, x from the midline outwards."""
    points = np.argwhere(host)
    if not len(points):
        return
    middle = np.median(points[:, 0])
    for side in (-1, 1):
        half = points[(points[:, 0] - middle) * side > 0]
        if not len(half):
            continue
        outwards = where[0] if side > 0 else 1 - where[0]
        centre = [np.quantile(half[:, axis], q) for axis, q in enumerate((outwards, *where[1:]))]
        axes = np.ogrid[tuple(slice(0, n) for n in kinds.shape)]
        inside = sum(((x - c) / s) ** 2 for x, c, s in zip(axes, centre, semi_mm)) < 1
        kinds[inside & (kinds > 0)] = kind
