#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, execute
from chiflow.core.contracts import Acquisition
from chiflow.core.nifti import load
from chiflow.export import write_dicom


def main(
    chi: Annotated[Path, typer.Option(help="3D susceptibility map in ppm.")],
    acquisition: AcquisitionFile,
    out: Annotated[Path, typer.Option(help="Output: the folder of the BIDS derivatives; the slices go to sub-*/[ses-*/]dicom/<id>_Chimap.")],
) -> None:
    """Write χ (ppm) as DICOM for viewers and archives: one MR image a slice, steps of 0.001 ppm."""
    paths = write_dicom(load(chi), Acquisition.read(acquisition), out)
    print(f"{paths[0].parent}: {len(paths)} slices")


if __name__ == "__main__":
    execute(main)
