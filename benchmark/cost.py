#!/usr/bin/env python3
"""Seconds, share of them in FFTs, and peak memory of background removals and inversions over voxel sizes.

    source .venv/bin/activate; python benchmark/cost.py [--spacing 2 1.5 1 0.8] [--methods joint tv …] [--folder FOLDER]

One 1 mm head, its fields interpolated to each voxel size; each call in a process of its own. The last column is the time per voxel of the mask's box
and per log2 of it, in ns: constant when the cost grows as N log N. Prints one markdown table.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from heads import benchmark_head

from chiflow.background import BACKGROUND_METHODS
from chiflow.core.geometry import Geometry
from chiflow.invert import INVERSIONS, TOTAL_FIELD_INVERSIONS

METHODS = ("informed", "joint", "vsharp", "pdf", "resharp", "tkd", "tv", "hdqsm", "medi", "fansi")
TRANSFORMS = ("fft", "ifft", "rfft", "irfft", "rfftn", "irfftn")


def measured(method: str, spacing: float, folder: Path) -> dict:
    """Seconds, seconds in FFTs, GiB and voxels of one call."""
    head = benchmark_head("1 mm", folder)
    size = [round(n / spacing) for n in head.geometry.shape]
    zoom = lambda volume, mode: torch.nn.functional.interpolate(volume[None, None].float(), size, mode=mode)[0, 0]
    mask = zoom(head.mask, "nearest") > 0
    weight, magnitude = (zoom(volume, "trilinear") for volume in (head.weight, head.magnitude))
    field = zoom(head.measured if method in BACKGROUND_METHODS or method in TOTAL_FIELD_INVERSIONS else head.local, "trilinear") * mask
    field += head.sigma_ppm * torch.randn(size, generator=torch.Generator().manual_seed(1)) * mask
    spent = timed_transforms()
    run = (BACKGROUND_METHODS | INVERSIONS | TOTAL_FIELD_INVERSIONS)[method]
    start = time.monotonic()
    run(field, mask, Geometry(tuple(size), (spacing,) * 3), weight * mask, head.sigma_ppm, magnitude)
    seconds = time.monotonic() - start
    return {"seconds": seconds, "fft": sum(spent), "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "voxels": math.prod(size)}


def timed_transforms() -> list[float]:
    """A list to which every FFT from now on adds its seconds."""
    spent = []

    def timed(transform):
        def call(*arguments, **options):
            start = time.monotonic()
            result = transform(*arguments, **options)
            spent.append(time.monotonic() - start)
            return result

        return call

    for name in TRANSFORMS:
        setattr(torch.fft, name, timed(getattr(torch.fft, name)))
    return spent


def main() -> None:
    """Print the table, or one measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spacing", nargs="+", type=float, default=(2.0, 1.5, 1.0, 0.8), help="voxel edge in mm")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "chiflow_heads", help="where the simulated heads are kept")
    parser.add_argument("--one", action="store_true", help="one spacing and method, in this process, as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.methods[0], options.spacing[0], options.folder)))
        return
    print("| method | voxel, mm | seconds | in FFTs, % | GiB | ns per voxel and log2 |\n|---|---|---|---|---|---|", flush=True)
    for method in options.methods:
        for spacing in options.spacing:
            command = [sys.executable, __file__, "--one", "--methods", method, "--spacing", str(spacing), "--folder", str(options.folder)]
            cost = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            steady = cost["seconds"] * 1e9 / cost["voxels"] / math.log2(cost["voxels"])
            share = 100 * cost["fft"] / cost["seconds"]
            print(f"| `{method}` | {spacing:g} | {cost['seconds']:.1f} | {share:.0f} | {cost['gib']:.1f} | {steady:.0f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
