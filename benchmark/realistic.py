#!/usr/bin/env python3
"""Inversions on held-out heads that are like scans in vivo, and on a brain in vivo with a truth for one half.

    source .venv/bin/activate; python benchmark/realistic.py --labels FOLDER [--in-vivo FOLDER] [--geometries "2 mm" …] [--noise 0.002 …] [--heads 17 …]
                                                             [--methods net …] [--results FILE]

FOLDER of --labels holds SynthSeg's whole-head label maps; heads 17 to 20 are held out of every training. The field is scanned from a grid twice finer, with
anisotropic white matter, the shift of its water, false sources, a harmonic rest and white noise (ppm) that grows where the signal is small
(bin/chiflow/simulate/realistic.py). Each method is told the noise and runs as the stage does; those with a parameter also at ¼ to 8 times it, and the
best on the truth of the very cell counts, its automatic value in brackets. FOLDER of --in-vivo holds field_ppm, mask, magnitude, truth_half_ppm, score_mask and
labels_half (.nii.gz); there every method runs once, at its automatic parameter. Cells are kept in a CSV file, so the command goes on after an interruption.
"""

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bin"))

from chiflow.core.box import mask_box
from chiflow.core.geometry import Geometry, geometry_of
from chiflow.core.metrics import scores
from chiflow.core.nifti import load
from chiflow.core.variation.remainder import with_remainder
from chiflow.invert import INVERSIONS
from chiflow.simulate.anatomy import INDEX, read_head
from chiflow.simulate.realistic import made_real, whole_real

HELD_OUT = (17, 18, 19, 20)
GEOMETRIES = {"2 mm": ((2, 2, 2), 0), "1.5 mm, 45°": ((1.5, 1.5, 1.5), 45), "1×1×2 mm, 25°": ((1, 1, 2), 25), "1 mm": ((1, 1, 1), 0)}
NOISES = (0.002, 0.005)
GREY = ("caudate", "putamen", "pallidum", "thalamus", "red_nucleus", "substantia_nigra", "dentate")
TUNED = {"ictv": None, "net": None, "gtv": ("lambda_ppm", "LambdaPpm"), "tv": ("lambda_ppm", "LambdaPpm"), "hdqsm": ("lambda_ppm", "LambdaPpm"),
         "medi": ("lambda_ppm", "LambdaPpm"), "fansi": ("lambda_ppm", "LambdaPpm"), "l2": ("lambda_", "Lambda"), "tkd": ("threshold", "Threshold")}
FACTORS = (0.5, 2.0, 4.0, 8.0)
KNOW_THE_ERROR = ("net", "ictv")
FIELDS = ("cell", "method", "nrmse", "automatic", "xsim", "hfen", "slope", "coverage", "seconds")


def head_cell(geometry: str, noise: float, head: int, labels: Path) -> dict:
    """What a method reads, and the truth, of a held-out head on the box of its mask."""
    size, tilt = GEOMETRIES[geometry]
    b0 = (0.0, float(np.sin(np.radians(tilt))), float(np.cos(np.radians(tilt))))
    label_map = read_head(labels / f"training_seg_{head:02d}.nii.gz")
    made = made_real(whole_real(label_map, size, b0, head, noise), [label_map])
    box, boxed = mask_box(made.mask.numpy(), made.geometry)
    cut = {name: getattr(made, name)[box].contiguous() for name in ("field", "mask", "weight", "magnitude", "chi")}
    grey = sum((made.kinds[box] == INDEX[name]) * INDEX[name] for name in GREY)
    return cut | {"geometry": boxed, "sigma": made.sigma_ppm, "labels": grey, "scored": cut["mask"]}


def half_brain(folder: Path) -> dict:
    """The same of the brain in vivo."""
    names = {"field": "field_ppm", "mask": "mask", "magnitude": "magnitude", "chi": "truth_half_ppm", "scored": "score_mask", "labels": "labels_half"}
    images = {name: load(folder / f"{file}.nii.gz") for name, file in names.items()}
    mask = images["mask"].data > 0
    whole = geometry_of(images["mask"].affine, mask.shape)
    box, geometry = mask_box(mask, Geometry(mask.shape, whole.voxel_size, (0, 0, 1)))
    cut = {name: torch.from_numpy(np.ascontiguousarray(image.data[box])) for name, image in images.items()}
    return cut | {"mask": cut["mask"] > 0, "scored": cut["scored"] > 0, "labels": cut["labels"].long(), "weight": (cut["mask"] > 0).float(),
                  "geometry": geometry, "sigma": noise_of(cut, geometry)}


def noise_of(cut: dict, geometry: Geometry) -> float:
    """σ in ppm as the stage takes it from a field without a noise map."""
    from chiflow.core.reliability import noise_of_field

    return noise_of_field(cut["field"].numpy(), cut["mask"].numpy() > 0)


def inverted(method: str, cell: dict, **options):
    """What one method makes of a cell, as bin/invert.py does it."""
    field, mask, geometry, weight, sigma, least = cell["field"], cell["mask"], cell["geometry"], cell["weight"], cell["sigma"], 0.0
    if method not in KNOW_THE_ERROR:
        weight, sigma, least = with_remainder(field, mask, geometry, weight, sigma)
    options |= {"least_sigma_ppm": least} if method == "gtv" else {}
    return INVERSIONS[method](field, mask, geometry, weight, sigma, cell["magnitude"], **options)


def judged(method: str, cell: dict, tuned: bool) -> dict[str, float]:
    """Scores of a method, the best of its parameters when tuned."""
    truth, scored, labels = cell["chi"].numpy(), cell["scored"].numpy(), cell["labels"].numpy()
    score = lambda found: scores(found.chi.numpy(), truth, scored, labels)
    start = time.monotonic()
    found = inverted(method, cell)
    seconds = time.monotonic() - start
    best = score(found)
    automatic, coverage = best["nrmse_percent"], float("nan")
    if found.uncertainty is not None:
        error = (found.chi - cell["chi"])[cell["scored"]]
        coverage = 100 * float(((error - error.mean()).abs() < 1.645 * found.uncertainty[cell["scored"]]).float().mean())
    if tuned and TUNED[method]:
        option, name = TUNED[method]
        for factor in FACTORS:
            best = min(best, score(inverted(method, cell, **{option: factor * found.parameters[name]})), key=lambda one: one["nrmse_percent"])
    return {"nrmse": best["nrmse_percent"], "automatic": automatic, "xsim": best["xsim"], "hfen": best["hfen_percent"], "slope": best["region_slope"],
            "coverage": coverage, "seconds": seconds}


def table(rows: list[dict], methods: list[str]) -> str:
    """NRMSE of each cell, then the mean of all scores."""
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    of = {(row["cell"], row["method"]): row for row in rows}
    lines = [f"| | {' | '.join(f'`{m}`' for m in methods)} |", "|---" * (len(methods) + 1) + "|"]
    for cell in cells:
        shown = [f"{float(of[cell, m]['nrmse']):.1f} ({float(of[cell, m]['automatic']):.1f})" if (cell, m) in of else "" for m in methods]
        lines.append(f"| {cell} | {' | '.join(shown)} |")
    lines += ["", "| method | NRMSE, % | automatic, % | XSIM | HFEN, % | slope | covered, % | seconds |", "|---" * 8 + "|"]
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        mean = {name: np.mean([float(row[name]) for row in own]) for name in FIELDS[2:]}
        covered = "" if np.isnan(mean["coverage"]) else f"{mean['coverage']:.0f}"
        lines.append(f"| `{method}` | {mean['nrmse']:.1f} | {mean['automatic']:.1f} | {mean['xsim']:.3f} | {mean['hfen']:.1f} | {mean['slope']:.2f} | {covered} | {mean['seconds']:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Work through the cells that are missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, help="folder of training_seg_17.nii.gz … 20")
    parser.add_argument("--in-vivo", type=Path, help="folder of the brain in vivo")
    parser.add_argument("--geometries", nargs="+", choices=GEOMETRIES, default=list(GEOMETRIES))
    parser.add_argument("--noise", nargs="+", type=float, default=NOISES)
    parser.add_argument("--heads", nargs="+", type=int, choices=HELD_OUT, default=HELD_OUT)
    parser.add_argument("--methods", nargs="+", choices=TUNED, default=list(TUNED))
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "chiflow_realistic.csv", help="CSV file of the cells that are done")
    options = parser.parse_args()
    rows = list(csv.DictReader(options.results.open(encoding="utf8"))) if options.results.is_file() else []
    simulated = [(f"{g}, {n}, head {h}", lambda g=g, n=n, h=h: head_cell(g, n, h, options.labels)) for g in options.geometries for n in options.noise for h in options.heads]
    kinds = [("simulated", simulated if options.labels else []), ("in vivo", [("in vivo", lambda: half_brain(options.in_vivo))] if options.in_vivo else [])]
    for kind, cells in kinds:
        for name, make in cells:
            missing = [m for m in options.methods if not any(row["cell"] == name and row["method"] == m for row in rows)]
            cell = make() if missing else None
            for method in missing:
                rows.append({"cell": name, "method": method} | judged(method, cell, kind == "simulated"))
                print(", ".join(f"{key} {value:.4g}" if isinstance(value, float) else str(value) for key, value in rows[-1].items()), file=sys.stderr, flush=True)
                with options.results.open("w", newline="", encoding="utf8") as file:
                    writer = csv.DictWriter(file, FIELDS)
                    writer.writeheader()
                    writer.writerows(rows)
        wanted = [row for row in rows if row["cell"] in [name for name, _ in cells] and row["method"] in options.methods]
        if wanted:
            print(f"\n{kind}\n\n{table(wanted, options.methods)}")


if __name__ == "__main__":
    sys.exit(main())
