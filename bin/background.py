#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.background import BACKGROUND_METHODS
from chiflow.core.cli import AcquisitionFile, Device, FieldFile, FieldUnit, MaskFile, NoiseFile, OutFile, choose, execute
from chiflow.core.contracts import Record
from chiflow.core.device import select_device
from chiflow.core.field_input import load_field
from chiflow.core.nifti import save


def main(
    field: FieldFile,
    mask: MaskFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    noise: NoiseFile = None,
    field_unit: FieldUnit = "ppm",
    out_mask: Annotated[Path | None, typer.Option(help="Output: the mask that is left (default: OUT with _mask before .nii).")] = None,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(BACKGROUND_METHODS)}.")] = "joint",
    device: Device = "auto",
) -> None:
    """Remove the background field: total field in, local field in ppm out, with the mask it holds in."""
    remove = choose(BACKGROUND_METHODS, method, "background method")
    total = load_field(field, mask, noise, acquisition, field_unit, select_device(device))
    local = remove(total.field, total.mask, total.geometry, total.weight, total.sigma_ppm)
    save(out_mask or out.with_name(out.name.replace(".nii", "_mask.nii")), total.whole(local.mask), total.image)
    save(out, total.whole(local.field), total.image)
    kept = float(local.mask.sum() / total.mask.sum())
    Record(stage="background", method=method, parameters=local.parameters, units="ppm", figures={"MaskKept": round(kept, 4)}).write_beside(out)


if __name__ == "__main__":
    execute(main)
