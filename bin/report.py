#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import AcquisitionFile, execute
from chiflow.core.contracts import Acquisition
from chiflow.report import RECORDS, write_page
from chiflow.report.panels import DIFFERENCE, PANELS

MAPS_HELP = f"Folder with the maps of one run ({', '.join(panel.key for panel in PANELS if panel.key != DIFFERENCE)}; chi.nii is needed), regions.tsv and the records {', '.join(f'{name}.json' for name in RECORDS)}."


def main(
    acquisition: AcquisitionFile,
    maps: Annotated[Path, typer.Option(help=MAPS_HELP)],
    out: Annotated[Path, typer.Option(help="Output: the folder of the BIDS derivatives.")],
) -> None:
    """Write one page about a run: its maps, what was judged, the consensus beside it, regions, the methods text. HTML that loads nothing, the text as
    .md, and what the page of all runs tells of it as .json.
    """
    for path in write_page(maps, Acquisition.read(acquisition), out):
        print(path)


if __name__ == "__main__":
    execute(main)
