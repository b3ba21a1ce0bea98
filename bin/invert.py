#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, Device, FieldFile, FieldUnit, MaskFile, NoiseFile, OutFile, choose, execute
from chiflow.core.contracts import Record
from chiflow.core.device import select_device
from chiflow.core.field_input import load_field
from chiflow.core.nifti import save
from chiflow.invert import INVERSIONS
from chiflow.invert.judge import judged


def main(
    field: FieldFile,
    mask: MaskFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    noise: NoiseFile = None,
    field_unit: FieldUnit = "ppm",
    noise_unit: Annotated[str, typer.Option(help="Unit of the noise map, when it is not that of the field: ppm or hz.")] = "",
    residual: Annotated[Path | None, typer.Option(help="Output: what χ leaves unexplained, D χ − field, in ppm.")] = None,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(INVERSIONS)}.")] = "tv",
    device: Device = "auto",
) -> None:
    """Invert the local field to susceptibility χ in ppm, referenced to the mean of the whole mask."""
    invert = choose(INVERSIONS, method, "inversion")
    local = load_field(field, mask, noise, acquisition, field_unit, select_device(device), noise_unit=noise_unit or field_unit)
    result = judged(invert, local.field, local.mask, local.geometry, local.weight, local.sigma_ppm)
    if residual:
        save(residual, local.whole(result.residual), local.image)
    save(out, local.whole(result.chi), local.image)
    Record(stage="invert", method=method, parameters=result.parameters, units="ppm", figures=result.figures).write_beside(out)


if __name__ == "__main__":
    execute(main)
