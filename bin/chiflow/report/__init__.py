"""One page a run: what was made, what was judged, how, and the words for the methods section. A single HTML file that loads nothing."""

import base64
from pathlib import Path

import numpy as np

import chiflow
from chiflow.core.bids import run_folder
from chiflow.core.contracts import Acquisition, Record, record_path
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import Image, load, load_like, upright, write_bytes
from chiflow.core.page import COLOURS, rendered
from chiflow.core.summary import REGIONS
from chiflow.report.consensus import checklist, methods_text
from chiflow.report.drawing import histogram, mosaic, three_planes
from chiflow.report.panels import DIFFERENCE, OUTLINED, PANELS, Panel
from chiflow.report.regions import SHOWN, region_rows, write_regions
from chiflow.report.summary import summary_of
from chiflow.report.verdicts import lines_of, overall

RECORDS = ("combined", "unwrapped", "field", "mask", "gate", "local", "chi", "r2star", "swi", "regions")
HEADLINES = {
    "pass": "Everything that is checked is as it should be.",
    "warn": "The maps were made, but something is unusual. Look at the amber lines before you use them.",
    "fail": "Do not use these maps before the red lines are understood.",
}


def write_page(maps: Path, acquisition: Acquisition, out: Path) -> list[Path]:
    """Write <id>_qsm.html, <id>_desc-methods_qsm.md, <id>_qsm.json, and the table of regions when there is one, into the folder of the run below `out`.

    Returns them in this order. Raises ChiflowError when the run's id is not a BIDS one, a record is missing, or a map lies on another grid than chi.nii.
    """
    run = acquisition.id or ""
    folder = run_folder(run)
    stages = {"intake": Record(stage="intake", method="", made=acquisition.made)} | stages_of(maps)
    lines = lines_of(stages, acquisition.warnings)
    methods = methods_text(acquisition, stages, chiflow.__version__)
    table = maps / "regions.tsv"
    page = rendered(
        __package__, run=run, lines=lines, colour=COLOURS[overall(lines)], headline=HEADLINES[overall(lines)], root="../" * (folder.count("/") + 1),
        figures=figures_of(maps), checklist=checklist(acquisition, stages), methods=methods, stages=stages.values(), sources=acquisition.sources,
        acquisition=acquisition.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"made", "converted", "sources", "warnings"}),
        regions=region_rows(table) if table.is_file() else [], shown=SHOWN, resampled="regions" in stages and bool(stages["regions"].parameters.get("Resampled")),
    )
    written = [out / folder / f"{run}{ending}" for ending in ("_qsm.html", "_desc-methods_qsm.md", "_qsm.json")]
    for path, text in zip(written, (page, f"{methods}\n")):
        write_bytes(path, text.encode())
    summary_of(run, f"{folder}/{run}_qsm.html", stages, lines).write(written[-1])
    return written + (write_regions(table, out / folder / f"{run}{REGIONS}") if table.is_file() else [])


def stages_of(maps: Path) -> dict[str, Record]:
    """The records of a run by stage, in the order of the stages. Raises ChiflowError when one that every run has is missing."""
    paths = [record_path(maps / f"{name}.nii") for name in RECORDS]
    records = [Record.read(path) for path in paths if path.is_file()]
    found = {record.stage: record for record in records}
    missing = [stage for stage in ("combine", "unwrap", "fieldmap", "mask", "gate", "invert") if stage not in found]
    if missing:
        raise ChiflowError(f"{maps}: no record of {', '.join(missing)}; give the folder with all maps and records of one run")
    return found


def figures_of(maps: Path) -> list[dict]:
    """A figure for each map that is there: title, text, alternative text and PNGs as data addresses."""
    chi = load(maps / "chi.nii")
    inside = upright(load_mask_of(maps, "eroded.nii", chi))
    relied = upright(load_mask_of(maps, "mask.nii", chi))
    figures = []
    for panel in PANELS:
        image = volume_of(maps, panel.key, chi)
        if image:
            figures.append(figure_of(panel, upright(image), inside.data > 0, relied.data > 0))
    return figures


def volume_of(maps: Path, name: str, chi: Image) -> Image | None:
    """A map of the run on the grid of χ, or what χ differs by from the map that the network began from; None when the run has none."""
    path = maps / ("start.nii" if name == DIFFERENCE else name)
    if not path.is_file():
        return None
    image = load_like(path, chi)
    return Image(chi.data - image.data, chi.affine, path) if name == DIFFERENCE else image


def load_mask_of(maps: Path, name: str, chi: Image) -> Image:
    """A mask of the run; where χ is not 0 when the run has none (an inversion of the total field)."""
    if not (maps / name).is_file():
        return Image((chi.data != 0).astype(np.float32), chi.affine, chi.path)
    return load_like(maps / name, chi)


def figure_of(panel: Panel, image: Image, inside: np.ndarray, relied: np.ndarray) -> dict:
    """One map on the page."""
    values = image.data[inside]
    pictures = [three_planes(panel, image, inside, relied if panel.key == OUTLINED else None)]
    if panel.key == "chi.nii":
        pictures += [mosaic(panel, image, inside), histogram(panel, values)]
    low, middle, high = np.percentile(values, (5, 50, 95)) if values.size else (np.nan,) * 3
    numbers = f"median {middle:.4g}, 5 to 95 % of the voxels {low:.4g} to {high:.4g} {panel.units}".strip()
    kinds = ("in axial, coronal and sagittal plane through the middle of the brain", "in twelve axial slices", "as a histogram inside the mask")
    return {
        "panel": panel, "numbers": numbers,
        "pictures": [{"data": base64.b64encode(png).decode(), "alt": f"{panel.title} {kind}; {numbers}"} for png, kind in zip(pictures, kinds)],
    }
