#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, execute
from chiflow.core.contracts import Acquisition
from chiflow.publish import DERIVATIVES, publish


def main(
    acquisition: AcquisitionFile,
    maps: Annotated[Path, typer.Option(help=f"Folder with the maps of one run and their records: {', '.join(DERIVATIVES)}; chi.nii is needed.")],
    out: Annotated[Path, typer.Option(help="Output: the folder of the BIDS derivatives.")],
) -> None:
    """Write the maps of one run as BIDS derivatives: compressed, named, with a sidecar that tells how each was made."""
    for path in publish(maps, Acquisition.read(acquisition), out):
        print(path)


if __name__ == "__main__":
    execute(main)
