"""The shards of a training, drawn by other processes while the training goes on; what is not there yet is waited for."""

import io
import os
import signal
import threading
import time
from contextlib import redirect_stderr
from functools import lru_cache
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

import torch

from chiflow.core.errors import ChiflowError
from chiflow.simulate.anatomy import LabelHead
from chiflow.train.heads import kept_heads
from chiflow.train.shards import sample, shard, shard_path

VALIDATION_SEED, CALIBRATION_SEED = 99, 98
PATIENCE_S = 0.2


class Stock:
    """Shards 0 … count − 1 of `size` samples each, in folder/shards, drawn from the kept label maps of these names.

    With 0 workers a shard is drawn when it is needed. Use it as a context: at its end the workers are ended, and what they had begun is lost.
    """

    def __init__(self, folder: Path, seed: int, count: int, size: int, heads: list[LabelHead], workers: int = 1):
        self.folder, self.seed, self.count, self.size, self.heads = folder / "shards", seed, count, size, heads
        self.folder.mkdir(parents=True, exist_ok=True)
        self.opened = lru_cache(None)(self.wait_for)
        missing = [n for n in range(count) if not shard_path(self.folder, seed, n).is_file()]
        kept = (folder, seed, size, [h.name for h in heads])
        start = lambda numbers: get_context("spawn").Process(target=draw, args=(*kept, numbers), daemon=True)
        self.workers = [start(missing[first::workers]) for first in range(min(workers, len(missing)))]

    def __enter__(self) -> "Stock":
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_) -> None:
        for worker in self.workers:
            worker.terminate()
            worker.join()

    def wait_for(self, number: int) -> list[dict]:
        """The samples of a shard, once it is there. Raises ChiflowError when the process that should draw it failed."""
        path = shard_path(self.folder, self.seed, number)
        while not path.is_file():
            if any(worker.exitcode for worker in self.workers):
                raise ChiflowError(f"{path}: the process that draws samples ended (see above): the same command goes on from here")
            if any(worker.is_alive() for worker in self.workers):
                time.sleep(PATIENCE_S)
            else:
                shard(self.folder, self.seed, number, self.heads, self.size)
        return torch.load(path, weights_only=True, mmap=True)

    def there(self) -> list[tuple[int, list[dict]]]:
        """Number and samples of the shards that were drawn."""
        return [(n, self.opened(n)) for n in range(self.count) if shard_path(self.folder, self.seed, n).is_file()]


def draw(folder: Path, seed: int, size: int, names: list[str], numbers: list[int]) -> None:
    """What a worker does: draw these shards, one after the other, on one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the training, which ends its workers
    threading.Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    heads = [head for head in kept_heads(folder / "heads.npz") if head.name in names]
    with redirect_stderr(io.StringIO()):  # bars of a worker would write over that of the training
        for number in numbers:
            shard(folder / "shards", seed, number, heads, size)


def end_with_parent() -> None:
    """A worker whose training was killed must not go on alone."""
    connection.wait([parent_process().sentinel])
    os._exit(1)


def validation(folder: Path, count: int, heads: list[LabelHead]) -> list[dict]:
    """Samples of the held-out label maps, the same ones at each check, drawn once; of random shapes when there are none."""
    return kept_samples(folder / f"validation_{count}.pt", VALIDATION_SEED, count, heads)


def calibration_samples(folder: Path, count: int, heads: list[LabelHead]) -> list[dict]:
    """Further samples of the held-out label maps: no check has seen them, and no choice was made on them."""
    return kept_samples(folder / f"calibration_{count}.pt", CALIBRATION_SEED, count, heads)


def kept_samples(path: Path, seed: int, count: int, heads: list[LabelHead]) -> list[dict]:
    """The first samples of a seed, from the file when it is there."""
    if not path.is_file():
        torch.save([sample(seed, number, heads) for number in range(count)], path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return torch.load(path, weights_only=True, mmap=True)
