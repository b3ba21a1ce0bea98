"""Ballots with known answers, which the network that weighs witnesses (unwrap/votes.py) is trained on, kept on disk.

A shard is a file of ballots from fifty drawn objects (simulate/phases.py) and one head of the phantom, all of two echoes or more. Shard n depends on the seed
and n alone. Of each scan at most 12 000 ballots are kept, of a head 80 000, spread evenly over its echoes. They are of voxels with signal in any echo: where one
echo has lost it, its phase says nothing, only the witnesses do, and a network that has never seen such echoes weighs them worse than the tree.
"""

from pathlib import Path

import numpy as np

from chiflow.core.signal_mask import air_noise, signal_mask
from chiflow.core.spanning_tree import wrapped
from chiflow.core.units import TWO_PI
from chiflow.phantom.scan import Protocol, simulate
from chiflow.simulate.phases import FIELDS_T, PhaseSample, drawn_phases, drawn_times, log_uniform, made_phases
from chiflow.train.heads import keep_arrays
from chiflow.unwrap.net import figures_of, gathered
from chiflow.unwrap.tree import tree
from chiflow.unwrap.votes import FEATURES, WITNESSES, around, ballots, unsure, volumes_of

OBJECTS, OF_OBJECT, OF_HEAD = 50, 12_000, 80_000
FIRST_HEAD = 1000  # heads with smaller seeds are for benchmarks
SEEN = 2.0  # magnitude over noise from which on a voxel of a head has signal
LEAST_SEEN = 100  # voxels of an echo, for its level to be known
EMPTY = np.zeros((0, FEATURES)), np.zeros((0, len(WITNESSES))), np.zeros(0)


def shard(folder: Path, seed: int, number: int) -> Path:
    """The file of a shard, made when it is not there."""
    path = folder / f"ballots_{seed}_{number:04d}.npz"
    if not path.is_file():
        rngs = [np.random.default_rng([seed, number, index]) for index in range(OBJECTS + 1)]
        rows = [answered(made_phases(drawn_phases(rng, fewest=2)), rng, OF_OBJECT) for rng in rngs[1:]] + [answered(head(rngs[0], FIRST_HEAD + number), rngs[0], OF_HEAD)]
        x, away, quiet, figures = (np.concatenate(parts) for parts in zip(*rows))
        of_head = np.arange(len(x)) >= len(x) - len(rows[-1][0])
        keep_arrays(path, {"x": x, "away": away, "quiet": quiet, "figures": figures, "of_head": of_head})
    return path


def head(rng: np.random.Generator, seed: int) -> PhaseSample:
    """A slab of a phantom's head under a random protocol, with its true phase offset taken off."""
    field_t = float(rng.choice(FIELDS_T))
    voxel = log_uniform(rng, 1.5, 2.3) * np.exp(rng.uniform(-0.1, 0.1, 3)) * ((0.8, 0.8, 1.6) if rng.random() < 0.5 else 1)
    shape = tuple(int(length / v) for length, v in zip((185, 225, rng.uniform(45, 110)), voxel))
    times, tilt = drawn_times(rng, field_t, fewest=2), rng.uniform(0, 35) * (rng.random() < 0.5)
    protocol = Protocol(shape, tuple(float(v) for v in voxel.round(3)), float(tilt), echo_times_s=times, field_strength_t=field_t, snr=log_uniform(rng, 4, 80))
    scan = simulate(protocol, seed=seed)
    truth = (TWO_PI * scan.truth["field_hz"][..., None] * np.array(times)).astype(np.float32)
    mask, magnitude = signal_mask(scan.magnitude), scan.magnitude
    seen = (magnitude > SEEN * air_noise(magnitude[..., 0])) & mask[..., None]
    return PhaseSample(times, wrapped(scan.phase - scan.truth["offset"][..., None]), magnitude, truth, mask, seen)


def answered(sample: PhaseSample, rng: np.random.Generator, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of a sample, where an echo has signal: features x (n, X); how far the witnesses (n, C) and the phase without noise (n,) lie from the right unwrapped phase, rad; figures (1, F)."""
    phase, magnitude, mask = (np.asfortranarray(a) for a in (sample.phase, sample.magnitude, sample.mask))
    echoes, values, box = gathered(tree(phase, magnitude, mask, sample.times_s), phase, magnitude, mask, sample.times_s)
    inside, near = np.ascontiguousarray(mask.T[box]), around(values, echoes)
    known = sample.seen.T.any(axis=0)[box][inside]
    rows = []
    asked = [unsure(echo, values, echoes, near) for echo in range(len(echoes.times))]
    for echo, (given, chosen) in enumerate(zip(echoes.phases, asked)):
        truth, seen = (a.T[echo][box][inside] for a in (sample.truth, sample.seen))
        chosen = chosen[known[chosen]]
        if chosen.size == 0 or np.count_nonzero(seen) < LEAST_SEEN:
            continue
        chosen = rng.choice(chosen, min(chosen.size, most // len(sample.times_s)), replace=False)
        true = truth[chosen] + level(values[echo] - truth, seen)
        right = given[chosen] + np.float32(TWO_PI) * np.rint((true - given[chosen]) / np.float32(TWO_PI))
        x, witnesses = ballots(echo, chosen, values, echoes, near, volumes_of(echo, values, echoes))
        rows.append((x, witnesses - right[:, None], true - right))
    figures = np.array([list(figures_of(values, echoes, near, asked).values())])
    return (*(np.concatenate(parts).astype(np.float32) for parts in zip(*(rows or [EMPTY]))), figures)


def level(away: np.ndarray, seen: np.ndarray) -> np.float32:
    """The multiple of 2π by which most of the voxels of an echo lie away (N,) from their true phase."""
    turns, counts = np.unique(np.rint(away[seen] / TWO_PI), return_counts=True)
    return np.float32(TWO_PI * turns[counts.argmax()])
