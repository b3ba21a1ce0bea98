#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.cohort import write_cohort
from chiflow.core.cli import execute
from chiflow.core.contracts import read_json


def main(
    runs: Annotated[Path, typer.Option(help="Folder with the summaries of the runs, <id>_qsm.json, and their tables of regions, <id>_desc-regions_qsm.tsv.")],
    out: Annotated[Path, typer.Option(help="Output: the folder of the results; the pages of the runs lie below it.")],
    failed: Annotated[Path | None, typer.Option(help="JSON list of [run, failed or incomplete, stage, reason]: runs without maps, or without all of them.")] = None,
) -> None:
    """Write one page (HTML that loads nothing) and one table about all runs: verdicts, figures, and what stands out."""
    for path in write_cohort(runs, read_json(failed) if failed else [], out):
        print(path)


if __name__ == "__main__":
    execute(main)
