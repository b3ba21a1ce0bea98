#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.background import BACKGROUND_METHODS
from chiflow.core.cli import AcquisitionFile, Device, FieldFile, FieldUnit, MaskFile, NoiseFile, OutFile, choose, execute
from chiflow.core.contracts import Record
from chiflow.core.device import select_device
from chiflow.core.field_input import load_field
from chiflow.core.nifti import load_like, save


def main(
    field: FieldFile,
    mask: MaskFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    noise: NoiseFile = None,
    field_unit: FieldUnit = "ppm",
    out_mask: Annotated[Path | None, typer.Option(help="Output: the mask that is left (default: OUT with _mask before .nii).")] = None,
    magnitude: Annotated[Path | None, typer.Option(help="4D magnitude, one echo after the other: edges for informed.")] = None,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(BACKGROUND_METHODS)}.")] = "informed",
    device: Device = "auto",
) -> None:
    """Remove the background field: total field in, local field in ppm out, with the mask it holds in."""
    remove = choose(BACKGROUND_METHODS, method, "background method")
    total = load_field(field, mask, noise, acquisition, field_unit, select_device(device))
    edges = total.edges(load_like(magnitude, total.image, dimensions=(3, 4))) if magnitude else None
    local = remove(*total.known, edges)
    save(out_mask or out.with_name(out.name.replace(".nii", "_mask.nii")), total.whole(local.mask), total.image)
    save(out, total.whole(local.field), total.image)
    kept = float(local.mask.sum() / total.mask.sum())
    Record(stage="background", method=method, parameters=local.parameters, units="ppm", figures={"MaskKept": round(kept, 4)}).write_beside(out)


if __name__ == "__main__":
    execute(main)
