#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, MagnitudeFile, OutFile, PhaseFile, choose, execute, warn
from chiflow.core.contracts import Acquisition, Record
from chiflow.core.nifti import load, load_like, load_mask, save
from chiflow.core.signal_mask import signal_mask
from chiflow.unwrap import APPROXIMATE, EXACT_METHODS, UNWRAPPINGS, marked, require_exact


def main(
    phase: PhaseFile,
    magnitude: MagnitudeFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    mask: Annotated[Path | None, typer.Option(help="Where to unwrap (default: where the first echo has signal).")] = None,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(UNWRAPPINGS)}.")] = "tree",
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
    unwrapped = choose(UNWRAPPINGS, method, "unwrapping")(phases.data, magnitudes.data, inside, acquired.echo_times_s)
    exact = method in EXACT_METHODS
    if exact:
        require_exact(unwrapped, phases.data, inside)
    save(out, marked(unwrapped, inside), phases)
    record = Record(stage="unwrap", method=method, units="rad", figures={"VoxelsUnwrapped": int(inside.sum()), "Exact": exact})
    record.warnings = [] if exact else [warn(APPROXIMATE)]
    record.write_beside(out)


if __name__ == "__main__":
    execute(main)
