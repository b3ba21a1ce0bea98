#!/usr/bin/env python3
"""How like a brain in vivo simulated ones are: figures of χ, of its magnitude and of what a field has beside
D χ, as one markdown table.

    source .venv/bin/activate; python benchmark/realism.py [--seeds 1 2 3] [--labels FOLDER] [--samples 20]
    [--chi F --field F --mask F …]

Columns: in vivo (see bin/chiflow/simulate/realism.py); a map of yours; heads of the phantom; heads 17 to 20
of SynthSeg's label maps, which training
never saw, a part round the deep grey matter; training samples, their median and their quartiles. The field of
a phantom is that of its raw phase, true
wraps, offset and background known.
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bin"))

from chiflow.core.geometry import geometry_of
from chiflow.core.nifti import load, load_like, load_mask
from chiflow.core.units import TWO_PI
from chiflow.phantom.scan import InVivo, Protocol, Scan, simulate
from chiflow.simulate.anatomy import LabelHead, read_head
from chiflow.simulate.brain import Appearance
from chiflow.simulate.realism import IN_VIVO, IN_VIVO_DEPTH, IN_VIVO_ERROR, model_error, statistics
from chiflow.simulate.realistic import RealRecipe, drawn_real, made_real, typical_ppm
from chiflow.simulate.sample import Sample
from chiflow.simulate.whole import whole_recipe

HELD_OUT = (17, 18, 19, 20)
HEAD_SIGMA_PPM, HEAD_RESIDUE = 0.002, 0.1
EXTENT_MM = (180, 210, 165)  # of a whole head
TIMES_S = (0.004, 0.010, 0.016, 0.022)


def figures(chi: np.ndarray, field: np.ndarray | None, mask: np.ndarray, geometry, magnitude: np.ndarray | None, known: np.ndarray | None = None) -> dict:
    """All figures by the name of their row."""
    found = statistics(chi, mask, geometry, magnitude, known)
    if field is not None and known is None:
        by_k, by_depth = model_error(field, chi, mask, geometry)
        found |= {row_of_k(k): value for k, value in by_k.items()} | {row_of_depth(depth): value for depth, value in by_depth.items()}
    return found


def row_of_k(k: float) -> str:
    """Name of a row of the error by k."""
    return f"error over D χ at {k} per mm"


def row_of_depth(depth: str) -> str:
    """Name of a row of the error by depth."""
    return f"rms error, {depth}, ppm"


def of_files(options: Namespace) -> dict:
    """Figures of the files given."""
    image = load(options.chi)
    read = lambda path: None if path is None else load_like(path, image).data
    known = None if options.known is None else load_mask(options.known, image)
    mask = load_mask(options.mask, image)
    return figures(image.data, read(options.field), mask, geometry_of(image.affine, image.data.shape), read(options.magnitude), known)


def of_phantom(seed: int, voxel_mm: float, slab_mm: list[float], way: InVivo | None) -> dict:
    """Figures of a head of the phantom."""
    protocol = Protocol(tuple(int(extent / voxel_mm) // 2 * 2 for extent in slab_mm), (voxel_mm,) * 3, echo_times_s=TIMES_S, in_vivo=way)
    scan = simulate(protocol, seed)
    geometry = geometry_of(scan.grid.affine, scan.grid.shape)
    return figures(scan.truth["chi"], measured_ppm(scan), scan.truth["mask"], geometry, np.sqrt((scan.magnitude**2).sum(-1)))


def measured_ppm(scan: Scan) -> np.ndarray:
    """Local field (X, Y, Z) in ppm that a weighted line through the phase of all echoes finds; wraps, offset
    and background are known.
    """
    times = np.array(scan.protocol.echo_times_s, np.float32)
    phase = scan.phase + np.float32(TWO_PI) * np.round((scan.truth["phase"] - scan.phase) / np.float32(TWO_PI)) - scan.truth["offset"][..., None]
    weight = scan.magnitude**2
    field_hz = (weight * times * phase).sum(-1) / (TWO_PI * np.maximum((weight * times**2).sum(-1), 1e-12))
    return (field_hz / scan.protocol.imaging_frequency_mhz - scan.truth["background_ppm"]) * scan.truth["mask"]


def of_sample(sample: Sample) -> dict:
    """Figures of a sample of training."""
    return figures(*(getattr(sample, name).numpy() for name in ("chi", "field", "mask")), sample.geometry, sample.magnitude.numpy())


def held_out(head: LabelHead, seed: int, voxel_mm: float, extent_mm: float) -> dict:
    """Figures of a label map's head under the middle of what training draws."""
    anatomy = whole_recipe(head, (voxel_mm,) * 3, (0.0, 0.0, 1.0), seed, extent_mm=extent_mm, sigma_ppm=HEAD_SIGMA_PPM, residue=HEAD_RESIDUE,
                           chi_ppm=tuple(typical_ppm().tolist()))
    return of_sample(made_real(RealRecipe(anatomy, Appearance()), [head]))


def columns(options: Namespace) -> dict[str, dict]:
    """Figures by the head of their column, in vivo first."""
    found = {"in vivo": IN_VIVO | {row_of_k(k): value for k, value in IN_VIVO_ERROR.items()} | {row_of_depth(d): value for d, value in IN_VIVO_DEPTH.items()}}
    if options.chi:
        found[options.chi.name] = of_files(options)
    for seed in options.seeds:
        found[f"phantom, seed {seed}"] = of_phantom(seed, options.voxel_mm, options.slab_mm, None if options.plain else InVivo())
    if options.labels:
        heads = {number: read_head(options.labels / f"training_seg_{number:02d}.nii.gz") for number in HELD_OUT}
        found |= {f"head {number}": held_out(head, number, options.voxel_mm, options.extent_mm) for number, head in heads.items()}
        drawn = [drawn_real(np.random.default_rng([options.first, number]), len(heads)) for number in range(options.samples)]
        samples = [of_sample(made_real(recipe, list(heads.values()))) for recipe in drawn]
        if samples:
            found |= {f"median of {len(samples)} samples": spread(samples, 50), "their lower": spread(samples, 25), "and upper quartile": spread(samples, 75)}
    return found


def spread(samples: list[dict], percent: float) -> dict:
    """A percentile of each figure, of the samples that have it."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {name: float(np.nanpercentile([sample.get(name, np.nan) for sample in samples], percent)) for name in names}


def options_of(words: list[str]) -> Namespace:
    """The options of the command line."""
    parser = ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("chi", "field", "mask", "magnitude"):
        parser.add_argument(f"--{name}", type=Path, help=f"{name} of a map of yours (NIfTI)")
    parser.add_argument("--known", type=Path, help="where your χ is known, when not in the whole mask: its error is then left out")
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="heads of the phantom")
    parser.add_argument("--slab-mm", type=float, nargs=3, default=EXTENT_MM, help="extent of the phantom's slab")
    parser.add_argument("--plain", action="store_true", help="plain heads of the phantom")
    parser.add_argument("--labels", type=Path, help="folder of training_seg_17.nii.gz … 20: held-out heads and training samples of them")
    parser.add_argument("--samples", type=int, default=0, help="number of training samples")
    parser.add_argument("--first", type=int, default=0, help="seed of the samples")
    parser.add_argument("--voxel-mm", type=float, default=1.0625, help="voxel of phantom and held-out heads")
    parser.add_argument("--extent-mm", type=float, default=128, help="edge of the part of a held-out head")
    options = parser.parse_args(words)
    if options.chi and not options.mask:
        parser.error("--chi needs --mask")
    return options


def main(options: Namespace) -> None:
    """Print the table."""
    table = columns(options)
    print(f"| | {' | '.join(table)} |\n|{'---|' * (len(table) + 1)}")
    for row in table["in vivo"]:
        print(f"| {row} | {' | '.join(f'{column[row]:.3g}' if row in column else '' for column in table.values())} |")


if __name__ == "__main__":
    main(options_of(sys.argv[1:]))
