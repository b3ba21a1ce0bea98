#!/usr/bin/env python3
"""χ maps against the truth, on simulated whole heads: every inversion at its automatic and at its best tuned parameter.

    source .venv/bin/activate; python benchmark/inversion.py [--heads "1 mm" …] [--methods tv …] [--noise 0.001 …] [--tune] [--background informed] [--folder FOLDER]

Input is the true local field with white noise (ppm), the same with six lesions (`lesions`: 0.4, 1.5 and −1 ppm, 0.001 ppm noise), and the local field of
a background removal of the pipeline from raw phase (`own`; total field for those that skip it). NRMSE in % (in brackets at the parameter
that is best for this very case, of ¼, ½, 1, 2 and 4 times the automatic one, with --tune), XSIM, HFEN in %, slope over deep-grey regions, seconds.
Prints one markdown table.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from heads import PROTOCOLS, BenchmarkHead, benchmark_head

from chiflow.background import BACKGROUND_METHODS
from chiflow.core.dipole import DipoleOperator
from chiflow.core.metrics import nrmse, scores
from chiflow.invert import INVERSIONS, TOTAL_FIELD_INVERSIONS
from chiflow.core.variation.remainder import with_remainder
from chiflow.phantom.tissues import TISSUES

HEADS = ("1 mm", "1.2 mm, 45°", "0.8×0.8×2 mm, 25°", "2 mm")
NOISES = (0.0005, 0.001, 0.005, 0.01)
PARAMETERS = {"gtv": "lambda_ppm", "tv": "lambda_ppm", "hdqsm": "lambda_ppm", "medi": "lambda_ppm", "fansi": "lambda_ppm", "tfi": "lambda_ppm", "tkd": "threshold",
              "l2": "lambda_"}
ALL = INVERSIONS | TOTAL_FIELD_INVERSIONS
FACTORS = (0.25, 0.5, 2.0, 4.0)
DEEP_GREY = ("caudate", "putamen", "pallidum", "thalamus", "red_nucleus", "substantia_nigra", "dentate")
LESIONS_PPM, LESION_MM = (0.4, 1.5, -1.0, 0.4, 1.5, -1.0), 3.0


def with_lesions(head: BenchmarkHead) -> BenchmarkHead:
    """The head with spheres of blood and calcium in its core."""
    places = torch.nonzero(head.core)[torch.randperm(int(head.core.sum()), generator=torch.Generator().manual_seed(3))[: len(LESIONS_PPM)]]
    axes = [torch.arange(n) * v for n, v in zip(head.geometry.shape, head.geometry.voxel_size)]
    grid = torch.meshgrid(*axes, indexing="ij")
    added = torch.zeros_like(head.chi)
    for place, chi in zip(places, LESIONS_PPM):
        centre = place * torch.tensor(head.geometry.voxel_size)
        added[sum((g - c) ** 2 for g, c in zip(grid, centre)) < LESION_MM**2] = chi
    added = (added - added[head.mask].mean()) * head.mask
    return replace(head, chi=head.chi + added, local=head.local + DipoleOperator(head.geometry, padding=2).forward(added) * head.mask)


def noisy(head: BenchmarkHead, sigma: float) -> tuple:
    """Field, mask, weight, σ and least σ of the true local field with white noise."""
    noise = sigma * torch.randn(head.local.shape, generator=torch.Generator().manual_seed(1))
    return (head.local + noise) * head.mask, head.mask, head.mask.float(), sigma, 0.0


def own(head: BenchmarkHead, method: str, background: str) -> tuple:
    """Field, mask, weight, σ and least σ as the pipeline has them in INVERT."""
    if method in TOTAL_FIELD_INVERSIONS:
        return head.measured, head.mask, head.weight, head.sigma_ppm, 0.0
    local = BACKGROUND_METHODS[background](head.measured, head.mask, head.geometry, head.weight, head.sigma_ppm, head.magnitude)
    return local.field, local.mask, *with_remainder(local.field, local.mask, head.geometry, head.weight * local.mask, head.sigma_ppm)


def row(method: str, head: BenchmarkHead, case: tuple, tune: bool) -> str:
    """The cells of one method in one case."""
    field, mask, weight, sigma, least = case
    if method in ("net", "ictv") and least:  # they know the error of a field map themselves
        weight, sigma = head.weight * mask, head.sigma_ppm
    invert = ALL[method]
    known = {"least_sigma_ppm": least} if method == "gtv" else {}
    run = lambda **options: invert(field, mask, head.geometry, weight, sigma, head.magnitude, **known, **options)
    start = time.monotonic()
    found = run()
    seconds = time.monotonic() - start
    grey = sum((head.labels == TISSUES[name].label) * TISSUES[name].label for name in DEEP_GREY)
    score = scores(found.chi.numpy(), head.chi.numpy(), mask.numpy(), grey.numpy())
    best = score["nrmse_percent"]
    if tune and method in PARAMETERS:
        chosen = found.parameters[PARAMETERS[method].title().replace("_", "")]
        tuned = (run(**{PARAMETERS[method]: factor * chosen}).chi.numpy() for factor in FACTORS)
        best = min([best, *(nrmse(chi, head.chi.numpy(), mask.numpy()) for chi in tuned)])
    bracket = f" ({best:.1f})" if tune and method in PARAMETERS else ""
    cells = f"{score['nrmse_percent']:.1f}{bracket} | {score['xsim']:.3f} | {score['hfen_percent']:.1f} | {score['region_slope']:.2f}"
    return f"{cells} | {seconds:.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", nargs="+", choices=PROTOCOLS, default=HEADS)
    parser.add_argument("--methods", nargs="+", choices=ALL, default=list(ALL))
    parser.add_argument("--noise", nargs="+", default=[*map(str, NOISES), "lesions", "own"], help="ppm of white noise, lesions, own")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--background", choices=BACKGROUND_METHODS, default="informed", help="whose local field `own` is")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "chiflow_heads", help="where the simulated heads are kept")
    options = parser.parse_args()
    print("| head | input | method | NRMSE, % | XSIM | HFEN, % | slope | seconds |\n|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.heads:
        head = benchmark_head(name, options.folder)
        for kind in options.noise:
            seen = with_lesions(head) if kind == "lesions" else head
            for method in options.methods:
                if method in TOTAL_FIELD_INVERSIONS and kind != "own":
                    continue
                case = own(seen, method, options.background) if kind == "own" else noisy(seen, 0.001 if kind == "lesions" else float(kind))
                print(f"| {name} | {kind} | `{method}` | {row(method, seen, case, options.tune)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
