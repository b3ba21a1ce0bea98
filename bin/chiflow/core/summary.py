"""What is told of a run where all runs stand together: <id>_qsm.json, the figures in it, and what they are."""

from dataclasses import dataclass
from typing import Literal

from chiflow.core.contracts import Contract

PERCENTILES = (5, 25, 75, 95)
REGION_COLUMNS = {
    "index": "Label", "name": "Name of the label", "map": "What was averaged: suffix of the published map", "units": "Unit of mean, sd, median and percentiles",
    "n": "Voxels of the region inside the mask", "inside": "Share of the region's voxels that lie inside the mask", "mean": "Mean", "sd": "Standard deviation, N - 1",
    "median": "Median", **{f"p{q}": f"Percentile {q}" for q in PERCENTILES},
}
REGIONS = "_desc-regions_qsm"  # ending of the table of regions of a run, and of the words that say what its columns are


@dataclass(frozen=True)
class Figure:
    """A figure of a run: the stage and key that it has in the records, its unit, and what it is."""

    stage: str
    key: str
    units: str
    text: str


FIGURES = {
    "Mask": Figure("mask", "VolumeMl", "ml", "volume of the mask in which the field is relied on"),
    "Coverage": Figure("gate", "Coverage", "", "share of the brain that has phase to rely on"),
    "Noise": Figure("fieldmap", "NoiseHz50", "Hz", "median noise of the field map"),
    "Residual": Figure("gate", "MedianResidual", "", "what the echoes do not agree on, median of the relative residual"),
    "Jumps": Figure("gate", "Jumps", "", "share of neighbours with a wrap left between them"),
    "Motion": Figure("gate", "EchoMotion", "voxels", "how far an echo lies from the others"),
    "R2star": Figure("relax", "R2starMedian", "1/s", "median of R2* in the mask"),
    "ChiSd": Figure("invert", "WholeMaskSdPpm", "ppm", "standard deviation of χ in the whole mask"),
    "Unexplained": Figure("invert", "Unexplained", "", "share of the local field that is neither χ's nor noise"),
    "Skew": Figure("invert", "Skew", "", "skew of χ: negative when the sign of the phase is turned"),
    "Seconds": Figure("", "Seconds", "s", "time that the stages took, one after the other"),
    "Memory": Figure("", "PeakMemoryGib", "GiB", "most memory that a stage held"),
}


class Summary(Contract):
    """A run in a line: its page (from the folder of the results), the worst verdict, why it is not green, and the figures that it has."""

    run: str
    page: str
    verdict: Literal["pass", "warn", "fail"]
    reasons: list[str] = []
    figures: dict[str, float] = {}
