#!/usr/bin/env python3
"""The network beside the truth, TV and TKD on held-out heads, with what each has wrong: one PNG.

    source .venv/bin/activate; python benchmark/network_picture.py --labels FOLDER [--out docs/network.png]

Heads and fields are cells of benchmark/network.py.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import network
import numpy as np
import torch

from chiflow.simulate.sample import Sample

CASES = (("1 mm", "0.005", 19), ("0.8×0.8×2 mm, 25°", "errors", 18))
COLUMNS = ("truth", "net", "tv", "tkd")
NAMES = {"truth": "truth", "net": "network", "tv": "TV", "tkd": "TKD"}
WINDOW_PPM = 0.12
CONTRAST = {"cmap": "gray", "vmin": -WINDOW_PPM, "vmax": WINDOW_PPM}


def maps_of(case: tuple[str, str, int], labels: Path) -> tuple[Sample, dict[str, torch.Tensor]]:
    """Sample and χ (X, Y, Z) in ppm of each column."""
    geometry, kind, head = case
    truth = network.sample_of(geometry, kind, head, labels)
    found = {method: network.inverted(method, truth, kind).chi for method in COLUMNS[1:]}
    centred = {method: (chi - chi[truth.mask].mean()) * truth.mask for method, chi in found.items()}
    return truth, {"truth": truth.chi} | centred


def slice_of(volume: torch.Tensor, truth: Sample) -> np.ndarray:
    """The axial slice through the middle of the deep grey matter, anterior up."""
    deep = sum(truth.kinds == network.INDEX[name] for name in ("putamen", "pallidum")) > 0
    middle = int(torch.nonzero(deep)[:, 2].float().mean()) if deep.any() else volume.shape[2] // 2
    return volume[:, :, middle].numpy().T[::-1]


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="folder of training_seg_17.nii.gz … 20")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "docs" / "network.png")
    options = parser.parse_args()
    figure, axes = plt.subplots(2 * len(CASES), len(COLUMNS), figsize=(2.3 * len(COLUMNS), 5.6 * len(CASES)), layout="constrained", facecolor="white")
    for row, case in enumerate(CASES):
        truth, maps = maps_of(case, options.labels)
        size = truth.geometry.voxel_size
        for column, name in enumerate(COLUMNS):
            error = maps[name] - maps["truth"]
            percent = 100 * float(error[truth.mask].norm() / maps["truth"][truth.mask].norm())
            upper, lower = axes[2 * row, column], axes[2 * row + 1, column]
            upper.imshow(slice_of(maps[name], truth), aspect=size[1] / size[0], **CONTRAST)
            upper.set_title(NAMES[name] if name == "truth" else f"{NAMES[name]}, NRMSE {percent:.0f} %", fontsize=9)
            if name == "truth":
                lower.imshow(slice_of(truth.magnitude * truth.mask, truth), aspect=size[1] / size[0], cmap="gray")
                lower.set_title("magnitude", fontsize=9)
            else:
                lower.imshow(slice_of(error, truth), aspect=size[1] / size[0], **CONTRAST)
                lower.set_title(f"{NAMES[name]} − truth", fontsize=9)
        axes[2 * row, 0].set_ylabel(f"{case[0]}, {case[1]}", fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    figure.supxlabel(f"χ from −{WINDOW_PPM} (black) to {WINDOW_PPM} ppm (white)", fontsize=9)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=90)


if __name__ == "__main__":
    sys.exit(main())
