#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from chiflow.core.cli import AcquisitionFile, MagnitudeFile, OutFile, choose, execute
from chiflow.core.contracts import Acquisition, Record
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import load, load_like, save
from chiflow.fieldmap import FIELD_FITS


def main(
    phase: Annotated[Path, typer.Option(help="4D unwrapped, offset-free phase in rad; 0 in all echoes means not unwrapped.")],
    magnitude: MagnitudeFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    noise: Annotated[Path, typer.Option(help="Output: standard deviation of the field in Hz.")],
    quality: Annotated[Path, typer.Option(help="Output: 1 − relative residual of the echo fit, 0 to 1.")],
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(FIELD_FITS)}.")] = "nonlinear",
) -> None:
    """Fit the field in Hz to the phase of all echoes, weighted by magnitude², with its noise (Hz) and quality (0 to 1)."""
    acquired = Acquisition.read(acquisition)
    phases = load(phase, dimensions=(4,))
    magnitudes = load_like(magnitude, phases, dimensions=(4,))
    acquired.require_echoes(phases)
    acquired.require_echoes(magnitudes)
    mask = (phases.data != 0).any(axis=3)
    if not mask.any():
        raise ChiflowError(f"{phase}: 0 in every voxel and echo, nothing was unwrapped")
    fitted = choose(FIELD_FITS, method, "field fit")(phases.data, magnitudes.data, mask, acquired.echo_times_s)
    for path, volume in ((noise, fitted.noise_hz), (quality, fitted.quality), (out, fitted.field_hz)):
        save(path, volume, phases)
    percentiles = np.percentile(fitted.field_hz[mask], [5, 50, 95])
    figures = {"FieldHz5": percentiles[0], "FieldHz50": percentiles[1], "FieldHz95": percentiles[2], "NoiseHz50": np.median(fitted.noise_hz[mask])}
    Record(stage="fieldmap", method=method, units="Hz", figures={k: round(float(v), 4) for k, v in figures.items()}).write_beside(out)


if __name__ == "__main__":
    execute(main)
