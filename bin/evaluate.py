#!/usr/bin/env python3
import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from chiflow.core.cli import execute
from chiflow.core.errors import ChiflowError
from chiflow.core.metrics import scores
from chiflow.evaluate import draw_comparison, load_together


def main(
    map_: Annotated[Path, typer.Option("--map", help="The map to judge, ppm.")],
    truth: Annotated[Path, typer.Option(help="The true map, ppm.")],
    mask: Annotated[list[Path], typer.Option(help="Where to judge, voxels above 0; several masks count where all of them do.")],
    labels: Annotated[Path | None, typer.Option(help="Region labels for the slope over region means.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Output: PNG of map, truth and difference in three planes.")] = None,
) -> None:
    """Print one JSON line of metrics of a map against the truth: NRMSE (%), XSIM, HFEN (%) and the slope over regions.

    The volumes may differ by flips and swaps of axes, not by their grid. Both maps are demeaned in the mask.
    """
    image, true, regions, *masks = load_together([map_, truth, labels, *mask])
    inside = np.all([each.data > 0 for each in masks], axis=0)
    if not inside.any():
        raise ChiflowError(f"{', '.join(map(str, mask))}: the mask is zero everywhere")
    result = scores(image.data, true.data, inside, None if regions is None else regions.data)
    print(json.dumps({name: round(value, 4) for name, value in result.items()}))
    if figure:
        caption = f"NRMSE {result['nrmse_percent']:.1f} %   XSIM {result['xsim']:.2f}   HFEN {result['hfen_percent']:.1f} %"
        draw_comparison(figure, image, true, inside, caption)


if __name__ == "__main__":
    execute(main)
