#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from chiflow.core.cli import MaskFile, execute
from chiflow.core.contracts import Record, record_path
from chiflow.core.masks import load_mask
from chiflow.core.nifti import load, load_like, save
from chiflow.twopass import two_pass

MAPS_HELP = "chi.nii with its record, residual.nii, ratio.nii and, where there are any, uncertainty.nii and start.nii"


def main(
    filled: Annotated[Path, typer.Option(help=f"Folder with {MAPS_HELP}, of the mask with its holes filled.")],
    tight: Annotated[Path, typer.Option(help=f"Folder with {MAPS_HELP}, of the tight mask, without holes filled.")],
    mask: MaskFile,
    tight_mask: Annotated[Path, typer.Option(help="Where the χ of the tight mask holds.")],
    out: Annotated[Path, typer.Option(help=f"Folder for {MAPS_HELP}.")],
) -> None:
    """Combine two inversions: reliable voxels from the tight mask, its holes from the filled one."""
    chi = load(filled / "chi.nii")
    inside, tight_inside = load_mask(mask, chi), load_mask(tight_mask, chi)
    both = inside & tight_inside
    there = lambda *names: [name for name in names if (filled / name).is_file() and (tight / name).is_file()]
    for name in there("residual.nii", "ratio.nii", "uncertainty.nii"):
        save(out / name, np.where(both, load_like(tight / name, chi).data, load_like(filled / name, chi).data), chi)
    for name in there("chi.nii", "start.nii"):
        save(out / name, two_pass(load_like(filled / name, chi).data, inside, load_like(tight / name, chi).data, tight_inside), chi)
    record = Record.read(record_path(filled / "chi.nii"))
    record.parameters["TwoPass"] = {"VoxelsOfFirstPass": int(both.sum()), "VoxelsFilled": int((inside & ~tight_inside).sum())}
    record.write_beside(out / "chi.nii")


if __name__ == "__main__":
    execute(main)
