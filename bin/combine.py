#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.combine import SMOOTHING_MM, combine
from chiflow.core.cli import AcquisitionFile, OutFile, execute, warn
from chiflow.core.contracts import Acquisition, Record
from chiflow.core.nifti import in_space, load_parts, read_header, require_same_grid, save
from chiflow.core.spaces import space_of


def main(
    phase: Annotated[Path, typer.Option(help="Phase in rad, 4D (X, Y, Z, echoes), or 5D (…, coils) when the coils are not combined.")],
    magnitude: Annotated[Path, typer.Option(help="Magnitude, any unit, of the same form.")],
    acquisition: AcquisitionFile,
    out: OutFile,
    out_magnitude: Annotated[Path, typer.Option(help="Output: 4D magnitude, of all coils together.")],
    smoothing_mm: Annotated[float, typer.Option(help="Gaussian σ in mm that smooths the phase offset of the coils.", min=0.1)] = SMOOTHING_MM,
) -> None:
    """Combine the coils and remove their phase offset (MCPC-3D-S), so that phase is proportional to echo time.

    A bipolar readout is found from three echoes and corrected. A single echo keeps its offset, with a warning.
    Out: wrapped phase in rad and magnitude, 4D.
    """
    acquired = Acquisition.read(acquisition)
    headers = [read_header(path) for path in (phase, magnitude)]
    phases, magnitudes = (in_space(header.dataobj, space_of(header.header), path) for header, path in zip(headers, (phase, magnitude)))
    require_same_grid(magnitudes, phases)
    for image in (phases, magnitudes):
        acquired.require_echoes(image)
    coils, voxel_size = lambda: zip(load_parts(magnitude), load_parts(phase), strict=True), acquired.geometry(phases).voxel_size
    result = combine(coils, acquired.echo_times_s, voxel_size, smoothing_mm=smoothing_mm, difference=acquired.phase_kind == "difference")
    save(out_magnitude, result.magnitude, phases)
    save(out, result.phase, phases)
    parameters, warnings = {"SmoothingMm": smoothing_mm}, [warn(text) for text in result.warnings]
    Record(stage="combine", method="mcpc-3d-s", parameters=parameters, units="rad", figures=result.figures, warnings=warnings).write_beside(out)


if __name__ == "__main__":
    execute(main)
