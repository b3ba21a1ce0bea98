#!/usr/bin/env python3
from typing import Annotated

import typer

from chiflow.combine import SMOOTHING_MM, remove_offset
from chiflow.core.cli import AcquisitionFile, MagnitudeFile, OutFile, PhaseFile, execute
from chiflow.core.contracts import Acquisition, Record
from chiflow.core.nifti import load, load_like, save
from chiflow.core.signal_mask import signal_mask


def main(
    phase: PhaseFile,
    magnitude: MagnitudeFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    smoothing_mm: Annotated[float, typer.Option(help="Gaussian σ in mm that smooths the phase offset.")] = SMOOTHING_MM,
) -> None:
    """Remove the phase offset that the receive coils leave (MCPC-3D-S), so that phase is proportional to echo time.

    In: phase (rad) and magnitude of all echoes, 4D. Out: phase in rad, wrapped, 4D.
    """
    acquired = Acquisition.read(acquisition)
    phases = load(phase, dimensions=(4,))
    magnitudes = load_like(magnitude, phases, dimensions=(4,))
    for image in (phases, magnitudes):
        acquired.require_echoes(image)
    mask = signal_mask(magnitudes.data)
    voxel_size = acquired.geometry(phases).voxel_size
    combined, _ = remove_offset(phases.data, magnitudes.data, mask, acquired.echo_times_s, voxel_size, smoothing_mm=smoothing_mm)
    save(out, combined, phases)
    Record(stage="combine", method="mcpc-3d-s", parameters={"SmoothingMm": smoothing_mm}, units="rad").write_beside(out)


if __name__ == "__main__":
    execute(main)
