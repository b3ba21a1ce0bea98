#!/usr/bin/env python3
"""Share of wrongly unwrapped voxels and CPU seconds of every unwrapping method, beside other programs, where the answer is known.

    python benchmark/unwrapping.py [HEAD ...] [--peers PYTHON] [--methods tree net] [--seeds 20 --first-seed 100]

HEAD: folders with bids/ and truth/ as `bin/phantom.py --bids --no-dicom` writes them; the true offset is taken off first. PYTHON: the interpreter of
a virtual environment of its own with other programs; one that is not there is left out, with the reason:

    uv venv peers --python 3.11; uv pip install --python peers/bin/python numpy scikit-image warpkit

A voxel is wrong when its wraps differ from those of the noise-free phase, after one multiple of 2π for each volume; of `laplacian`, which is
not exact, when it is off by more than π. Columns: % wrong over all echoes.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bin"))

from chiflow.core.masks import load_mask
from chiflow.core.nifti import load
from chiflow.core.signal_mask import signal_mask
from chiflow.core.spanning_tree import wrapped
from chiflow.core.units import TWO_PI
from chiflow.unwrap import EXACT_METHODS, UNWRAPPINGS

TIMES = (0.004, 0.010, 0.016, 0.022)
SHAPE = (64, 72, 56)
PEERS = {
    "ROMEO (warpkit)": """
from warpkit.warpkit_cpp import romeo_unwrap3d, romeo_unwrap4d
fortran = [np.asfortranarray(a) for a in (phase, magnitude, mask)]
one = lambda: romeo_unwrap3d(fortran[0][..., 0], 'romeo', fortran[1][..., 0], fortran[2])[..., None]
run = one if len(times) == 1 else lambda: romeo_unwrap4d(fortran[0], times, 'romeo', fortran[1], fortran[2])""",
    "scikit-image": """
from skimage.restoration import unwrap_phase
run = lambda: np.stack([np.ma.filled(unwrap_phase(np.ma.array(phase[..., e], mask=~mask)), 0) for e in range(len(times))], axis=-1)""",
}
PEER = """
import sys, time, numpy as np
case = np.load(sys.argv[1])
phase, magnitude, mask, times = (case[n] for n in ('phase', 'magnitude', 'mask', 'times'))
{}
start = time.process_time()
result = run()
np.savez(sys.argv[2], result=np.asarray(result, np.float32), seconds=time.process_time() - start)
"""


class Case(NamedTuple):
    """Offset-free phase (rad) and magnitude (X, Y, Z, E) with the noise-free unwrapped phase; judged in `judged`, unwrapped in `mask`."""

    name: str
    phase: np.ndarray
    magnitude: np.ndarray
    mask: np.ndarray
    truth: np.ndarray
    judged: np.ndarray
    times: tuple[float, ...] = TIMES


def grid(shape=SHAPE):
    """Voxel coordinates about the centre."""
    return np.meshgrid(*[np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in shape], indexing="ij", sparse=True)


def brain(shape=SHAPE):
    """An ellipsoid that fills the grid but for 2 voxels."""
    return sum((c / (n / 2 - 2)) ** 2 for c, n in zip(grid(shape), shape)) < 1


def scanned(name, field_hz, r2star, mask, snr, seed, times=TIMES) -> Case:
    """A case from a field (Hz) and R2* (1/s): decay, dephasing across the voxel, complex noise of 1/snr of the signal at TE = 0.

    Judged where the signal of the last echo is above the noise.
    """
    random = np.random.default_rng([seed, 7])
    phase, magnitude, truth = (np.empty((*mask.shape, len(times)), np.float32, order="F") for _ in range(3))
    for e, echo_time in enumerate(times):
        truth[..., e] = TWO_PI * field_hz * echo_time
        size = mask * np.exp(-r2star * echo_time) * np.prod([np.sinc(g * echo_time) for g in np.gradient(field_hz)], axis=0)
        noise = (random.normal(0, 1 / snr, mask.shape) + 1j * random.normal(0, 1 / snr, mask.shape)).astype(np.complex64)
        signal = np.abs(size) * np.exp(1j * truth[..., e]) + noise
        phase[..., e], magnitude[..., e] = np.angle(signal), np.abs(signal)
    return Case(name, phase, magnitude, mask, truth, mask & (np.abs(size) > 1 / snr), tuple(times))


def smooth_field(seed, shape=SHAPE, hz=60.0):
    """A shimmed head's field (Hz): five plane waves of a few periods in a hundred voxels."""
    random, (x, y, z) = np.random.default_rng([seed, 3]), grid(shape)
    k, angle = random.normal(0, 0.05, (5, 3)), random.uniform(0, TWO_PI, 5)
    return (hz / 2 * sum(np.sin(a * x + b * y + c * z + t) for (a, b, c), t in zip(k, angle))).astype(np.float32)


def vein(seed) -> Case:
    """Four vessels of 1.5 to 3 voxels across B0 with their dipole fields (inside −Δ/6·2, outside Δ/2 (a/r)² cos 2φ) and R2* of 120 1/s."""
    random, (x, y, z) = np.random.default_rng(seed), grid()
    field, r2star = smooth_field(seed), np.full(SHAPE, 20, np.float32)
    for radius in (1.5, 2, 2.5, 3):
        u, w = x - random.uniform(-18, 18), z - random.uniform(-14, 14)
        r2, inside = u**2 + w**2 + 1e-3, u**2 + w**2 + 0 * y < radius**2
        field = field + np.where(inside, -40, 120 * radius**2 * (w**2 - u**2) / r2**2).astype(np.float32)
        r2star[inside] = 120
    return scanned("veins, steep and dark", field, r2star, brain(), 25, seed)


def sinus(seed) -> Case:
    """Air under the brain: the dipole field Δ/3 (a/r)³ (3 cos² − 1) of a ball of 9.4 ppm at 3 T, its rim dephased and inside the mask."""
    x, y, z = grid()
    field, radius = smooth_field(seed), 10.0
    air = np.zeros(SHAPE, bool)
    for cx, cy in ((-11, 6), (11, 2)):
        u, v, w = x - cx, y - cy, z + 22
        r2 = u**2 + v**2 + w**2 + 1e-3
        air |= r2 < radius**2
        field = field + (1158 / 3 * radius**3 * (3 * w**2 / r2 - 1) / r2**1.5).astype(np.float32)
    return scanned("sinus, steep to the rim", np.where(air, 0, field), np.full(SHAPE, 25, np.float32), brain() & ~air, 40, seed)


def behind_noise(seed) -> Case:
    """A ball 150 Hz off inside a shell without signal that the mask does not know of: only the echoes tell how many wraps lie between."""
    x, y, z = grid()
    r = np.sqrt((x - 4) ** 2 + (y + 6) ** 2 + z**2)
    r2star = np.where((r > 9) & (r < 12), 3000, 20).astype(np.float32)
    return scanned("part behind noise", smooth_field(seed) + np.where(r < 10.5, 150, 0).astype(np.float32), r2star, brain(), 30, seed)


def noisy(snr):
    """A smooth field at a low SNR."""
    return lambda seed: scanned(f"SNR {snr}", smooth_field(seed), np.full(SHAPE, 20, np.float32), brain(), snr, seed)


def cut(seed) -> Case:
    """A mask cut into slabs, a bridge of one voxel between two of them and a ball by itself: six wraps and more between the parts."""
    x, y, z = grid()
    mask = brain() & ~((np.abs(x + 10) < 2) & ((y != np.float32(0.5)) | (np.abs(z) > 1))) & (np.abs(z - 8) > 2) | ((x - 26) ** 2 + (y - 30) ** 2 + (z - 22) ** 2 < 16)
    return scanned("mask cut in parts", smooth_field(seed) + 8 * x + 6 * z, np.full(SHAPE, 20, np.float32), mask, 30, seed)


def head(folder: Path) -> list[Case]:
    """A simulated head, judged in the truth's mask and, as a second case, wherever there is signal; then the same of its second echo alone."""
    anatomy, truth = next(folder.glob("bids/sub-*/anat")), next(folder.glob("truth/sub-*"))
    phase, magnitude = (np.stack([load(p).data for p in sorted(anatomy.glob(f"*part-{part}_MEGRE.nii*"))], axis=-1) for part in ("phase", "mag"))
    field, signal = load(truth / "field_hz.nii.gz").data, signal_mask(magnitude)
    free = wrapped(phase - load(truth / "offset.nii.gz").data[..., None])
    true = np.stack([TWO_PI * field * t for t in TIMES], axis=-1).astype(np.float32)
    brain_mask = load_mask(truth / "mask.nii.gz") & signal
    arrays = [np.asfortranarray(a) for a in (free, magnitude)]
    cases = [Case(f"{folder.name}: {where}", *arrays, signal, true, judged) for where, judged in (("brain", brain_mask), ("all signal", signal))]
    brain_alone, signal_alone = (one_echo(lambda seed, case=case: case)(0) for case in cases)
    return [*cases, brain_alone, signal_alone._replace(phase=brain_alone.phase)]  # equal phases are the same array: unwrapped once


def one_echo(make, echo=1):
    """The same of a single echo, in which nothing but space tells the turns."""

    def made(seed):
        case = make(seed)
        arrays = {name: getattr(case, name)[..., echo : echo + 1] for name in ("phase", "magnitude", "truth")}
        return case._replace(name=f"{case.name}, one echo", times=case.times[echo : echo + 1], **arrays)

    return made


SYNTHETIC = (vein, sinus, behind_noise, *map(noisy, (2, 3, 5, 10, 20)), cut, *map(one_echo, (vein, sinus, noisy(2), noisy(3), noisy(5))))


def wrong_percent(result, case: Case, exact: bool) -> float:
    """% of voxels and echoes in the judged mask with other wraps than the noise-free phase, after one multiple of 2π for each volume."""
    wrong = []
    for e in range(len(case.times)):
        phase, truth, found = (a[..., e][case.judged] for a in (case.phase, case.truth, result))
        difference = found - (phase + TWO_PI * np.rint((truth - phase) / TWO_PI) if exact else truth)
        turns = np.rint((difference - (0 if exact else np.median(difference))) / TWO_PI)
        values, counts = np.unique(turns, return_counts=True)
        wrong.append(100 * (1 - counts.max() / counts.sum()) if exact else 100 * np.mean(turns != 0))
    return float(np.mean(wrong))


def ours(name, case: Case):
    """Result and seconds of a method of chiflow."""
    start = time.process_time()
    result = UNWRAPPINGS[name](case.phase, case.magnitude, case.mask, list(case.times))
    return result, time.process_time() - start


def theirs(name, case: Case, python: Path):
    """Result and seconds of another program in its own interpreter. Raises RuntimeError with its last line."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "case.npz", Path(folder) / "answer.npz"
        np.savez(given, phase=case.phase, magnitude=case.magnitude, mask=case.mask, times=np.array(case.times, np.float32) * 1000)
        done = subprocess.run([python, "-c", PEER.format(PEERS[name]), given, answer], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        found = np.load(answer)
        return found["result"], float(found["seconds"])


def main() -> None:
    """Unwrap every case by every method; print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", nargs="*", type=Path)
    parser.add_argument("--peers", type=Path, help="python of a virtual environment with other programs")
    parser.add_argument("--methods", nargs="*", default=[*UNWRAPPINGS, *PEERS], help="columns; default: all")
    parser.add_argument("--seeds", type=int, default=3, help="synthetic cases are the mean over so many seeds; 0: heads alone")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them")
    options = parser.parse_args()
    methods = {name: (lambda case, name=name: ours(name, case)) for name in UNWRAPPINGS}
    methods |= {name: (lambda case, name=name: theirs(name, case, options.peers)) for name in (PEERS if options.peers else ())}
    methods = {name: method for name, method in methods.items() if name in options.methods}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    print(f"| % wrong (seconds) | {' | '.join(methods)} |\n|---|{'---|' * len(methods)}")
    rows = ([make(seed) for seed in seeds] for make in SYNTHETIC if seeds)  # one row in memory
    for cases in chain(rows, ([case] for folder in options.heads for case in head(folder))):
        print(f"| {cases[0].name} | {' | '.join(cell(name, method, cases) for name, method in methods.items())} |", flush=True)


def cell(name, method, cases, done={}) -> str:
    """Mean of the wrong shares and of the seconds of a method over cases; why not, when it fails. `done`: the last answer, for a head's second row."""
    pairs = []
    try:
        for case in cases:
            if done.get(name, (None,))[0] is not case.phase:
                done[name] = (case.phase, *method(case))
            pairs.append((wrong_percent(done[name][1], case, name in EXACT_METHODS or name in PEERS), done[name][2]))
    except RuntimeError as error:
        return f"left out: {error}"
    wrong, seconds = np.mean(pairs, axis=0)
    return f"{wrong:.4f} ({seconds:.2f})"


if __name__ == "__main__":
    main()
