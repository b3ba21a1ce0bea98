#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.background import BACKGROUND_METHODS
from chiflow.background.net import WEIGHTS, net
from chiflow.core.cli import AcquisitionFile, Device, FieldFile, FieldUnit, MaskFile, NoiseFile, OutFile, choose, execute, warn
from chiflow.core.contracts import Record, told
from chiflow.core.device import select_device
from chiflow.core.field_input import load_field
from chiflow.core.nifti import load_like, save
from chiflow.core.provenance import card_and_weights, digests


def main(
    field: FieldFile,
    mask: MaskFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    noise: NoiseFile = None,
    field_unit: FieldUnit = "ppm",
    out_mask: Annotated[Path | None, typer.Option(help="Output: the mask that is left (default: OUT with _mask before .nii).")] = None,
    magnitude: Annotated[Path | None, typer.Option(help="4D magnitude, one echo after the other: edges for informed and net.")] = None,
    weights: Annotated[Path, typer.Option(help="Weights of net, .safetensors with its card .json beside it.", show_default="weights/total.safetensors")] = WEIGHTS,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(BACKGROUND_METHODS)}.")] = "informed",
    device: Device = "auto",
) -> None:
    """Remove the background field: total field in, local field in ppm out, with the mask it holds in."""
    remove = choose(BACKGROUND_METHODS, method, "background method")
    total = load_field(field, mask, noise, acquisition, field_unit, select_device(device))
    edges = total.edges(load_like(magnitude, total.image, dimensions=(3, 4))) if magnitude else None
    local = remove(*total.known, edges, **({"weights": weights} if remove is net else {}))
    save(out_mask or out.with_name(out.name.replace(".nii", "_mask.nii")), total.whole(local.mask), total.image)
    save(out, total.whole(local.field), total.image)
    kept = float(local.mask.sum() / total.mask.sum())
    record = Record(stage="background", method=method, parameters=local.parameters, units="ppm", figures={"MaskKept": round(kept, 4)}, checks=local.checks)
    record.inputs = digests(*(card_and_weights(weights) if remove is net else []))
    record.warnings = [warn(message) for message in [*total.warnings, *local.warnings, *told(local.checks)]]
    record.write_beside(out)


if __name__ == "__main__":
    execute(main)
