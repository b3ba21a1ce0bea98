#!/usr/bin/env python3
"""The network beside the truth, what it corrects and TV on held-out heads like scans in vivo, with what each has wrong: one PNG.

    source .venv/bin/activate; python benchmark/network_picture.py --labels FOLDER [--out docs/network.png]

Heads and fields are cells of benchmark/realistic.py.
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import realistic
import torch

CASES = (("1.5 mm, 45°", 0.004, 19), ("1×1×2 mm, 25°", 0.004, 18))
COLUMNS = ("truth", "net", "ictv", "tv")
NAMES = {"truth": "truth", "net": "network", "ictv": "structure and texture", "tv": "TV"}
WINDOW_PPM = 0.12
CONTRAST = {"cmap": "gray", "vmin": -WINDOW_PPM, "vmax": WINDOW_PPM}


def maps_of(case: tuple[str, float, int], labels: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """A cell and χ (X, Y, Z) in ppm of each column."""
    geometry, noise, head = case
    cell = realistic.head_cell(geometry, noise, head, labels)
    mask = cell["mask"]
    found = {method: realistic.inverted(method, cell).chi for method in COLUMNS[1:]}
    return cell, {"truth": cell["chi"]} | {method: (chi - chi[mask].mean()) * mask for method, chi in found.items()}


def slice_of(volume: torch.Tensor, cell: dict) -> np.ndarray:
    """The axial slice through the middle of the deep grey matter, anterior up."""
    deep = sum(cell["labels"] == realistic.INDEX[name] for name in ("putamen", "pallidum")) > 0
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
        cell, maps = maps_of(case, options.labels)
        size, mask = cell["geometry"].voxel_size, cell["mask"]
        for column, name in enumerate(COLUMNS):
            error = maps[name] - maps["truth"]
            percent = 100 * float(error[mask].norm() / maps["truth"][mask].norm())
            upper, lower = axes[2 * row, column], axes[2 * row + 1, column]
            upper.imshow(slice_of(maps[name], cell), aspect=size[1] / size[0], **CONTRAST)
            upper.set_title(NAMES[name] if name == "truth" else f"{NAMES[name]}, NRMSE {percent:.0f} %", fontsize=9)
            if name == "truth":
                lower.imshow(slice_of(cell["magnitude"] * mask, cell), aspect=size[1] / size[0], cmap="gray")
                lower.set_title("magnitude", fontsize=9)
            else:
                lower.imshow(slice_of(error, cell), aspect=size[1] / size[0], **CONTRAST)
                lower.set_title(f"{NAMES[name]} − truth", fontsize=9)
        axes[2 * row, 0].set_ylabel(f"{case[0]}, {case[1]} ppm noise", fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    figure.supxlabel(f"χ from −{WINDOW_PPM} (black) to {WINDOW_PPM} ppm (white)", fontsize=9)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=90)


if __name__ == "__main__":
    sys.exit(main())
