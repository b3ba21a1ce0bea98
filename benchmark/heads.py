"""Simulated heads for the benchmarks of background removal and inversion, drawn once and kept in a folder.

The total field comes twice: true, and measured from the raw phase of four echoes at SNR 60 with the true mask.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bin"))

from chiflow.combine import combine
from chiflow.core.box import mask_box
from chiflow.core.geometry import Geometry, geometry_of
from chiflow.core.reliability import reliability
from chiflow.core.signal_mask import signal_mask
from chiflow.fieldmap import FIELD_FITS
from chiflow.phantom.scan import Protocol, simulate
from chiflow.unwrap import UNWRAPPINGS

PROTOCOLS = {
    "1 mm": Protocol((192, 224, 176), (1, 1, 1)),
    "0.8×0.8×2 mm, 25°": Protocol((240, 280, 90), (0.8, 0.8, 2), tilt_deg=25),
    "1.2 mm, 45°": Protocol((160, 188, 160), (1.2, 1.2, 1.2), tilt_deg=45),
    "2 mm": Protocol((96, 112, 88), (2, 2, 2)),
    "0.8 mm": Protocol((240, 280, 220), (0.8, 0.8, 0.8)),
    "1.5 mm": Protocol((128, 150, 118), (1.5, 1.5, 1.5)),
}
CORE_MM = 9.0


@dataclass(frozen=True)
class BenchmarkHead:
    """Tensors (X, Y, Z) on the box of the mask, fields and χ in ppm; weight and sigma_ppm belong to the measured field."""

    geometry: Geometry
    mask: torch.Tensor
    core: torch.Tensor
    chi: torch.Tensor
    local: torch.Tensor
    total: torch.Tensor
    measured: torch.Tensor
    weight: torch.Tensor
    sigma_ppm: float
    magnitude: torch.Tensor
    labels: torch.Tensor


def benchmark_head(name: str, folder: Path, seed: int = 1) -> BenchmarkHead:
    """A head of PROTOCOLS by name, from the folder when it is there."""
    kept = folder / f"{name.replace(' ', '_').replace('°', 'deg')}_{seed}.pt"
    if not kept.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(_drawn(PROTOCOLS[name], seed), kept.with_suffix(".part"))
        kept.with_suffix(".part").rename(kept)
    content = torch.load(kept, weights_only=True)
    return BenchmarkHead(Geometry(*content.pop("geometry")), **content)


def _drawn(protocol: Protocol, seed: int) -> dict:
    """The content of a BenchmarkHead, its geometry as a tuple."""
    scan = simulate(protocol, seed)
    times, truth, mask = list(protocol.echo_times_s), scan.truth, scan.truth["mask"]
    combined = combine(lambda: [(scan.magnitude, scan.phase)], times, tuple(scan.grid.voxel_size))
    inside = signal_mask(combined.magnitude) | mask
    unwrapped = UNWRAPPINGS["tree"](combined.phase, combined.magnitude, inside, times)
    fitted = FIELD_FITS["nonlinear"](unwrapped, scan.magnitude, inside, times)
    box, geometry = mask_box(mask, geometry_of(scan.grid.affine, scan.grid.shape))
    frequency = protocol.imaging_frequency_mhz
    core = distance_transform_edt(np.pad(mask, 1), sampling=geometry.voxel_size)[1:-1, 1:-1, 1:-1] > CORE_MM
    volumes = {
        "mask": mask, "core": core, "chi": truth["chi"], "local": truth["local_ppm"], "total": truth["field_hz"] / frequency * mask,
        "measured": fitted.field_hz / frequency * mask, "weight": reliability(fitted.noise_hz, mask), "labels": truth["labels"],
        "magnitude": np.sqrt((scan.magnitude**2).sum(axis=3)),
    }
    tensors = {key: torch.from_numpy(np.ascontiguousarray(volume[box])) for key, volume in volumes.items()}
    sigma = float(np.median(fitted.noise_hz[mask])) / frequency
    return tensors | {"geometry": (geometry.shape, geometry.voxel_size, geometry.b0), "sigma_ppm": sigma}
