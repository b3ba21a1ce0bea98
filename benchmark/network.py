#!/usr/bin/env python3
"""The network against the best of the iterative inversions, on heads of label maps that training never saw.

    source .venv/bin/activate; python benchmark/network.py --labels FOLDER [--geometries "2 mm" …] [--inputs 0.001 lesions errors …] [--all-heads] [--results FILE]

FOLDER holds SynthSeg's whole-head label maps; heads 17 to 20 are held out. Input is the true local field with white noise (ppm), the same with six
lesions (0.001 ppm), and a field with the errors of real data (0.002 ppm noise; outliers, a harmonic rest of 15 %, anisotropy, a mask one voxel too
small), its noise told right, or as half or twice what it is, and doubted near the mask's surface as bin/invert.py does by default. A cell is one head, geometry and input; each geometry meets all four heads, one at each
noise, with --all-heads all four at each. Iterative methods run at their automatic parameter and at ½ and 2 times it, and the best of these for the
very cell counts; magnitude guides where a method can use it. Every cell is kept in a CSV file as soon as it is done, so the command goes on after
an interruption. Prints markdown tables.
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
from chiflow.core.metrics import scores
from chiflow.invert import INVERSIONS
from chiflow.core.variation.remainder import with_remainder
from chiflow.invert.result import Susceptibility
from chiflow.simulate.anatomy import INDEX, read_head
from chiflow.simulate.paint import LESION
from chiflow.simulate.sample import Sample
from chiflow.simulate.whole import whole_head
from chiflow.train.card import update_card

HELD_OUT = (17, 18, 19, 20)
GEOMETRIES = {  # voxel size in mm, tilt of B0 in degrees about the first axis, extent of a crop in mm
    "2 mm": ((2, 2, 2), 0, None),
    "1 mm": ((1, 1, 1), 0, None),
    "1 mm, 45°": ((1, 1, 1), 45, None),
    "0.8×0.8×2 mm, 25°": ((0.8, 0.8, 2), 25, None),
    "0.6 mm, crop": ((0.6, 0.6, 0.6), 0, 64),
}
NOISES = ("0.0005", "0.001", "0.005", "0.01")
ERRORS = {"outliers": 6, "outlier_size": 3.0, "residue": 0.15, "anisotropy_ppm": 0.01, "mask_error": -1, "noise_spread": 0.3}
TOLD = {"errors": 1.0, "errors, σ/2": 0.5, "errors, 2σ": 2.0}
INPUTS = (*NOISES, "lesions", *TOLD)
GREY = ("caudate", "putamen", "pallidum", "thalamus", "red_nucleus", "substantia_nigra", "dentate")
TUNED = {"tv": "lambda_ppm", "hdqsm": "lambda_ppm", "medi": "lambda_ppm"}
METHODS = ("net", "net, no magnitude", "ictv", "gtv", *TUNED, "fansi", "tkd")
FLOORED = ("gtv",)  # can be told of errors that no misfit shows
KNOW_THE_ERROR = ("net", "ictv")  # of a field map, themselves
FIELDS = ("geometry", "input", "head", "method", "nrmse", "automatic", "hfen", "xsim", "slope", "lesions", "coverage", "seconds")


def sample_of(geometry: str, kind: str, head: int, labels: Path) -> Sample:
    """The head of a cell, on the box of its mask."""
    size, tilt, extent = GEOMETRIES[geometry]
    b0 = (0.0, float(np.sin(np.radians(tilt))), float(np.cos(np.radians(tilt))))
    changes = {"sigma_ppm": float(kind) if kind in NOISES else 0.002 if kind in TOLD else 0.001, "told": TOLD.get(kind, 1.0)}
    changes |= ERRORS if kind in TOLD else {}
    label_map = read_head(labels / f"training_seg_{head:02d}.nii.gz")
    whole = whole_head(label_map, size, b0, head, extent_mm=extent, lesions=6 if kind == "lesions" else 0, **changes)
    box, boxed = mask_box(whole.mask.numpy(), whole.geometry)
    cut = {name: getattr(whole, name)[box].contiguous() for name in ("field", "mask", "weight", "magnitude", "chi", "local", "kinds")}
    return Sample(geometry=boxed, sigma_ppm=whole.sigma_ppm, **cut)


def judged(chi: torch.Tensor, truth: Sample) -> dict[str, float]:
    """Scores of a map; slope over deep-grey regions, and the mean share of χ that is found in lesions of each sign."""
    grey = sum((truth.kinds == INDEX[name]) * INDEX[name] for name in GREY)
    score = scores(chi.numpy(), truth.chi.numpy(), truth.mask.numpy(), grey.numpy())
    found = [float(chi[at].mean() / truth.chi[at].mean()) for at in ((truth.kinds == n) & truth.mask for n in range(LESION, int(truth.kinds.max()) + 1)) if at.any()]
    return {"nrmse": score["nrmse_percent"], "hfen": score["hfen_percent"], "xsim": score["xsim"], "slope": score["region_slope"],
            "lesions": float(np.mean(found)) if found else float("nan")}


def inverted(method: str, truth: Sample, kind: str, **options) -> Susceptibility:
    """What one method makes of a sample."""
    name, guide = method.split(",")[0], None if "no magnitude" in method else truth.magnitude
    weight, sigma, least = truth.weight, truth.sigma_ppm, 0.0
    if kind in TOLD and name not in KNOW_THE_ERROR:
        weight, sigma, least = with_remainder(truth.field, truth.mask, truth.geometry, weight, sigma)
    options |= {"least_sigma_ppm": least} if name in FLOORED else {}
    return INVERSIONS[name](truth.field, truth.mask, truth.geometry, weight, sigma, guide, **options)


def cell(method: str, truth: Sample, kind: str) -> dict[str, float]:
    """One method on one sample, the best of its parameters."""
    name = method.split(",")[0]
    run = lambda **options: inverted(method, truth, kind, **options)
    start = time.monotonic()
    found = run()
    seconds = time.monotonic() - start
    best = judged(found.chi, truth)
    automatic = best["nrmse"]
    for factor in (0.5, 2.0) if name in TUNED else ():
        best = min(best, judged(run(**{TUNED[name]: factor * found.parameters["LambdaPpm"]}).chi, truth), key=lambda score: score["nrmse"])
    coverage = float("nan")
    if found.uncertainty is not None:
        error = (found.chi - truth.chi)[truth.mask]
        coverage = float(((error - error.mean()).abs() < 1.645 * found.uncertainty[truth.mask]).float().mean())
    return best | {"automatic": automatic, "coverage": coverage, "seconds": seconds}


def table(rows: list[dict]) -> str:
    """NRMSE of each cell, then mean and worst of all scores."""
    cells = list(dict.fromkeys((r["geometry"], r["input"], r["head"]) for r in rows))
    methods = [m for m in METHODS if any(r["method"] == m for r in rows)]
    of = {(r["geometry"], r["input"], r["head"], r["method"]): r for r in rows}
    lines = ["| head | input | " + " | ".join(f"`{m}`" for m in methods) + " | net / best of the others | covered, % |", "|---" * (len(methods) + 4) + "|"]
    for key in cells:
        values = {m: float(of[*key, m]["nrmse"]) for m in methods if (*key, m) in of}
        rivals = [values[m] for m in TUNED if m in values]
        ratio = f"{values['net'] / min(rivals):.2f}" if "net" in values and rivals else ""
        covered = f"{100 * float(of[*key, 'net']['coverage']):.0f}" if "net" in values else ""
        shown = " | ".join(f"{values[m]:.1f}" if m in values else "" for m in methods)
        lines.append(f"| {key[0]}, head {key[2]} | {key[1]} | {shown} | {ratio} | {covered} |")
    lines += ["", "| method | NRMSE, % mean (worst) | HFEN, % | XSIM | slope | χ found in lesions | seconds at 1 mm |", "|---" * 7 + "|"]
    for method in methods:
        own = [r for r in rows if r["method"] == method]
        numbers = {f: np.array([float(r[f]) for r in own]) for f in ("nrmse", "hfen", "xsim", "slope", "lesions")}
        seconds = [float(r["seconds"]) for r in own if r["geometry"] == "1 mm"]
        lesions = numbers["lesions"][np.isfinite(numbers["lesions"])]
        lines.append(f"| `{method}` | {numbers['nrmse'].mean():.1f} ({numbers['nrmse'].max():.1f}) | {numbers['hfen'].mean():.1f} | {numbers['xsim'].mean():.3f} | "
                     f"{numbers['slope'].min():.2f} … {numbers['slope'].max():.2f} | {f'{lesions.mean():.2f}' if lesions.size else ''} | "
                     f"{f'{np.median(seconds):.0f}' if seconds else ''} |")
    return "\n".join(lines)


def scores_of(rows: list[dict]) -> list[dict]:
    """The network's scores in each cell, for its card."""
    names = ("nrmse", "hfen", "xsim", "slope", "lesions", "coverage")
    own = [row for row in rows if row["method"] == "net"]
    return [{"Geometry": r["geometry"], "Input": r["input"], "Head": int(r["head"])}
            | {name.title(): round(float(r[name]), 4) for name in names if np.isfinite(float(r[name]))} for r in own]


def main() -> None:
    """Work through the cells that are missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="folder of training_seg_17.nii.gz … 20")
    parser.add_argument("--geometries", nargs="+", choices=GEOMETRIES, default=list(GEOMETRIES))
    parser.add_argument("--inputs", nargs="+", choices=INPUTS, default=list(INPUTS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--all-heads", action="store_true")
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "chiflow_network.csv", help="CSV file of the cells that are done")
    parser.add_argument("--card", type=Path, help="card of the weights to write the network's scores into")
    options = parser.parse_args()
    rows = list(csv.DictReader(options.results.open(encoding="utf8"))) if options.results.is_file() else []
    heads = [str(head) for head in HELD_OUT]
    for geometry in options.geometries:
        for kind in options.inputs:
            for head in heads if options.all_heads else [heads[INPUTS.index(kind) % len(heads)]]:
                done = {r["method"] for r in rows if (r["geometry"], r["input"], r["head"]) == (geometry, kind, head)}
                missing = [method for method in options.methods if method not in done]
                truth = sample_of(geometry, kind, int(head), options.labels) if missing else None
                for method in missing:
                    rows.append({"geometry": geometry, "input": kind, "head": head, "method": method} | cell(method, truth, kind))
                    print(", ".join(f"{k} {v:.4g}" if isinstance(v, float) else str(v) for k, v in rows[-1].items()), file=sys.stderr, flush=True)
                    with options.results.open("w", newline="", encoding="utf8") as file:
                        writer = csv.DictWriter(file, FIELDS)
                        writer.writeheader()
                        writer.writerows(rows)
    wanted = [r for r in rows if r["geometry"] in options.geometries and r["input"] in options.inputs and r["method"] in options.methods]
    print(table(wanted))
    if options.card:
        update_card(options.card, Scores=scores_of(wanted))


if __name__ == "__main__":
    sys.exit(main())
