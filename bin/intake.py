#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import execute, warn
from chiflow.core.nifti import parts_writer
from chiflow.intake import take_in
from chiflow.intake.direction import parsed_b0


def main(
    files: Annotated[list[Path], typer.Argument(help="Images and sidecars of a run: …_echo-<n>_part-<mag|phase|real|imag>_MEGRE.nii[.gz] and .json.")],
    id: Annotated[str, typer.Option(help="BIDS name of the run: sub-<label>[_ses-<label>][_run-<n>].")],
    out_magnitude: Annotated[Path, typer.Option(help="Output: 4D magnitude, one echo after the other (5D: one coil after the other).")],
    out_phase: Annotated[Path, typer.Option(help="Output: 4D (5D) phase in rad, −π … π, paramagnetic positive.")],
    out_acquisition: Annotated[Path, typer.Option(help="Output: acquisition.json (s, T, MHz, mm) with the phase convention that was found.")],
    inherited: Annotated[list[Path] | None, typer.Option(help="Sidecar of a level above, the most general first; can be repeated.")] = None,
    sign: Annotated[str, typer.Option(help="Sign of the phase: auto (part-fieldmap in Hz or the vendor tells), keep or reverse.")] = "auto",
    b0: Annotated[str | None, typer.Option(help="B0 along the voxel axes i, j, k, as 0,0.5,0.87, where the header does not know it.")] = None,
) -> None:
    """Check a run and bring it into one form: 4D magnitude, 4D phase in rad, acquisition.json; 5D where coils (coil-<n>) are not combined.

    Sidecars give EchoTime (s) and MagneticFieldStrength (T) or ImagingFrequency (MHz). The unit of the phase is judged from its levels: rad,
    rad × 1000, or levels of an integer phase. The difference of two phases (EchoTime1, EchoTime2) and the magnitudes of its echoes become one
    echo at TE2 − TE1. Whatever cannot be used is refused with one line that names the file.
    """
    scan = take_in(files, inherited or [], id, sign, parsed_b0(b0) if b0 else None)
    like = scan.coils.like
    with parts_writer(out_magnitude, len(scan), like) as write_magnitude, parts_writer(out_phase, len(scan), like) as write_phase:
        for magnitude, phase in scan:
            write_magnitude(magnitude)
            write_phase(phase)
            del magnitude, phase  # before the next coil is read
    for warning in scan.acquisition.warnings:
        warn(f"{id}: {warning}")
    scan.acquisition.write(out_acquisition)


if __name__ == "__main__":
    execute(main)
