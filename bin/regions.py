#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import execute
from chiflow.core.contracts import Record
from chiflow.core.labels import label_names, labels_on
from chiflow.core.nifti import load, load_like, write_bytes
from chiflow.core.provenance import digests
from chiflow.regions import Map, region_rows, table_text

MAPPED = {"chi.nii": ("Chimap", "ppm"), "uncertainty.nii": ("desc-uncertainty_Chimap", "ppm"), "r2star.nii": ("R2starmap", "1/s")}


def main(
    maps: Annotated[Path, typer.Option(help=f"Folder with the maps of one run: {', '.join(MAPPED)}, eroded.nii and mask.nii where they hold; chi.nii is needed.")],
    labels: Annotated[Path, typer.Option(help="3D label image (BIDS _dseg) in the space of the run; on another grid it is resampled.")],
    out: Annotated[Path, typer.Option(help="Output: table with one row a region and map, .tsv; what was done is written beside it as .json.")],
    names: Annotated[Path | None, typer.Option(help="Names of the labels: .tsv with columns index and name.")] = None,
) -> None:
    """Mean, SD, median and percentiles of χ (ppm), its uncertainty (ppm) and R2* (1/s) over labelled regions."""
    chi = load(maps / "chi.nii")
    regions, resampled = labels_on(labels, chi)
    inside = {name: load_like(maps / name, chi).data > 0 if (maps / name).is_file() else chi.data != 0 for name in ("eroded.nii", "mask.nii")}
    found = [Map(*MAPPED[name], load_like(maps / name, chi).data, inside["mask.nii" if name == "r2star.nii" else "eroded.nii"]) for name in MAPPED if (maps / name).is_file()]
    rows = region_rows(regions, label_names(names) if names else {}, found)
    write_bytes(out, table_text(rows).encode())
    record = Record(stage="regions", method="labels", parameters={"Resampled": resampled}, inputs=digests(labels, names))
    present = {row["index"]: row["n"] for row in rows if row["map"] == "Chimap"}
    record.figures = {"Regions": len(present), "WithoutVoxelInMask": sum(not n for n in present.values())}
    record.write_beside(out.with_suffix(".json"))


if __name__ == "__main__":
    execute(main)
