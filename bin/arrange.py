#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.arrange import arrange
from chiflow.core.cli import execute, warn


def main(
    sidecars: Annotated[list[Path], typer.Argument(help="Sidecars of converted images (convert.py), of one subject or many.")],
    out: Annotated[Path, typer.Option(help="Output: runs.json with the images of each run, and what was set aside.")],
) -> None:
    """Sort converted images into runs: magnitude and phase (or real and imaginary part) of one scan, all its echoes.

    The parts of a scan may be one series or several; they share subject, session, protocol, grid, repetition time, flip angle and echo
    times. A scan that was repeated is several runs. The difference of two phases is a run with the magnitudes of its echoes; single coils
    are a run where the combined images are missing.
    """
    runs = arrange(sidecars)
    runs.write(out)
    for entry in runs.aside:
        warn(f"{entry.name}: {entry.reason}")


if __name__ == "__main__":
    execute(main)
