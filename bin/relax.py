#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from chiflow.core.cli import AcquisitionFile, MagnitudeFile, MaskFile, OutFile, execute
from chiflow.core.contracts import Acquisition, Record
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import load, load_mask, save
from chiflow.relax import fit_r2star


def main(
    magnitude: MagnitudeFile,
    mask: MaskFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    t2star: Annotated[Path, typer.Option(help="Output: T2* in s.")],
) -> None:
    """Fit R2* (1/s) and T2* (s) to the magnitude of all echoes."""
    acquired = Acquisition.read(acquisition)
    magnitudes = load(magnitude, dimensions=(4,))
    acquired.require_echoes(magnitudes)
    if len(acquired.echo_times_s) < 2:
        raise ChiflowError(f"{magnitude}: R2* needs two echoes or more")
    inside = load_mask(mask, magnitudes)
    rate, time = fit_r2star(magnitudes.data, inside, acquired.echo_times_s)
    save(t2star, time, magnitudes)
    save(out, rate, magnitudes)
    figures = {"R2starMedian": round(float(np.median(rate[inside])), 3), "T2starMedian": round(float(np.median(time[inside])), 6)}
    Record(stage="relax", method="weighted log-linear fit", units="1/s", figures=figures).write_beside(out)


if __name__ == "__main__":
    execute(main)
