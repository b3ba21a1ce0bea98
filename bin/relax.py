#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from chiflow.core.cli import AcquisitionFile, MagnitudeFile, MaskFile, OutFile, choose, execute
from chiflow.core.contracts import Acquisition, Record
from chiflow.core.errors import ChiflowError
from chiflow.core.masks import load_mask
from chiflow.core.nifti import load, save
from chiflow.relax import RELAXATIONS, noise_of_echoes


def main(
    magnitude: MagnitudeFile,
    mask: MaskFile,
    acquisition: AcquisitionFile,
    out: OutFile,
    t2star: Annotated[Path, typer.Option(help="Output: T2* in s.")],
    s0: Annotated[Path, typer.Option(help="Output: signal at echo time 0, in the unit of the magnitude.")],
    method: Annotated[str, typer.Option(help=f"{' or '.join(RELAXATIONS)}; arlo needs evenly spaced echoes.")] = "loglinear",
) -> None:
    """Fit R2* (1/s), T2* (s) and S0 to the magnitude of all echoes.

    Dephasing by field gradients is not corrected: next to air R2* is too large.
    """
    fit = choose(RELAXATIONS, method, "relaxation fit")
    acquired = Acquisition.read(acquisition)
    magnitudes = load(magnitude, dimensions=(4,))
    acquired.require_echoes(magnitudes)
    if len(acquired.echo_times_s) < 2:
        raise ChiflowError(f"{magnitude}: R2* needs two echoes or more")
    inside = load_mask(mask, magnitudes)
    sigma = noise_of_echoes(magnitudes.data, inside, acquired.echo_times_s)
    fitted = fit(magnitudes.data, inside, acquired.echo_times_s, sigma)
    for path, volume in ((t2star, fitted.t2star), (s0, fitted.s0), (out, fitted.r2star)):
        save(path, volume, magnitudes)
    medians = {"R2starMedian": fitted.r2star, "T2starMedian": fitted.t2star, "S0Median": fitted.s0}
    figures = {name: np.median(volume[inside]) for name, volume in medians.items()} | {"Noise": sigma}
    Record(stage="relax", method=method, units="1/s", figures={k: float(f"{v:.4g}") for k, v in figures.items()}).write_beside(out)


if __name__ == "__main__":
    execute(main)
