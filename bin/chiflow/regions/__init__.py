"""Maps over labelled regions: one row a region and map, over the voxels of the region that lie in the mask.

    mean, sd (N − 1), median, percentiles 5, 25, 75, 95;     inside = voxels in the mask / voxels of the region
"""

from dataclasses import dataclass

import numpy as np

from chiflow.core.summary import PERCENTILES
from chiflow.core.summary import REGION_COLUMNS as COLUMNS



@dataclass(frozen=True)
class Map:
    """A map (X, Y, Z) in `units` and the mask (X, Y, Z) bool in which it holds."""

    name: str
    units: str
    values: np.ndarray
    mask: np.ndarray


def region_rows(labels: np.ndarray, names: dict[int, str], maps: list[Map]) -> list[dict]:
    """A row (keys of COLUMNS) for each region of labels (X, Y, Z) int above 0, in their order, and each map.

    A region without voxel in the mask has n 0 and None for the rest: it was asked for, and is not there.
    """
    flat = labels.ravel()
    order = np.argsort(flat, kind="stable")
    numbers, starts = np.unique(flat[order], return_index=True)
    places = dict(zip(numbers.tolist(), np.split(order, starts[1:])))
    return [_row(number, names.get(number, str(number)), places.get(number, order[:0]), map_) for number in sorted({*places, *names} - {0}) for map_ in maps]


def _row(number: int, name: str, region: np.ndarray, map_: Map) -> dict:
    """One region (indices into the flat volume) of one map."""
    values = map_.values.ravel()[region][map_.mask.ravel()[region]].astype(np.float64)
    row = {"index": number, "name": name, "map": map_.name, "units": map_.units, "n": values.size, "inside": values.size / region.size if region.size else None}
    if not values.size:
        return row | dict.fromkeys(("mean", "sd", "median", *(f"p{q}" for q in PERCENTILES)))
    spread = values.std(ddof=1) if values.size > 1 else None
    percentiles = zip((f"p{q}" for q in PERCENTILES), np.percentile(values, PERCENTILES).tolist())
    return row | {"mean": values.mean(), "sd": spread, "median": float(np.median(values)), **dict(percentiles)}


def table_text(rows: list[dict]) -> str:
    """The rows as a BIDS table: tabs between columns, n/a for what is not there."""
    lines = ["\t".join(COLUMNS), *("\t".join(_cell(row[column]) for column in COLUMNS) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "n/a"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
