#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.convert import convert
from chiflow.core.cli import execute, warn


def main(
    dicom: Annotated[Path, typer.Option(help="Folder with DICOM files, in any order and nesting.")],
    key: Annotated[Path, typer.Option(help="Local file with any secret text: patient identity becomes labels by a hash with this key.")],
    out: Annotated[Path, typer.Option(help="Output: folder of the images, their sidecars, and convert.json (what was set aside, and why).")],
    subjects: Annotated[Path, typer.Option(help="Output: table of label, patient id and folder. It identifies patients: keep it where it is.")],
    depth: Annotated[int | None, typer.Option(min=0, help="How many levels of sub-folders to look into; without it all.")] = None,
) -> None:
    """Convert a DICOM folder to NIfTI without identity: one image an echo and part.

    Images are sub-<label>_ses-<label>_run-<series>[_coil-<n>]_echo-<n>_part-<mag|phase|real|imag>_MEGRE.nii with a BIDS sidecar (EchoTime
    in s, MagneticFieldStrength in T, ImagingFrequency in MHz); part-fieldmap is the scanner's own field map in Hz. Labels are keyed hashes of
    patient id and study: the same in every call with one key. Other maps that a scanner computed, localizers and time series are set aside.
    """
    for entry in convert(dicom, key, out, subjects, depth).aside:
        warn(f"{entry.name}: {entry.reason}")


if __name__ == "__main__":
    execute(main)
