#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, execute
from chiflow.core.contracts import Acquisition
from chiflow.report import RECORDS, write_page
from chiflow.report.panels import PANELS

MAPS_HELP = f"Folder with the maps of one run ({', '.join(panel.key for panel in PANELS)}; chi.nii is needed) and the records {', '.join(f'{name}.json' for name in RECORDS)}."


def main(
    acquisition: AcquisitionFile,
    maps: Annotated[Path, typer.Option(help=MAPS_HELP)],
    out: Annotated[Path, typer.Option(help="Output: the folder of the BIDS derivatives.")],
) -> None:
    """Write one page about a run: its maps, what was judged, the consensus beside it, the methods text. HTML that loads nothing, and the text as .md."""
    for path in write_page(maps, Acquisition.read(acquisition), out):
        print(path)


if __name__ == "__main__":
    execute(main)
