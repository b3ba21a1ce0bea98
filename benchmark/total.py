#!/usr/bin/env python3
"""From the total field of whole heads that training never saw to the local field and χ: every background removal, the chains after them, and the network.

    source .venv/bin/activate; python benchmark/total.py --labels FOLDER [--geometries "2 mm" …] [--heads 17 …] [--weights total.safetensors] [--after fansi net] [--kept FOLDER]

FOLDER holds SynthSeg's whole-head label maps; heads 17 to 20 are held out. The total field is that of tissue, bone and air with white noise of 0.001 ppm, no
shim. Three markdown tables. Local field: NRMSE in % of the local field in the whole mask / in the core 9 mm inside; of a method that loses part of the mask the error in what
is left, and after the colon that of the first column there; at the best of its parameters, chosen on the truth (in brackets at its defaults). Rim: root mean square error in ppb by
the depth below the mask's surface, mean over the heads, at the defaults. χ: NRMSE in % / XSIM / HFEN in % in the whole mask, of chains of a background removal and an inversion and of
the network in one step. Maps are kept in a folder as soon as they are there.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from network import HELD_OUT

from chiflow.background import BACKGROUND_METHODS
from chiflow.core.box import mask_box
from chiflow.core.depth import depth_mm
from chiflow.core.metrics import hfen, nrmse, xsim
from chiflow.core.total.scale import total_fit, total_result
from chiflow.core.total.trained import loaded
from chiflow.core.variation.remainder import with_remainder
from chiflow.invert import INVERSIONS
from chiflow.invert.gtv import gtv
from chiflow.invert.ictv import ictv
from chiflow.invert.net import net
from chiflow.simulate.anatomy import read_head
from chiflow.simulate.sample import made
from chiflow.simulate.surroundings import background_field, read_surroundings
from chiflow.simulate.whole import whole_recipe

GEOMETRIES = {"2 mm": ((2, 2, 2), 0), "1.5 mm, 45°": ((1.5, 1.5, 1.5), 45), "0.8×0.8×2 mm, 25°": ((0.8, 0.8, 2), 25), "1 mm": ((1, 1, 1), 0)}
CPU = torch.device("cpu")
SIGMA_PPM, CORE_MM = 0.001, 9.0
BANDS_MM = (0, 2.1, 4.1, 8, 15, 99)
LONG = {"iterations": 200, "tolerance": 3e-4}
GRIDS = {  # options of each method besides its defaults
    "informed": [],
    "joint": [{"inside": i, "ridge": r} | LONG for i, r in ((0.01, 0.0007), (0.005, 0.0003), (0.003, 0.0003))],
    "pdf": [{"ridge": 0.01}], "vsharp": [{"largest_mm": 12.0}], "lbv": [{"degree": 8}], "resharp": [{"radius_mm": 8.0}], "ismv": [],
}
CHAINS = ("joint", "joint, tuned", "informed", "net")


def scan(geometry: str, number: int, labels: Path) -> dict:
    """The head of a cell on the box of its mask: field, local, chi, mask, weight, magnitude and its geometry."""
    size, tilt = GEOMETRIES[geometry]
    path = labels / f"training_seg_{number:02d}.nii.gz"
    head = read_head(path)
    recipe = whole_recipe(head, size, (0.0, float(np.sin(np.radians(tilt))), float(np.cos(np.radians(tilt)))), number, sigma_ppm=SIGMA_PPM)
    whole = made(recipe, [head])
    volumes = {"field": (whole.field + background_field(read_surroundings(path), head, recipe)) * whole.mask, "local": whole.local * whole.mask,
               "chi": whole.chi * whole.mask, "mask": whole.mask, "weight": whole.weight, "magnitude": whole.magnitude}
    box, boxed = mask_box(whole.mask.numpy(), whole.geometry)
    return {name: volume[box].contiguous() for name, volume in volumes.items()} | {"geometry": boxed}


def kept(path: Path, compute: Callable[[], tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
    """Tensors from a file, computed when it is not there."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(compute(), path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
        print(path, file=sys.stderr, flush=True)
    return torch.load(path, weights_only=True)


def known(head: dict) -> tuple:
    """How every method begins."""
    return head["field"], head["mask"], head["geometry"], head["weight"], SIGMA_PPM


def local_fields(head: dict, folder: Path, weights: Path | None) -> dict[str, tuple[torch.Tensor, ...]]:
    """Local field, mask and, of the network, χ, by name: each method at its defaults, and as `NAME, tuned` at the best of its options."""
    fields, told = {}, known(head)
    if weights:
        by_net = lambda: (lambda found: (found.local, head["mask"], found.chi))(total_result(total_fit(*told, head["magnitude"]), loaded(weights, CPU)[0]))
        fields["net"] = kept(folder / f"net_{weights.stem}.pt", by_net)
    for name, grid in GRIDS.items():
        run = lambda options: (lambda found: (found.field, found.mask))(BACKGROUND_METHODS[name](*told, head["magnitude"], **options))
        found = [kept(folder / f"{name}_{number}.pt", lambda options=options: run(options)) for number, options in enumerate(({}, *grid))]
        fields[name] = found[0]
        if grid:
            fields[f"{name}, tuned"] = min(found, key=lambda one: error(one[0], head, one[1]))
    fields["informed, no magnitude"] = kept(folder / "unguided.pt", lambda: (total_result(total_fit(*told, None)).local, head["mask"]))
    return fields


def error(local: torch.Tensor, head: dict, mask: torch.Tensor) -> float:
    """NRMSE in % of a local field in a mask."""
    return nrmse(local.numpy(), head["local"].numpy(), mask.numpy())


def local_cells(head: dict, fields: dict) -> dict[str, str]:
    """Whole mask / core of the methods that keep the mask; of the others the error in theirs, the share of the mask, and the error of ours there. Defaults in brackets."""
    core, ours = depth_mm(head["mask"], head["geometry"]) > CORE_MM, next(iter(fields.values()))[0]
    cells = {}
    for name, (local, mask, *_) in fields.items():
        share = float(mask.sum() / head["mask"].sum())
        text = f"{error(local, head, mask):.1f} / {error(local, head, mask & core):.1f}" if share > 0.999 else f"{error(local, head, mask):.1f} in {100 * share:.0f} %: {error(ours, head, mask):.1f}"
        base = name.removesuffix(", tuned")
        cells[base] = text if base == name else f"{text} ({error(fields[base][0], head, fields[base][1]):.1f})"
    return cells


def rim(head: dict, fields: dict) -> dict[str, np.ndarray]:
    """Rms error in ppb by depth of each method at its defaults; NaN where it has lost the band."""
    depth = depth_mm(head["mask"], head["geometry"])
    bands = [head["mask"] & (depth > low) & (depth <= high) for low, high in zip(BANDS_MM, BANDS_MM[1:])]
    rms = lambda local, voxels: 1e3 * float((local - head["local"])[voxels].square().mean() ** 0.5)
    return {name: np.array([rms(found[0], band & found[1]) for band in bands]) for name, found in fields.items() if ", tuned" not in name}


def inverted(head: dict, local: torch.Tensor, method: str) -> torch.Tensor:
    """χ (X, Y, Z) of a local field as the stage INVERT finds it."""
    weight, sigma = known(head)[-2:]
    options = {}
    if INVERSIONS[method] not in (net, ictv):  # they know the error of a field map themselves
        weight, sigma, least = with_remainder(local, *known(head)[1:])
        options = {"least_sigma_ppm": least} if INVERSIONS[method] is gtv else {}
    return INVERSIONS[method](local, head["mask"], head["geometry"], weight, sigma, head["magnitude"], **options).chi


def chi_cells(head: dict, fields: dict, folder: Path, weights: Path | None, after: list[str]) -> dict[str, str]:
    """NRMSE / XSIM / HFEN of each chain, and of the network in one step."""
    maps = {}
    for name in (name for name in CHAINS if name in fields):
        stem = name.replace(", ", "_") if name != "net" else f"net_{weights.stem}"
        for method in after:
            maps[f"{name} → {method}"] = kept(folder / f"chi_{stem}_{method}.pt", lambda: (inverted(head, fields[name][0], method),))[0]
    if weights:
        maps["one step"] = fields["net"][2]
    truth, mask = head["chi"].numpy(), head["mask"].numpy()
    return {name: f"{nrmse(chi.numpy(), truth, mask):.1f} / {xsim(chi.numpy(), truth, mask):.3f} / {hfen(chi.numpy(), truth, mask):.1f}" for name, chi in maps.items()}


def table(rows: dict[str, dict[str, str]]) -> str:
    """Markdown of cells by row and column."""
    names = list(next(iter(rows.values())))
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    return "\n".join(lines + [f"| {key} | {' | '.join(cells[name] for name in names)} |" for key, cells in rows.items()])


def main() -> None:
    """Make the maps that are missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="folder of training_seg_17.nii.gz … 20")
    parser.add_argument("--geometries", nargs="+", choices=GEOMETRIES, default=list(GEOMETRIES))
    parser.add_argument("--heads", nargs="+", type=int, choices=HELD_OUT, default=list(HELD_OUT))
    parser.add_argument("--weights", type=Path, help="of the network; without it the tables are those of the methods without one")
    parser.add_argument("--after", nargs="*", choices=INVERSIONS, default=[], help="inversions after the background removals, for the table of χ")
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "chiflow_total", help="folder for maps that are done")
    options = parser.parse_args()
    local, chi, rims = {}, {}, {}
    for geometry in options.geometries:
        found = []
        for number in options.heads:
            key = f"{geometry}, head {number}"
            folder, head = options.kept / key.replace(" ", "_"), scan(geometry, number, options.labels)
            fields = local_fields(head, folder, options.weights)
            local[key], chi[key] = local_cells(head, fields), chi_cells(head, fields, folder, options.weights, options.after)
            found.append(rim(head, fields))
        mean = {name: np.mean([one[name] for one in found], axis=0) for name in found[0]}
        bands = [f"{low}–{high} mm" for low, high in zip(BANDS_MM, BANDS_MM[1:])]
        rims |= {f"{geometry}, `{name}`": {band: "lost" if np.isnan(v) else f"{v:.2f}" for band, v in zip(bands, values)} for name, values in mean.items()}
    print("\n\n".join(table(rows) for rows in (local, rims, chi) if any(rows.values())))


if __name__ == "__main__":
    sys.exit(main())
