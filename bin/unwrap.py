#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, MagnitudeFile, OutFile, PhaseFile, choose, execute, warn
from chiflow.core.contracts import Acquisition, Record, told
from chiflow.core.masks import load_mask
from chiflow.core.nifti import load, load_like, save
from chiflow.core.provenance import card_and_weights, digests
from chiflow.core.signal_mask import signal_mask
from chiflow.unwrap import APPROXIMATE, EXACT_METHODS, UNWRAPPINGS, Unwrapped, by_net, marked, net, require_exact

WEIGHTS = Path(__file__).resolve().parent.parent / "weights" / "unwrapping.safetensors"


def main(
    phase: PhaseFile,
    magnitude: MagnitudeFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    mask: Annotated[Path | None, typer.Option(help="Where to unwrap (default: where the first echo has signal).")] = None,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(UNWRAPPINGS)}.")] = "tree",
    weights: Annotated[Path, typer.Option(help="Weights of net, .safetensors with its card .json beside it.", show_default="weights/unwrapping.safetensors")] = WEIGHTS,
) -> None:
    """Unwrap every echo: output = input + 2π · integer in the mask, 0 outside; `laplacian` is approximate and says so in the record.

    In: offset-free phase (rad) and magnitude of all echoes, 4D. Out: unwrapped phase in rad, 4D.
    """
    acquired = Acquisition.read(acquisition)
    phases = load(phase, dimensions=(4,))
    magnitudes = load_like(magnitude, phases, dimensions=(4,))
    acquired.require_echoes(phases)
    acquired.require_echoes(magnitudes)
    inside = load_mask(mask, phases) if mask else signal_mask(magnitudes.data)
    unwrap, scan = choose(UNWRAPPINGS, method, "unwrapping"), (phases.data, magnitudes.data, inside, acquired.echo_times_s)
    found = by_net(*scan, weights=weights) if unwrap is net else Unwrapped(unwrap(*scan))
    exact = method in EXACT_METHODS
    if exact:
        require_exact(found.phase, phases.data, inside)
    save(out, marked(found.phase, inside), phases)
    record = Record(stage="unwrap", method=method, parameters=found.parameters, units="rad", checks=found.checks)
    record.figures = {"VoxelsUnwrapped": int(inside.sum()), "Exact": exact} | found.figures
    record.inputs = digests(*(card_and_weights(weights) if unwrap is net else []))
    record.warnings = [warn(message) for message in [*found.warnings, *([] if exact else [APPROXIMATE]), *told(found.checks)]]
    record.write_beside(out)


if __name__ == "__main__":
    execute(main)
