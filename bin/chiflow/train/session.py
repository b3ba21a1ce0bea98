"""The training from its first step, or from its checkpoint, to its last one."""

import ctypes
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from chiflow.core.progress import progress
from chiflow.train.curve import write_curve
from chiflow.train.heads import Data
from chiflow.train.inversion import Config, State, advance, load_state, needed, place, save_state, validated
from chiflow.train.stock import Stock, validation

SAVED_EVERY = 50  # steps between checkpoints; each check writes one, too
MMAP_THRESHOLD, TRIM_THRESHOLD, TOP_PAD = -3, -1, -2  # of malloc.h


def trained(config: Config, data: Data, folder: Path, curve: Path, device: torch.device, workers: int = 1, threads: int = 1) -> State:
    """The trained network. All it keeps is in `folder`: interrupted, the same call goes on from the last checkpoint, to the same weights.

    curve : folder of curve.csv and curve.png, written at each check. workers : processes that draw samples. threads : of the network on a CPU.
    """
    torch.set_num_threads(threads)
    with stock_of(config, data, folder, workers) as stock:
        state = load_state(config, folder / "inversion.pt", device)
        checked_on = validation(folder, config.validation_samples, data.held_out)
        keep_memory()
        torch.set_flush_denormal(True)
        for _ in progress(range(state.step, config.steps), "training"):
            begun = time.monotonic()
            number, index, rng = place(config, state.step)
            state.losses.append(advance(state, config, stock.opened(number)[index], rng))
            due = state.step % config.checked_every == 0 or state.step == config.steps
            if due:
                check(state, checked_on)
            state.seconds += time.monotonic() - begun
            if due or state.step % SAVED_EVERY == 0:
                save_state(state, config, folder / "inversion.pt")
            if due:
                write_curve(curve, state.curve)
    return state


def stock_of(config: Config, data: Data, folder: Path, workers: int = 1) -> Stock:
    """The shards that this number of steps needs."""
    return Stock(folder, config.seed, needed(config, max(config.steps - 1, 0)), config.shard_size, data.trained, workers)


def check(state: State, contents: list[dict]) -> None:
    """Add a row to the curve and say it."""
    finite = [loss for loss in state.losses if math.isfinite(loss)]
    row = {"step": state.step, "loss": float(np.mean(finite)) if finite else None} | validated(state.mean, contents)
    state.curve.append(row)
    state.losses.clear()
    figures = ", ".join(f"{name} {value:.3f}" for name, value in row.items() if name != "step" and value is not None)
    tqdm.write(f"step {state.step}: {figures}, {state.seconds / 60:.1f} min", file=sys.stderr)


def keep_memory() -> None:
    """Have glibc keep the memory of large tensors: by default it returns them to the system at once, which clears the pages of the next ones,

    a third of the time of a step on a CPU. Elsewhere than on glibc nothing happens; no number changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for parameter, size in ((MMAP_THRESHOLD, 2_000_000_000), (TRIM_THRESHOLD, 2_000_000_000), (TOP_PAD, 300_000_000)):
            mallopt(parameter, size)
