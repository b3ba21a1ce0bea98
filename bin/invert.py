#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, Device, FieldFile, FieldUnit, MaskFile, NoiseFile, OutFile, choose, execute, warn
from chiflow.core.contracts import Acquisition, Record, told
from chiflow.core.device import select_device
from chiflow.core.field_input import load_field
from chiflow.core.nifti import load_like, save
from chiflow.core.provenance import card_and_weights, digests
from chiflow.invert import INVERSIONS, TOTAL_FIELD_INVERSIONS
from chiflow.invert.gtv import gtv
from chiflow.invert.ictv import ictv
from chiflow.invert.judge import judged
from chiflow.invert.net import WEIGHTS, net
from chiflow.invert.net_total import WEIGHTS as TOTAL_WEIGHTS
from chiflow.invert.net_total import net_total
from chiflow.invert.reference import REFERENCES, given_region, named_region, unlabelled
from chiflow.core.variation.remainder import with_remainder

KNOW_THE_ERROR = (net, ictv)  # of a field map at every scale, and near the mask's surface
LEARNED = {net: WEIGHTS.name, net_total: TOTAL_WEIGHTS.name}
METHODS_HELP = f"One of: {', '.join(INVERSIONS)}; of the total field, without background removal: {', '.join(TOTAL_FIELD_INVERSIONS)}."
REMAINDER_HELP = "The local field is that of a background removal: doubt it near the mask's surface. --no-remainder for an exact field. net and ictv see it themselves."
WEIGHTS_HELP = "Weights of net or net-total, .safetensors with its card .json beside it, or the folder that holds them."
REFERENCE_HELP = f"Region whose mean χ is 0, one of: {', '.join(REFERENCES)} (fluid of the ventricles, from the decay of --magnitude)."


def main(
    field: FieldFile,
    mask: MaskFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    noise: NoiseFile = None,
    field_unit: FieldUnit = "ppm",
    noise_unit: Annotated[str, typer.Option(help="Unit of the noise map, when it is not that of the field: ppm or hz.")] = "",
    magnitude: Annotated[Path | None, typer.Option(help="4D magnitude, one echo after the other: edges for net, gtv, fansi, medi and net-total, fluid for --reference csf.")] = None,
    residual: Annotated[Path | None, typer.Option(help="Output: what χ leaves unexplained, D χ − field, in ppm.")] = None,
    ratio: Annotated[Path | None, typer.Option(help="Output: the residual over the noise of the field in each voxel.")] = None,
    uncertainty: Annotated[Path | None, typer.Option(help="Output of net, ictv and net-total: standard deviation of χ in ppm; χ ± 1.645 of it is a 90 % interval.")] = None,
    start: Annotated[Path | None, typer.Option(help="Output of net: χ in ppm of the iterative inversion that it begins from.")] = None,
    method: Annotated[str, typer.Option(help=METHODS_HELP)] = "net",
    reference: Annotated[str, typer.Option(help=REFERENCE_HELP)] = "mask",
    reference_region: Annotated[Path | None, typer.Option(help="Your own region: a mask, or labels with --reference-label.")] = None,
    reference_label: Annotated[str, typer.Option(help="The label in --reference-region to take, a number or a name; without it all above 0.")] = "",
    reference_names: Annotated[Path | None, typer.Option(help="Names of the labels: .tsv with columns index and name.")] = None,
    remainder: Annotated[bool, typer.Option(help=REMAINDER_HELP)] = True,
    weights: Annotated[Path, typer.Option(help=WEIGHTS_HELP, show_default="weights/")] = WEIGHTS.parent,
    device: Device = "auto",
) -> None:
    """Invert the local field to susceptibility χ in ppm, with its residual, referenced to the mean of a region."""
    invert = choose(INVERSIONS | TOTAL_FIELD_INVERSIONS, method, "inversion")
    local = load_field(field, mask, noise, acquisition, field_unit, select_device(device), noise_unit=noise_unit or field_unit)
    echoes = load_like(magnitude, local.image, dimensions=(3, 4)) if magnitude else None
    region = given_region(reference_region, reference_label, reference_names, local) or named_region(reference, echoes, local, Acquisition.read(acquisition).echo_times_s)
    edges = local.edges(echoes) if echoes else None
    weight, sigma, least = with_remainder(*local.known) if remainder and method not in TOTAL_FIELD_INVERSIONS and invert not in KNOW_THE_ERROR else (local.weight, local.sigma_ppm, 0.0)
    weights = weights / LEARNED.get(invert, "") if weights.is_dir() else weights
    options = ({"least_sigma_ppm": least} if invert is gtv else {}) | ({"weights": weights} if invert in LEARNED else {})
    found = invert(local.field, local.mask, local.geometry, weight, sigma, edges, **options)
    result = judged(found, local.field, local.mask, local.geometry, local.weight, local.sigma_ppm, region)
    for path, volume in ((residual, result.residual), (ratio, result.ratio), (uncertainty, found.uncertainty), (start, result.start), (out, result.chi)):
        if path and volume is not None:
            save(path, local.whole(volume), local.image)
    record = Record(stage="invert", method=method, parameters=result.parameters, units="ppm", figures=result.figures, checks=result.checks)
    record.inputs = digests(reference_region, reference_names, *(card_and_weights(weights) if invert in LEARNED else []))
    record.warnings = [warn(message) for message in [*local.warnings, *unlabelled(reference_label, region), *found.warnings, *told(result.checks)]]
    record.write_beside(out)


if __name__ == "__main__":
    execute(main)
