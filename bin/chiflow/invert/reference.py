"""Regions that χ can be referenced to. χ has no absolute zero: only differences between regions are measured.

    csf = {R2* < 5 1/s in the middle of the mask, its three largest parts},     R2* = ln(S₁ / S_E) / (TE_E − TE₁), smoothed over 1.5 mm

Fluid in the ventricles decays slowly and is alike in everyone; fluid round the brain is left out, since the field is worst there.

Reference: Liu 2018 (10.1002/mrm.26946).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_erosion, gaussian_filter, label

from chiflow.core.errors import ChiflowError
from chiflow.core.field_input import FieldInput
from chiflow.core.labels import label_names, label_number, labels_on, mask_on
from chiflow.core.nifti import Image

REFERENCES = ("mask", "csf")
FLUID_R2STAR = 5.0  # 1/s
MIDDLE_MM = 40.0  # radius round the middle of the mask
PARTS = 3
FEWEST_ML = 0.5
SMOOTH_MM = 1.5


@dataclass(frozen=True)
class Region:
    """A region (X, Y, Z) bool of the box of a field, what to call it, and whether it is the user's own."""

    voxels: torch.Tensor
    name: str
    given: bool = False


def given_region(path: Path | None, wanted: str, names: Path | None, local: FieldInput) -> Region | None:
    """The part of the mask that a mask image, or one label of it (a number, or a name of a table of names), covers; resampled where its grid differs.

    None without an image. Raises ChiflowError when the image covers nothing.
    """
    if path is None:
        return None
    labels, resampled = labels_on(path, local.image) if wanted else mask_on(path, local.image)
    number = label_number(wanted, label_names(names) if names else {}, names or path) if wanted else None
    voxels = local.part(labels > 0 if number is None else labels == number) & local.mask
    if not voxels.any():
        raise ChiflowError(f"{path}: {'the region' if number is None else f'label {wanted}'} has no voxel in the mask")
    return Region(voxels, f"{'' if number is None else f'label {wanted} of '}{path.name}{', resampled' if resampled else ''}", True)


def unlabelled(wanted: str, region: Region) -> list[str]:
    """What to say when a label is the reference, and the run has no labels."""
    return [f"no label image for this run: χ is relative to the {region.name}"] if wanted and not region.given else []


def named_region(name: str, magnitude: Image | None, local: FieldInput, echo_times_s: list[float]) -> Region:
    """A region of REFERENCES. Raises ChiflowError when it is unknown or cannot be found."""
    if name == "mask":
        return Region(local.mask, "whole mask")
    if name != "csf":
        raise ChiflowError(f"unknown reference '{name}': choose from {', '.join(REFERENCES)}")
    if magnitude is None or magnitude.data.ndim != 4:
        raise ChiflowError("the CSF reference needs the 4D magnitude: give --magnitude, reference to the mask or give a region")
    echoes, mask = local.part(magnitude.data).cpu().numpy(), local.mask.cpu().numpy()
    voxels = csf_region(echoes, mask, local.geometry.voxel_size, echo_times_s)
    return Region(torch.from_numpy(voxels).to(local.mask.device), "fluid of the ventricles")


def csf_region(magnitude: np.ndarray, mask: np.ndarray, voxel_size: tuple[float, ...], echo_times_s: list[float]) -> np.ndarray:
    """Fluid of the ventricles (X, Y, Z) bool in a mask, from the magnitude (X, Y, Z, E) of two echoes or more.

    Raises ChiflowError when there is one echo only, or less fluid than 0.5 ml.
    """
    if len(echo_times_s) < 2:
        raise ChiflowError("the CSF reference needs two echoes or more: reference to the mask or give a region")
    decay = np.zeros(mask.shape, np.float32)
    first, last = (np.maximum(magnitude[..., echo][mask], 1e-20) for echo in (0, -1))
    decay[mask] = np.log(first / last) / (echo_times_s[-1] - echo_times_s[0])
    sigma = [SMOOTH_MM / size for size in voxel_size]
    smooth = gaussian_filter(decay, sigma) / np.maximum(gaussian_filter(mask.astype(np.float32), sigma), 1e-3)
    offsets = ((np.arange(n) - np.median(where)) * size for n, where, size in zip(mask.shape, np.nonzero(mask), voxel_size))
    squares = np.meshgrid(*(offset**2 for offset in offsets), indexing="ij", sparse=True)
    fluid = mask & (smooth < FLUID_R2STAR) & (sum(squares) < MIDDLE_MM**2)
    core = binary_erosion(fluid)
    parts, count = label(core)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    region = np.isin(parts, 1 + np.argsort(sizes)[::-1][:PARTS]) & core
    millilitres = region.sum() * np.prod(voxel_size) / 1000
    if millilitres < FEWEST_ML:
        raise ChiflowError(f"only {millilitres:.2g} ml of fluid found in the ventricles: reference to the mask or give a region")
    return region
