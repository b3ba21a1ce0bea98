#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, MagnitudeFile, choose, execute, warn
from chiflow.core.contracts import Acquisition, Record
from chiflow.core.errors import ChiflowError
from chiflow.core.masks import load_mask
from chiflow.core.nifti import load, load_like
from chiflow.gate import POLICIES, gate_figures, judge


def main(
    phase: Annotated[Path, typer.Option(help="4D unwrapped, offset-free phase in rad.")],
    magnitude: MagnitudeFile,
    field: Annotated[Path, typer.Option(help="3D field map in Hz.")],
    quality: Annotated[Path, typer.Option(help="3D phase quality, 1 − relative residual of the echo fit.")],
    brain: Annotated[Path, typer.Option(help="3D brain mask, before phase quality.")],
    acquisition: AcquisitionFile,
    out: Annotated[Path, typer.Option(help="Output: the verdict with its figures and reasons, .json.")],
    unwrapping: Annotated[str, typer.Option(help="The unwrapping that made the phase, for the record.")] = "tree",
    gate: Annotated[str, typer.Option(help="On a verdict of fail: stop, fallback (stop only with --last), or warn and go on.")] = "stop",
    last: Annotated[bool, typer.Option("--last", help="There is no other unwrapping to fall back to.")] = False,
) -> None:
    """Judge a field map (Hz) before it is used: pass, warn or fail, by the thresholds that the record states."""
    stops = choose(POLICIES, gate, "gate policy")(last)
    acquired = Acquisition.read(acquisition)
    phases = load(phase, dimensions=(4,))
    magnitudes = load_like(magnitude, phases, dimensions=(4,))
    acquired.require_echoes(phases)
    acquired.require_echoes(magnitudes)
    fields, qualities = (load_like(path, phases).data for path in (field, quality))
    figures = gate_figures(phases.data, magnitudes.data, fields, qualities, load_mask(brain, phases), acquired.echo_times_s, acquired.geometry(phases).voxel_size)
    judgement = judge(figures)
    figures = {"Verdict": judgement.verdict} | {name: round(value, 7) for name, value in figures.items()}
    record = Record(stage="gate", method=unwrapping, figures=figures, checks=judgement.checks, warnings=judgement.reasons)
    record.write_beside(out)
    if judgement.verdict == "fail" and stops:
        raise ChiflowError(f"the field map of {acquired.id or field} failed the gate: {'; '.join(judgement.reasons)}")
    for reason in judgement.reasons:
        warn(reason)


if __name__ == "__main__":
    execute(main)
