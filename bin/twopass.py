#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from chiflow.core.cli import MaskFile, OutFile, execute
from chiflow.core.contracts import Record, record_path
from chiflow.core.nifti import load, load_like, load_mask, save
from chiflow.twopass import two_pass


def main(
    chi: Annotated[Path, typer.Option(help="χ of the mask with its holes filled, ppm, with its record beside it.")],
    residual: Annotated[Path, typer.Option(help="Residual of that χ, ppm.")],
    mask: MaskFile,
    tight_chi: Annotated[Path, typer.Option(help="χ of the tight mask, without holes filled, ppm.")],
    tight_residual: Annotated[Path, typer.Option(help="Residual of that χ, ppm.")],
    tight_mask: Annotated[Path, typer.Option(help="Where the χ of the tight mask holds.")],
    out: OutFile,
    out_residual: Annotated[Path, typer.Option(help="Output: residual of the combined map in ppm.")],
) -> None:
    """Combine two inversions: reliable voxels from the tight mask, its holes from the filled one."""
    filled = load(chi)
    inside, tight_inside = load_mask(mask, filled), load_mask(tight_mask, filled)
    combined = two_pass(filled.data, inside, load_like(tight_chi, filled).data, tight_inside)
    residuals = np.where(inside & tight_inside, load_like(tight_residual, filled).data, load_like(residual, filled).data)
    record = Record.read(record_path(chi))
    record.parameters["TwoPass"] = {"VoxelsOfFirstPass": int((inside & tight_inside).sum()), "VoxelsFilled": int((inside & ~tight_inside).sum())}
    save(out_residual, residuals, filled)
    save(out, combined, filled)
    record.write_beside(out)


if __name__ == "__main__":
    execute(main)
