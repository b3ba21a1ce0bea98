#!/usr/bin/env python3
"""Local fields against the truth, on simulated whole heads at SNR 60: every background removal.

    source .venv/bin/activate; python benchmark/background.py [--heads "1 mm" …] [--methods vsharp …] [--folder FOLDER]

NRMSE in % in the mask that the method returns / in its core 9 mm inside, from the true total field (told a noise of 0.1 ppb) and from the one measured
from raw phase, with its noise map; share of the mask kept; what is left of the field of outside sources alone, % of its energy in the core;
seconds and the process's peak memory. Prints one markdown table.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from heads import PROTOCOLS, BenchmarkHead, benchmark_head

from chiflow.background import BACKGROUND_METHODS
from chiflow.core.metrics import nrmse

HEADS = ("1 mm", "0.8×0.8×2 mm, 25°")
QUIET_PPM = 1e-4


def errors(local, head: BenchmarkHead) -> str:
    """NRMSE in the mask of a local field / in its core."""
    masks = (local.mask.numpy(), (local.mask & head.core).numpy())
    return " / ".join(f"{nrmse(local.field.numpy(), head.local.numpy(), mask):.1f}" for mask in masks)


def row(method: str, head: BenchmarkHead) -> str:
    """The cells of one method on one head."""
    remove = BACKGROUND_METHODS[method]
    start = time.monotonic()
    measured = remove(head.measured, head.mask, head.geometry, head.weight, head.sigma_ppm, head.magnitude)
    seconds = time.monotonic() - start
    everywhere = head.mask.float()
    true = remove(head.total, head.mask, head.geometry, everywhere, QUIET_PPM, head.magnitude)
    outside = head.total - head.local
    left = remove(outside, head.mask, head.geometry, everywhere, QUIET_PPM, head.magnitude)
    core = left.mask & head.core
    energy = 100 * float(left.field[core].square().sum() / (outside[core] - outside[core].mean()).square().sum())
    kept = 100 * float(measured.mask.sum() / head.mask.sum())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"{errors(true, head)} | {errors(measured, head)} | {kept:.1f} | {energy:.4f} | {seconds:.1f} | {memory:.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", nargs="+", choices=PROTOCOLS, default=HEADS)
    parser.add_argument("--methods", nargs="+", choices=BACKGROUND_METHODS, default=list(BACKGROUND_METHODS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "chiflow_heads", help="where the simulated heads are kept")
    options = parser.parse_args()
    print("| head | method | from the true field | from the measured field | mask kept, % | outside left, % | seconds | GiB |\n|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.heads:
        head = benchmark_head(name, options.folder)
        for method in options.methods:
            print(f"| {name} | `{method}` | {row(method, head)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
