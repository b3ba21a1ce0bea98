"""Field maps as the torch stages take them: in ppm, cut to the box around the mask, with weights, on a device."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from chiflow.core.box import mask_box
from chiflow.core.contracts import Acquisition
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import Geometry
from chiflow.core.masks import load_mask
from chiflow.core.nifti import Image, load, load_like
from chiflow.core.reliability import noise_of_field, reliability
from chiflow.core.units import hz_to_ppm

UNITS = ("ppm", "hz")


@dataclass(frozen=True)
class FieldInput:
    """field (ppm), mask (bool) and weight, tensors of one box; sigma_ppm; the geometry of the box, how to put it back, and what is not sure."""

    field: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor
    sigma_ppm: float
    geometry: Geometry
    box: tuple[slice, ...]
    image: Image
    warnings: tuple[str, ...] = ()

    @property
    def known(self) -> tuple:
        """field, mask, geometry, weight and sigma_ppm: how every method begins."""
        return self.field, self.mask, self.geometry, self.weight, self.sigma_ppm

    def whole(self, part: torch.Tensor) -> np.ndarray:
        """The volume of the input image with `part` in the box and 0 outside."""
        volume = np.zeros(self.image.data.shape, dtype=bool if part.dtype == torch.bool else np.float32)
        volume[self.box] = part.cpu().numpy()
        return volume

    def part(self, volume: np.ndarray) -> torch.Tensor:
        """The box of a volume (X, Y, Z[, E]) on the grid of the input image, on the device of the field."""
        return torch.from_numpy(np.ascontiguousarray(volume[self.box])).to(self.field.device)

    def edges(self, echoes: Image) -> torch.Tensor:
        """The box of one magnitude for all echoes, the root of the sum of their squares."""
        return self.part(np.sqrt((echoes.data.reshape(*self.image.data.shape, -1) ** 2).sum(axis=3)))


def load_field(field: Path, mask: Path, noise: Path | None, acquisition: Path, unit: str, device: torch.device,
               noise_unit: str | None = None) -> FieldInput:
    """Read field, mask and noise map (in `unit` and `noise_unit`, ppm or hz; by default the same), checked against each other and the acquisition.

    Without a noise map the noise is estimated from the field itself. Raises ChiflowError for input that cannot be used.
    """
    noise_unit = noise_unit or unit
    acquired = Acquisition.read(acquisition)
    image = load(field)
    inside = load_mask(mask, image)
    box, geometry = mask_box(inside, acquired.geometry(image))
    field_ppm = in_ppm(image.data[box], unit, acquired)
    noises = load_like(noise, image).data if noise else None
    known = noises is not None and (noises[inside] > 0).any()
    sigma = in_ppm(np.median(noises[inside][noises[inside] > 0]), noise_unit, acquired) if known else noise_of_field(field_ppm, inside[box])
    volumes = (field_ppm, inside[box], reliability(noises, inside)[box])
    tensors = (torch.from_numpy(np.ascontiguousarray(v)).to(device) for v in volumes)
    return FieldInput(*tensors, float(sigma), geometry, box, image, tuple(acquired.b0_warnings(image)))


def in_ppm(values, unit: str, acquired: Acquisition):
    """Values in ppm from a unit by name. Raises ChiflowError for a unit that is not one."""
    if unit not in UNITS:
        raise ChiflowError(f"unknown field unit '{unit}': choose from {', '.join(UNITS)}")
    return hz_to_ppm(values, acquired.frequency_mhz) if unit == "hz" else values
