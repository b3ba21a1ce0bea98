"""The training of the network of the total field, resumable to the step: label maps in; weights and their card out.

Samples are drawn when the first step needs them, in the same process. A folder keeps all of it:

    tensors/<label map>.npz      backgrounds of a head for every direction of B0 (simulate/total.py), and its kinds of tissue
    shards/, validation.pt       samples;      total.pt      the checkpoint
"""

import hashlib
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from tqdm import tqdm

from chiflow.core.progress import progress
from chiflow.core.total.net import CHANNELS, ITERATIONS, TotalNet
from chiflow.simulate.anatomy import LabelHead, read_head
from chiflow.simulate.surroundings import read_surroundings
from chiflow.simulate.total import HeadTensor, head_tensor
from chiflow.train.card import command, curve_of, with_card
from chiflow.train.heads import chosen, code_sha256, label_files
from chiflow.train.inversion import BETAS, State, load_state, save_state, stepped
from chiflow.train.session import keep_memory
from chiflow.train.shards import shard_path
from chiflow.train.stock import VALIDATION_SEED
from chiflow.train.total import half_widths, loss_of, ranges, restored, sample, turned_at_random, validated

SAVED_EVERY = 50
LIMITS = ["Trained on synthetic fields only: whole heads of adult label maps with air and bone, and random shapes.",
          "The mask is taken as the brain: what lies in it and is none spoils its neighbourhood.", "χ is relative: its mean over the mask is 0."]


@dataclass(frozen=True)
class Config:
    """What the weights depend on, besides the code and the label maps. A new shard is drawn every steps_per_shard steps until there are `shards`."""

    seed: int = 0
    steps: int = 3000
    shards: int = 30
    shard_size: int = 16
    steps_per_shard: int = 60
    learning_rate: float = 6e-4
    warm_up: int = 100
    fall: float = 0.3
    running_mean: float = 0.997
    channels: tuple[int, int] = CHANNELS
    iterations: int = ITERATIONS
    checked_every: int = 150
    validation_samples: int = 16


Head = tuple[LabelHead, HeadTensor]


def kept_tensors(paths: list[Path], folder: Path) -> list[Head]:
    """Label maps with their backgrounds, from the folder where they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for path in progress(paths, "backgrounds"):
        kept = folder / f"{path.name}.npz"
        if not kept.is_file():
            head = read_head(path)
            tensor = head_tensor(read_surroundings(path), head.kinds.shape)
            np.savez(kept.with_suffix(".part.npz"), splines=tensor.splines, corner=tensor.corner, kinds=head.kinds)
            kept.with_suffix(".part.npz").replace(kept)
        content = np.load(kept)
        found.append((LabelHead(content["kinds"], path.name), HeadTensor(content["splines"], tuple(int(c) for c in content["corner"]))))
    return found


def samples(path: Path, seed: int, numbers: range, heads: list[Head]) -> list[dict]:
    """The samples in a file, drawn when it is not there."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save([sample(seed, n, [head for head, _ in heads], [tensor for _, tensor in heads]) for n in progress(numbers, "samples")], path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return torch.load(path, weights_only=True, mmap=True)


def new_state(config: Config, device: torch.device) -> State:
    """An untrained network."""
    torch.manual_seed(config.seed)
    network, mean = (TotalNet(config.channels, config.iterations).to(device, memory_format=torch.channels_last) for _ in range(2))
    mean.load_state_dict(network.state_dict())
    return State(network, mean, torch.optim.Adam([{"params": list(network.parameters()), "factor": 1}], lr=config.learning_rate, betas=BETAS))


def rate(config: Config, step: int) -> float:
    """Learning rate of a step: warm-up, constant, and a linear fall in the last part."""
    return config.learning_rate * min(1, (step + 1) / config.warm_up, max((config.steps - step) / (config.fall * config.steps), 0))


def trained(config: Config, heads: list[Head], held_out: list[Head], folder: Path, device: torch.device, threads: int = 1) -> State:
    """The trained network. Interrupted, the same call goes on from the last checkpoint, to the same weights."""
    torch.set_num_threads(threads)
    state = load_state(config, folder / "total.pt", device, new_state)
    checked_on = samples(folder / "validation.pt", VALIDATION_SEED, range(config.validation_samples), held_out or heads)
    keep_memory()
    torch.set_flush_denormal(True)
    for _ in progress(range(state.step, config.steps), "training"):
        begun = time.monotonic()
        rng = np.random.default_rng([config.seed, 1, state.step])
        number = int(rng.integers(min(config.shards, 1 + state.step // config.steps_per_shard)))
        drawn = samples(shard_path(folder / "shards", config.seed, number), config.seed, range(number * config.shard_size, (number + 1) * config.shard_size), heads)
        start, truth = turned_at_random(*restored(drawn[int(rng.integers(config.shard_size))], device), rng)
        state.losses.append(stepped(state, lambda: loss_of(state.network(start), start, truth), rate(config, state.step), config.running_mean))
        due = state.step % config.checked_every == 0 or state.step == config.steps
        if due:
            state.curve.append({"step": state.step, "loss": float(np.mean(state.losses))} | validated(state.mean, checked_on))
            state.losses.clear()
            tqdm.write(str(state.curve[-1]), file=sys.stderr)
        state.seconds += time.monotonic() - begun
        if due or state.step % SAVED_EVERY == 0:
            save_state(state, config, folder / "total.pt")
    return state


def write_total(config: Config, labels: Path | None, held_out: str, folder: Path, out: Path, device: torch.device, threads: int = 1) -> Path:
    """Train, and write total.safetensors and its card; returns the path of the weights."""
    files = label_files(labels)
    held = chosen([path.name for path in files], held_out)
    heads = kept_tensors(files, folder / "tensors")
    parts = [[head for head in heads if (head[0].name in held) == wanted] for wanted in (False, True)]
    state = trained(config, *parts, folder, device, threads)
    content = save({name: tensor.detach().cpu().half().contiguous() for name, tensor in state.mean.state_dict().items()})
    drawn = [kept for path in sorted((folder / "shards").glob("*.pt")) for kept in torch.load(path, weights_only=True, mmap=True)]
    card = {"Architecture": {"Class": "chiflow.core.total.net.TotalNet", "Channels": list(config.channels), "Iterations": config.iterations, "Stored": "float16",
                             "Parameters": sum(p.numel() for p in state.mean.parameters())},
            "Training": {"Command": command(), "Config": asdict(config), "StepsDone": state.step, "Seconds": round(state.seconds), "HeldOut": held,
                         "Sha256OfLabels": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}, "Sha256OfCode": [code_sha256()]},
            "ValidationCurve": curve_of(state.curve),
            "HalfWidths": half_widths(state.mean, samples(folder / "validation.pt", VALIDATION_SEED, range(config.validation_samples), parts[1] or parts[0])),
            "Licence": "MIT", "Ranges": ranges(drawn), "Limits": LIMITS}
    return with_card(out, "total", content, card)
