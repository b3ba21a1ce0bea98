#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, MagnitudeFile, OutFile, execute
from chiflow.core.contracts import Acquisition, Record
from chiflow.core.nifti import load, load_like, load_mask, save
from chiflow.mask import LEAST_QUALITY, brain_mask, reliable_part


def main(
    magnitude: MagnitudeFile,
    quality: Annotated[Path, typer.Option(help="3D phase quality, 1 − relative residual of the echo fit.")],
    acquisition: AcquisitionFile,
    out: OutFile,
    mask: Annotated[Path | None, typer.Option(help="Your own brain mask; phase quality is still applied to it.")] = None,
    least_quality: Annotated[float, typer.Option(help="Phase quality below which a voxel is left out; 0 keeps all.", min=0, max=1)] = LEAST_QUALITY,
) -> None:
    """Make the brain mask: brain extraction from the magnitude AND phase quality, largest component, holes filled.

    Your own mask replaces the brain extraction; phase quality then takes voxels off it, unless --least-quality is 0.
    """
    acquired = Acquisition.read(acquisition)
    magnitudes = load(magnitude, dimensions=(4,))
    acquired.require_echoes(magnitudes)
    qualities = load_like(quality, magnitudes)
    voxel_size = acquired.geometry(magnitudes).voxel_size
    if mask:
        inside = reliable_part(load_mask(mask, magnitudes), qualities.data, least_quality)
    else:
        inside = brain_mask(magnitudes.data, qualities.data, voxel_size, least_quality=least_quality)
    save(out, inside, magnitudes)
    volume_ml = float(inside.sum() * voxel_size[0] * voxel_size[1] * voxel_size[2] / 1000)
    figures = {"Voxels": int(inside.sum()), "VolumeMl": round(volume_ml, 1)}
    Record(stage="mask", method="given" if mask else "deformable surface", parameters={"LeastQuality": least_quality}, figures=figures).write_beside(out)


if __name__ == "__main__":
    execute(main)
