"""The table of regions: beside the page, and on it."""

import csv
from pathlib import Path

from chiflow.core.contracts import write_json
from chiflow.core.nifti import write_bytes
from chiflow.core.summary import REGION_COLUMNS

SHOWN = ("name", "map", "n", "mean", "sd", "median", "units")


def region_rows(table: Path) -> list[dict[str, str]]:
    """The rows of a table of regions, as text."""
    with open(table, encoding="utf8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def write_regions(table: Path, target: Path) -> list[Path]:
    """The table of regions as .tsv, and what its columns are as .json; returns both."""
    write_bytes(target.with_suffix(".tsv"), table.read_bytes())
    write_json(target.with_suffix(".json"), {name: {"Description": text} for name, text in REGION_COLUMNS.items()})
    return [target.with_suffix(".tsv"), target.with_suffix(".json")]
