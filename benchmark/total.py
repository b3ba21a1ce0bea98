#!/usr/bin/env python3
"""Local fields of whole heads of label maps that training never saw, from the total field: the fit informed by guided TV, the network, and every background removal.

    source .venv/bin/activate; python benchmark/total.py --labels FOLDER [--geometries "2 mm" …] [--heads 17 …] [--weights total.safetensors] [--results FILE]

FOLDER holds SynthSeg's whole-head label maps; heads 17 to 20 are held out. The total field is that of tissue, bone and air with white noise of 0.001 ppm, no
shim. NRMSE in % of the local field: of `fit`, `informed` and `net` in the whole mask / in the core 9 mm inside; of each background removal the best of its
parameters, chosen on the truth, in the mask that it returns, and beside it what `informed` (or `net`) has in that same mask. Then the root mean square error
in ppb by the depth below the mask's surface. Each cell is kept in a file as soon as it is done. Prints markdown tables.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from network import HELD_OUT
from scipy.ndimage import distance_transform_edt

from chiflow.background import BACKGROUND_METHODS
from chiflow.core.box import mask_box
from chiflow.core.metrics import nrmse
from chiflow.invert.net_total import loaded
from chiflow.invert.total_scale import total_result
from chiflow.simulate.anatomy import read_head
from chiflow.simulate.sample import made
from chiflow.simulate.surroundings import background_field, read_surroundings
from chiflow.simulate.whole import whole_recipe

GEOMETRIES = {"2 mm": ((2, 2, 2), 0), "1 mm": ((1, 1, 1), 0), "1 mm, 45°": ((1, 1, 1), 45), "0.8×0.8×2 mm, 25°": ((0.8, 0.8, 2), 25)}
SIGMA_PPM, CORE_MM = 0.001, 9.0
BANDS_MM = (0, 2.1, 4.1, 8, 15, 99)
GRIDS = {  # options of each method besides its defaults
    "joint": [{"inside": i, "ridge": r, "iterations": 200, "tolerance": 3e-4} for i, r in ((0.03, 0.001), (0.01, 0.003), (0.01, 0.0007), (0.005, 0.0003), (0.003, 0.0003))],
    "pdf": [{"ridge": r} for r in (0.01, 0.0003)], "vsharp": [{"largest_mm": r} for r in (12.0, 30.0)], "lbv": [{"degree": d} for d in (4, 8)],
    "resharp": [{"radius_mm": r} for r in (4.0, 8.0)], "ismv": [],
}


def scan(geometry: str, number: int, labels: Path) -> dict:
    """The head of a cell on the box of its mask: field, local, mask, weight, magnitude and its geometry."""
    size, tilt = GEOMETRIES[geometry]
    path = labels / f"training_seg_{number:02d}.nii.gz"
    head = read_head(path)
    recipe = whole_recipe(head, size, (0.0, float(np.sin(np.radians(tilt))), float(np.cos(np.radians(tilt)))), number, sigma_ppm=SIGMA_PPM)
    whole = made(recipe, [head])
    volumes = {"field": (whole.field + background_field(read_surroundings(path), head, recipe)) * whole.mask, "local": whole.local * whole.mask,
               "mask": whole.mask, "weight": whole.weight, "magnitude": whole.magnitude}
    box, boxed = mask_box(whole.mask.numpy(), whole.geometry)
    return {name: volume[box].contiguous() for name, volume in volumes.items()} | {"geometry": boxed}


def error(local: torch.Tensor, head: dict, mask: torch.Tensor) -> float:
    """NRMSE in % of a local field in a mask."""
    return round(nrmse(local.numpy(), head["local"].numpy(), mask.numpy()), 2)


def cell(head: dict, weights: Path | None) -> dict:
    """All figures of one head."""
    known = head["field"], head["mask"], head["geometry"], head["weight"], SIGMA_PPM
    depth = torch.from_numpy(distance_transform_edt(np.pad(head["mask"].numpy(), 1), sampling=head["geometry"].voxel_size)[1:-1, 1:-1, 1:-1])
    result = total_result(None, *known, head["magnitude"])
    ours = {"fit": result.fitted_local, "informed": result.local, "informed, no magnitude": total_result(None, *known, None).local}
    if weights:
        ours["net"] = total_result(loaded(weights, torch.device("cpu"))[0], *known, head["magnitude"]).local
    last = ours["net" if weights else "informed"]
    figures = {name: {"whole": error(local, head, head["mask"]), "core": error(local, head, head["mask"] & (depth > CORE_MM))} for name, local in ours.items()}
    for name, grid in GRIDS.items():
        found = [BACKGROUND_METHODS[name](*known, **options) for options in ({}, *grid)]
        errors = [error(one.field, head, one.mask) for one in found]
        best = int(np.argmin(errors))
        figures[name] = {"default": errors[0], "tuned": errors[best], "options": ({}, *grid)[best], "kept": round(float(found[best].mask.sum() / head["mask"].sum()), 3),
                         "ours": error(last, head, found[best].mask), "ours_default": error(last, head, found[0].mask)}
        ours[name] = found[0].field
    bands = [head["mask"] & (depth > low) & (depth <= high) for low, high in zip(BANDS_MM, BANDS_MM[1:])]
    rms = lambda local: [round(1e3 * float((local - head["local"])[band].square().mean() ** 0.5), 2) for band in bands]
    return {"figures": figures, "bands": {name: rms(local) for name, local in ours.items() if name in ("fit", "informed", "net", "joint")}}


def tables(cells: dict[str, dict]) -> str:
    """Both tables."""
    lines = ["| head | method | whole mask / core, % | mask kept | ours in that mask, % |", "|---" * 5 + "|"]
    for key, content in cells.items():
        for name, row in content["figures"].items():
            if "whole" in row:
                lines.append(f"| {key} | `{name}` | {row['whole']:.1f} / {row['core']:.1f} | 1 | |")
            else:
                lines.append(f"| {key} | `{name}`, tuned (default) | {row['tuned']:.1f} ({row['default']:.1f}) | {row['kept']:.2f} | {row['ours']:.1f} ({row['ours_default']:.1f}) |")
    lines += ["", "| head | method | " + " | ".join(f"{low}–{high} mm" for low, high in zip(BANDS_MM, BANDS_MM[1:])) + " |", "|---" * (len(BANDS_MM) + 1) + "|"]
    lines += [f"| {key} | `{name}` | " + " | ".join(f"{v:.2f}" for v in row) + " |" for key, content in cells.items() for name, row in content["bands"].items()]
    return "\n".join(lines)


def main() -> None:
    """Work through the cells that are missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="folder of training_seg_17.nii.gz … 20")
    parser.add_argument("--geometries", nargs="+", choices=GEOMETRIES, default=list(GEOMETRIES))
    parser.add_argument("--heads", nargs="+", type=int, choices=HELD_OUT, default=list(HELD_OUT))
    parser.add_argument("--weights", type=Path, help="of the network; without it the table ends at `informed`")
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "chiflow_total.json", help="JSON file of the cells that are done")
    options = parser.parse_args()
    cells = json.loads(options.results.read_text(encoding="utf8")) if options.results.is_file() else {}
    for geometry in options.geometries:
        for number in options.heads:
            key = f"{geometry}, head {number}"
            if key not in cells:
                cells[key] = cell(scan(geometry, number, options.labels), options.weights)
                options.results.write_text(json.dumps(cells, indent=1, ensure_ascii=False), encoding="utf8")
                print(key, cells[key], file=sys.stderr, flush=True)
    print(tables(cells))


if __name__ == "__main__":
    sys.exit(main())
