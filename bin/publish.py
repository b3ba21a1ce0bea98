#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, execute
from chiflow.core.contracts import Acquisition, read_json
from chiflow.publish import DERIVATIVES, publish


def main(
    acquisition: AcquisitionFile,
    maps: Annotated[Path, typer.Option(help=f"Folder with the maps of one run and their records: {', '.join(DERIVATIVES)}; chi.nii is needed.")],
    out: Annotated[Path, typer.Option(help="Output: the folder of the BIDS derivatives.")],
    pipeline: Annotated[Path | None, typer.Option(help="JSON that goes into the provenance: engine, parameters, images.")] = None,
) -> None:
    """Write the maps of one run as BIDS derivatives: compressed, named, with a sidecar that tells how each was made, and their provenance."""
    for path in publish(maps, Acquisition.read(acquisition), out, read_json(pipeline) if pipeline else {}):
        print(path)


if __name__ == "__main__":
    execute(main)
