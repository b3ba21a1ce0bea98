#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.brain import GOOD_QUALITY, without_rim
from chiflow.core.cli import AcquisitionFile, MagnitudeFile, OutFile, choose, execute, warn
from chiflow.core.contracts import Acquisition, Record
from chiflow.core.nifti import load, load_like, save
from chiflow.core.provenance import card_and_weights, digests
from chiflow.mask.extract import BRAIN_EXTRACTIONS, extracted_brain
from chiflow.mask.given import given_brain
from chiflow.mask.quality import figures, reliable_part

WEIGHTS = Path(__file__).resolve().parent.parent / "weights" / "brain_mask.safetensors"


def main(
    magnitude: MagnitudeFile,
    quality: Annotated[Path, typer.Option(help="3D phase quality, 1 − relative residual of the echo fit.")],
    acquisition: AcquisitionFile,
    out: OutFile,
    out_brain: Annotated[Path | None, typer.Option(help="Output: the brain itself, before rim and quality.")] = None,
    out_tight: Annotated[Path | None, typer.Option(help="Output: voxels of good quality only, no holes filled.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Your own brain mask, instead of the extraction; its rim stays. Of a soft edge what is above half counts.")] = None,
    method: Annotated[str, typer.Option(help=f"Brain extraction, one of: {', '.join(BRAIN_EXTRACTIONS)}; what finds no brain falls back to the next.")] = "network",
    weights: Annotated[Path, typer.Option(help="Weights of the network, .safetensors with its card .json beside it.", show_default="weights/brain_mask.safetensors")] = WEIGHTS,
    least_quality: Annotated[float, typer.Option(help="Phase quality (0 … 1) below which a voxel is left out; 0 keeps all.", min=0, max=1)] = GOOD_QUALITY,
) -> None:
    """Make the brain mask: brain extraction from the magnitude without its outermost voxel, AND phase quality, largest component, holes filled."""
    choose(BRAIN_EXTRACTIONS, method, "brain extraction")
    magnitudes = load(magnitude, dimensions=(4,))
    Acquisition.read(acquisition).require_echoes(magnitudes)
    qualities = load_like(quality, magnitudes)
    if mask:
        found = given_brain(load_like(mask, magnitudes), magnitudes.data)
    else:
        found = extracted_brain(magnitudes.data, magnitudes.affine, method=method, weights=weights)
    reliable = reliable_part(found.brain if mask else without_rim(found.brain), qualities.data, least_quality)
    for path, part in ((out, reliable.mask), (out_brain, found.brain), (out_tight, reliable.tight)):
        if path:
            save(path, part, magnitudes)
    record = Record(stage="mask", method=found.method, parameters={"LeastQuality": least_quality}, figures=figures(reliable, found.brain, magnitudes.affine))
    record.inputs = digests(*([mask] if mask else card_and_weights(weights) if method == "network" else []))
    record.warnings = [warn(message) for message in [*found.warnings, *reliable.warnings]]
    record.write_beside(out)


if __name__ == "__main__":
    execute(main)
