"""One run in one form: 4D magnitude, 4D phase in rad, acquisition.json; or one line that says why not."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chiflow.core.bids import require_run_id
from chiflow.core.contracts import Acquisition
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import geometry_of
from chiflow.intake.acquired import acquired
from chiflow.intake.levels import phase_scale
from chiflow.intake.signal import flip_slices, from_complex, from_polar
from chiflow.intake.sources import read_sources
from chiflow.intake.volumes import load_volumes

SIGNS = ("auto", "keep", "reverse")


@dataclass(frozen=True)
class Scan:
    """magnitude and phase (X, Y, Z, E) float32, phase in rad from −π to π, affine (4, 4) in mm, and how it was acquired."""

    magnitude: np.ndarray
    phase: np.ndarray
    affine: np.ndarray
    acquisition: Acquisition


def take_in(files: list[Path], inherited: list[Path], run: str, sign: str = "auto") -> Scan:
    """The scan in the images and sidecars of one run.

    `inherited` are sidecars of the levels above, the most general first; `sign` is one of SIGNS: auto reverses the phase of GE, keep and
    reverse do as they say. Raises ChiflowError naming the file that cannot be used.
    """
    if sign not in SIGNS:
        raise ChiflowError(f"unknown sign '{sign}': choose from {', '.join(SIGNS)}")
    require_run_id(run)
    sources = read_sources(files, inherited)
    facts = acquired(sources)
    first, second = sources
    volumes = load_volumes([*first, *second])
    ones, twos = volumes[:len(first)], volumes[len(first):]
    if first[0].part == "real":
        magnitude, phase = from_complex(ones, twos)
        convention = {"From": "real and imaginary part"}
    else:
        scale = phase_scale(twos)
        magnitude, phase = from_polar(ones, twos, scale)
        convention = {"From": "phase", "Scale": scale.name}
    convention |= _vendor_convention(magnitude, phase, str(facts.get("Manufacturer", "")), sign)
    affine = ones[0].affine
    geometry = geometry_of(affine, magnitude.shape)
    facts |= {
        "Id": run,
        "B0Direction": [round(b, 9) for b in geometry.b0],
        "VoxelSize": [round(v, 6) for v in geometry.voxel_size],
        "Shape": list(geometry.shape),
        "PhaseConvention": convention,
        "Sources": sorted({source.path.name for source in [*first, *second]}),
    }
    return Scan(magnitude, phase, affine, Acquisition.model_validate(facts))


def _vendor_convention(magnitude: np.ndarray, phase: np.ndarray, manufacturer: str, sign: str) -> dict:
    """Correct, in place, what one vendor does otherwise: alternate slices with the sign flipped, and the phase running backwards."""
    vendor = manufacturer.strip().upper()
    is_ge = vendor.startswith("GE")
    axis = flip_slices(magnitude, phase) if is_ge or not vendor else None
    reverse = sign == "reverse" or (sign == "auto" and is_ge)
    if reverse:
        np.negative(phase, out=phase)
    return {"Sign": -1 if reverse else 1, "FlippedSlices": "none" if axis is None else f"every other one along {'ijk'[axis]}"}
