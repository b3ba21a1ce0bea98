#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import execute
from chiflow.simulate.write import read_record, training_records, whole_records, write_samples


def main(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to: sub-sim0001 and on below it.")],
    labels: Annotated[Path | None, typer.Option(help="Folder of whole-head label maps at 1 mm (FreeSurfer's numbers); none: random shapes.")] = None,
    number: Annotated[int, typer.Option(min=1, help="How many samples.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and label maps give the same samples.")] = 0,
    recipe: Annotated[Path | None, typer.Option(help="recipe.json of a sample, to make it again; with --labels if it is of a label map.")] = None,
    whole: Annotated[bool, typer.Option(help="Whole heads with typical tissue, each label map in turn, not training samples.")] = False,
    voxel_size: Annotated[tuple[float, float, float], typer.Option(help="With --whole: voxel size in mm.")] = (1.0, 1.0, 1.0),
    b0: Annotated[tuple[float, float, float], typer.Option(help="With --whole: direction of B0 (right, front, top).")] = (0.0, 0.0, 1.0),
    extent: Annotated[float | None, typer.Option(min=20, help="With --whole: only a cube of this edge in mm round the deep grey matter.")] = None,
    lesions: Annotated[int, typer.Option(min=0, help="With --whole: number of lesions of -1 to 1.5 ppm, radius 2 to 4 mm.")] = 0,
    sigma: Annotated[float, typer.Option(min=0, help="With --whole: standard deviation of the field's noise in ppm.")] = 0.001,
    background: Annotated[bool, typer.Option(help="With --whole: write the total field too, with that of air and bone around.")] = False,
) -> None:
    """Write samples of field and susceptibility with known truth, for training an inversion or judging one.

    Input of an inversion: field, noise (ppm, as told), weight (1 where noise is typical), mask, magnitude (not in all), acquisition.json; total (ppm)
    with --background. Truth: chi (ppm, mean 0 in the mask), local (ppm, the field without errors), kinds (of tissue; 100 veins, 101 and up lesions).
    recipe.json says what was drawn. Then: invert.py --field field.nii.gz --mask mask.nii.gz --noise noise.nii.gz --acquisition acquisition.json
    """
    if recipe:
        records = iter([read_record(recipe)])
    elif whole:
        records = whole_records(labels, number, seed, voxel_size, b0, extent_mm=extent, lesions=lesions, sigma_ppm=sigma)
    else:
        records = training_records(labels, number, seed)
    write_samples(records, labels, out, background)


if __name__ == "__main__":
    execute(main)
