"""Training of the learned inversion (invert/corrector.py), resumable to the step.

A step on a part of one sample:

    loss = log ‖e‖₂/‖e₀‖₂ + ½ log ‖w e‖₁/‖w e₀‖₁ + ½ log ‖∇e‖₂/‖∇e₀‖₂ + pinball₀.₉(u, |e|) / mean |e|

e is the error of the map, e₀ that of the map that the network begins from, both without their means, so every sample counts by what is gained on it,
whether its noise is low or high; w is 3 in deep grey nuclei and 1 elsewhere. Voxels near the faces of a part are seen and not counted. Adam with warm-up, a
constant rate and a linear fall in the last part. What is kept is a running mean of the weights. Convolutions are in bfloat16 on request: on a CPU that has
it a step takes six tenths of the time.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from chiflow.core.errors import ChiflowError
from chiflow.invert.corrector import CHANNELS, Corrected, Corrector
from chiflow.invert.start import Start
from chiflow.train.shards import SIZE, restored, turned_at_random

BETAS = (0.9, 0.99)
QUANTILE = 0.9
NUCLEI_WEIGHT = 2.0  # on top of 1
L1, GRADIENT = 0.5, 0.5
FACE_VOXELS = 3
LEAST_MASK, TRIES = 0.35, 8  # share of a part that the mask fills, and how often another part is drawn for it
FREE = ("steps", "checked_every", "validation_samples")  # what may change when a training goes on


@dataclass(frozen=True)
class Config:
    """What the weights depend on, besides the code and the label maps.

    shards : number of them; one more is needed every steps_per_shard steps. patch : voxels of a part. checked_every : steps between validations, on
    validation_samples samples; the weights do not depend on them.
    """

    seed: int = 0
    steps: int = 5500
    shards: int = 24
    first_shards: int = 4
    steps_per_shard: int = 150
    patch: tuple[int, int, int] = (64, 72, 64)
    learning_rate: float = 6e-4
    warm_up: int = 300
    fall: float = 0.4
    running_mean: float = 0.998
    channels: tuple[int, int, int] = CHANNELS
    bfloat16: bool = True
    shard_size: int = SIZE
    checked_every: int = 250
    validation_samples: int = 12


@dataclass
class State:
    """Network, its running mean, optimiser, step, and one row for each check: step, loss, and what validation returns.

    losses : of the steps since the last check. seconds : spent so far.
    """

    network: Corrector
    mean: Corrector
    optimiser: torch.optim.Optimizer
    step: int = 0
    curve: list[dict] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device


def new_state(config: Config, device: torch.device) -> State:
    """An untrained network."""
    torch.manual_seed(config.seed)
    network, mean = (Corrector(config.channels).to(device, memory_format=torch.channels_last) for _ in range(2))
    mean.load_state_dict(network.state_dict())
    groups = [{"params": list(network.parameters()), "factor": 1}]
    return State(network, mean, torch.optim.Adam(groups, lr=config.learning_rate, betas=BETAS))


def save_state(state: State, config: Config, path: Path) -> None:
    """Write a checkpoint, atomically."""
    content = {name: getattr(state, name).state_dict() for name in ("network", "mean", "optimiser")}
    content |= {name: getattr(state, name) for name in ("step", "curve", "losses", "seconds")}
    torch.save(content | {"config": asdict(config)}, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def load_state(config, path: Path, device: torch.device, new: Callable = new_state) -> State:
    """The checkpoint of this configuration, or an untrained network by `new`. Raises ChiflowError when it is of another one; FREE may differ."""
    state = new(config, device)
    if path.is_file():
        content = torch.load(path, weights_only=True, map_location=device)
        stated = asdict(type(config)()) | content["config"]  # a checkpoint from before an option was one has its default
        changed = [key for key, value in asdict(config).items() if key not in FREE and stated[key] != value]
        if changed:
            raise ChiflowError(f"{path}: checkpoint of another configuration ({', '.join(changed)}): give its options, or another folder")
        for name in ("network", "mean", "optimiser"):
            getattr(state, name).load_state_dict(content[name])
        state.step, state.curve = content["step"], content["curve"]
        state.losses, state.seconds = content.get("losses", []), content.get("seconds", 0.0)
    return state


def place(config: Config, step: int) -> tuple[int, int, np.random.Generator]:
    """Shard and index of the sample of a step, and the generator of its part and its turn."""
    rng = np.random.default_rng([config.seed, 1, step])
    return int(rng.integers(needed(config, step))), int(rng.integers(config.shard_size)), rng


def needed(config: Config, step: int) -> int:
    """How many shards there must be for a step."""
    return min(config.shards, config.first_shards + step // config.steps_per_shard)


def rate(config: Config, step: int) -> float:
    """Learning rate of a step."""
    return config.learning_rate * min(1, (step + 1) / config.warm_up, max((config.steps - step) / (config.fall * config.steps), 0.02))


def advance(state: State, config: Config, content: dict, rng: np.random.Generator) -> float:
    """One step on a part of one sample; returns its loss."""
    part = drawn_part(content, config.patch, rng)
    start, truth, nuclei = turned_at_random(*restored(content, state.device, part), rng)
    counted = start.mask.clone()
    for axis, count in enumerate(counted.shape):
        if count > 4 * FACE_VOXELS:
            counted.narrow(axis, 0, FACE_VOXELS).zero_()
            counted.narrow(axis, count - FACE_VOXELS, FACE_VOXELS).zero_()

    def loss() -> torch.Tensor:
        with torch.autocast(state.device.type, torch.bfloat16, enabled=config.bfloat16):
            found = state.network(start)
        return loss_of(Corrected(found.chi.float(), found.u.float()), start, truth, nuclei, counted)

    return stepped(state, loss, rate(config, state.step), config.running_mean)


def drawn_part(content: dict, patch: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, ...]:
    """A part of a sample that holds tissue, of at most `patch` voxels along its axes."""
    shape = content["truth"].shape
    for _ in range(TRIES):
        corner = [int(rng.integers(max(n - p, 0) + 1)) for n, p in zip(shape, patch)]
        part = tuple(slice(c, c + min(n, p)) for c, n, p in zip(corner, shape, patch))
        if (content["truth"][part] != 0).float().mean() > LEAST_MASK:
            break
    return part


def stepped(state: State, loss_now: Callable[[], torch.Tensor], learning_rate: float, running_mean: float) -> float:
    """One step down the gradient of a loss, unless that is not finite; returns the loss."""
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate * group["factor"]
    state.optimiser.zero_grad()
    loss = loss_now()
    if torch.isfinite(loss):
        loss.backward()
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
        state.optimiser.step()
    state.step += 1
    keep = min(running_mean, state.step / (state.step + 20))
    with torch.no_grad():
        for mean, now in zip(state.mean.parameters(), state.network.parameters()):
            mean.lerp_(now, 1 - keep)
    return float(loss.detach())


def loss_of(found: Corrected, start: Start, truth: torch.Tensor, nuclei: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """The loss above, of the voxels that are counted (float)."""
    before, error = (without_mean((chi - truth) * counted, counted) for chi in (start.volume("chi"), found.chi))
    weight = 1 + NUCLEI_WEIGHT * nuclei
    gain = log_ratio(error, before, torch.linalg.norm) + L1 * log_ratio(weight * error, weight * before, lambda x: x.abs().sum())
    size = error.detach().abs()
    over = (size - found.u) * counted
    pinball = torch.maximum(QUANTILE * over, (QUANTILE - 1) * over).sum() / size.sum().clamp(min=1e-12)
    return gain + GRADIENT * log_ratio(error, before, roughness) + pinball


def without_mean(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Values (X, Y, Z) that are 0 where nothing is counted, less their mean elsewhere."""
    return values - counted * values.sum() / counted.sum().clamp(min=1)


def log_ratio(error: torch.Tensor, before: torch.Tensor, size: Callable) -> torch.Tensor:
    """log of the size of an error over that of the start."""
    return torch.log(size(error).clamp(min=1e-12) / size(before).clamp(min=1e-12))


def roughness(error: torch.Tensor) -> torch.Tensor:
    """Norm of the differences between neighbours."""
    return sum(torch.diff(error, dim=axis).square().sum() for axis in range(3)).sqrt()


@torch.no_grad()
def validated(network: Corrector, contents: list[dict]) -> dict[str, float | None]:
    """Error of the network over that of its start (geometric mean, with and without a guide; None without such samples) and share of |error| < u."""
    ratios, covered = {True: [], False: []}, []
    for content in contents:
        start, truth, _ = restored(content, next(network.parameters()).device)
        inside, found = start.mask, network(start)
        error, before = (without_mean((chi - truth) * inside, inside) for chi in (found.chi, start.volume("chi")))
        ratios[bool(start.volume("guide").any())].append(float(log_ratio(error, before, torch.linalg.norm)))
        covered.append(float((error.abs() < found.u)[inside > 0].float().mean()))
    mean = lambda values: math.exp(np.mean(values)) if values else None
    return {"guided_over_start": mean(ratios[True]), "unguided_over_start": mean(ratios[False]), "coverage": float(np.mean(covered))}
