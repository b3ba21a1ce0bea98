#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, MagnitudeFile, MaskFile, OutFile, execute, warn
from chiflow.core.contracts import Acquisition, Record
from chiflow.core.masks import load_mask
from chiflow.core.nifti import load, load_like, save
from chiflow.swi import EXPONENT, HIGH_PASS_MM, SLAB_MM, combined_magnitude, minimum_projection, susceptibility_weighted


def main(
    phase: Annotated[Path, typer.Option(help="4D unwrapped, offset-free phase in rad; 0 in all echoes means not unwrapped.")],
    magnitude: MagnitudeFile,
    mask: MaskFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    mip: Annotated[Path, typer.Option(help="Output: minimum-intensity projection along head-foot, 0 outside the mask.")],
    magnitude_out: Annotated[Path, typer.Option(help="Output: magnitude of all echoes, combined with weights that favour T2* contrast.")],
    high_pass_mm: Annotated[float, typer.Option(help="Gaussian σ in mm; phase that is smoother is taken off.", min=0.1)] = HIGH_PASS_MM,
    exponent: Annotated[float, typer.Option(help="Power of the phase mask.", min=0)] = EXPONENT,
    slab_mm: Annotated[float, typer.Option(help="Thickness of the projection's sliding slab in mm.", min=0)] = SLAB_MM,
) -> None:
    """Make the susceptibility-weighted image of all echoes: veins and iron dark; outside the mask it is the combined magnitude."""
    acquired = Acquisition.read(acquisition)
    phases = load(phase, dimensions=(4,))
    magnitudes = load_like(magnitude, phases, dimensions=(4,))
    for image in (phases, magnitudes):
        acquired.require_echoes(image)
    inside, geometry, times = load_mask(mask, phases), acquired.geometry(phases), acquired.echo_times_s
    weighted = susceptibility_weighted(phases.data, magnitudes.data, inside, times, geometry, high_pass_mm=high_pass_mm, exponent=exponent)
    save(magnitude_out, combined_magnitude(magnitudes.data, times), phases)
    save(mip, minimum_projection(weighted, inside, geometry, slab_mm=slab_mm), phases)
    save(out, weighted, phases)
    parameters = {"HighPassMm": high_pass_mm, "Exponent": exponent, "SlabMm": slab_mm}
    warnings = [warn(text) for text in acquired.b0_warnings(phases)]
    Record(stage="swi", method="high-pass phase mask", parameters=parameters, units="arbitrary", warnings=warnings).write_beside(out)


if __name__ == "__main__":
    execute(main)
