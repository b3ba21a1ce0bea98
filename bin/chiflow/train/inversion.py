"""Training of the unrolled inversion (invert/unrolled.py), resumable to the step.

First the first CNN alone, on crops of 40³ voxels, without the data steps: a tenth of the work, and the same inputs and truth.

    loss = mean |z − χ| / mean |x₀ − χ| + ½ rms (z − χ) / rms (x₀ − χ),      the errors of x₀ those of the whole sample

Then the whole network on whole samples, a step on one of them:

    loss = log ‖x_K − χ‖₁/‖x₀ − χ‖₁ + ½ log ‖x_K − χ‖₂/‖x₀ − χ‖₂ + 0.2 (the same of x₁ … x_K₋₁) + pinball₀.₉(u, |x_K − χ|) / mean |x_K − χ|

x₀ is where guided TV ends, so every sample counts by what is gained on it, whether its noise is low or high. Maps are compared without their means.
Adam with warm-up, a constant rate and a linear fall to 0 in the last part: a longer training starts as the shorter one did. What is kept is a
running mean of the weights.
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from chiflow.core.errors import ChiflowError
from chiflow.invert.prepared import Prepared
from chiflow.invert.tfi import SourceProblem
from chiflow.invert.unrolled import CHANNELS, ITERATIONS, PADDING, SCALE, Solution, Unrolled, inputs
from chiflow.train.shards import SIZE, restored, turned_at_random

BETAS = (0.9, 0.99)
QUANTILE = 0.9
EARLIER = 0.2
CROP = 40
LEAST_VOXELS = 2000  # of the mask in a crop
SCALARS = 10  # times the rate: a_k and b_k are logarithms
FREE = ("steps", "checked_every", "validation_samples")  # what may change when a training goes on


@dataclass(frozen=True)
class Config:
    """What the weights depend on, besides the code and the label maps.

    crop_steps : of the steps, on crops. shards : of training; one more is needed every steps_per_shard steps. checked_every : steps
    between validations, on validation_samples samples; the weights do not depend on them.
    """

    seed: int = 0
    steps: int = 2000
    crop_steps: int = 1050
    shards: int = 32
    first_shards: int = 8
    steps_per_shard: int = 120
    learning_rate: float = 3e-4
    warm_up: int = 100
    fall: float = 0.3
    running_mean: float = 0.997
    channels: tuple[int, int] = CHANNELS
    iterations: int = ITERATIONS
    shard_size: int = SIZE
    checked_every: int = 250
    validation_samples: int = 24


@dataclass
class State:
    """Network, its running mean, optimiser, step, and one row for each check: step, loss, and what validation returns.

    losses : of the steps since the last check. seconds : spent so far.
    """

    network: Unrolled
    mean: Unrolled
    optimiser: torch.optim.Optimizer
    step: int = 0
    curve: list[dict] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.log_pull.device


def new_state(config: Config, device: torch.device) -> State:
    """An untrained network."""
    torch.manual_seed(config.seed)
    network, mean = (Unrolled(config.channels, config.iterations).to(device, memory_format=torch.channels_last) for _ in range(2))
    mean.load_state_dict(network.state_dict())
    scalars = [network.log_pull, network.log_ridge]
    others = [p for p in network.parameters() if all(p is not scalar for scalar in scalars)]
    groups = [{"params": others, "factor": 1}, {"params": scalars, "factor": SCALARS}]
    return State(network, mean, torch.optim.Adam(groups, lr=config.learning_rate, betas=BETAS))


def save_state(state: State, config: Config, path: Path) -> None:
    """Write a checkpoint, atomically."""
    content = {name: getattr(state, name).state_dict() for name in ("network", "mean", "optimiser")}
    content |= {name: getattr(state, name) for name in ("step", "curve", "losses", "seconds")}
    torch.save(content | {"config": asdict(config)}, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def load_state(config: Config, path: Path, device: torch.device) -> State:
    """The checkpoint of this configuration, or an untrained network. Raises ChiflowError when it is of another one; FREE may differ."""
    state = new_state(config, device)
    if path.is_file():
        content = torch.load(path, weights_only=True, map_location=device)
        stated = asdict(Config()) | content["config"]  # a checkpoint from before an option was one has its default
        changed = [key for key, value in asdict(config).items() if key not in FREE and stated[key] != value]
        if changed:
            raise ChiflowError(f"{path}: checkpoint of another configuration ({', '.join(changed)}): give its options, or another folder")
        for name in ("network", "mean", "optimiser"):
            getattr(state, name).load_state_dict(content[name])
        state.step, state.curve = content["step"], content["curve"]
        state.losses, state.seconds = content.get("losses", []), content.get("seconds", 0.0)
    return state


def place(config: Config, step: int) -> tuple[int, int, np.random.Generator]:
    """Shard and index of the sample of a step, and the generator of its turn."""
    rng = np.random.default_rng([config.seed, 1, step])
    return int(rng.integers(needed(config, step))), int(rng.integers(config.shard_size)), rng


def needed(config: Config, step: int) -> int:
    """How many shards a step draws from."""
    return min(config.shards, config.first_shards + step // config.steps_per_shard)


def rate(config: Config, step: int) -> float:
    """Learning rate of a step."""
    fall = (config.steps - step) / (config.fall * config.steps)
    return config.learning_rate * min(1, (step + 1) / config.warm_up, max(fall, 0))


def advance(state: State, config: Config, content: dict, rng: np.random.Generator) -> float:
    """One step on one sample; returns its loss."""
    start, truth = turned_at_random(*restored(content, state.device), rng)
    for group in state.optimiser.param_groups:
        group["lr"] = rate(config, state.step) * group["factor"]
    state.optimiser.zero_grad()
    loss = crop_loss(state.network, start, truth, rng) if state.step < config.crop_steps else loss_of(state.network(start), start, truth)
    if torch.isfinite(loss):
        loss.backward()
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
        state.optimiser.step()
    state.step += 1
    keep = min(config.running_mean, state.step / (state.step + 20))
    with torch.no_grad():
        for mean, now in zip(state.mean.parameters(), state.network.parameters()):
            mean.lerp_(now, 1 - keep)
    return float(loss.detach())


def crop_loss(network: Unrolled, start: Prepared, truth: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The loss of the first CNN on a crop round a voxel of the mask."""
    inside = start.mask > 0
    with torch.no_grad():
        problem = SourceProblem(start.field, start.mask, start.geometry, start.weight, PADDING)
        seen = inputs(problem.placed(start.start), start, problem)
        before = without_mean((start.start - truth)[inside])
    box = crop_box(inside, rng)
    part = seen[(slice(None), *box)]
    error = (SCALE * part[0] + network.corrections[0](part) - truth[box])[inside[box]]
    return error.abs().mean() / before.abs().mean() + 0.5 * error.square().mean().sqrt() / before.square().mean().sqrt()


def crop_box(inside: torch.Tensor, rng: np.random.Generator) -> tuple[slice, ...]:
    """A box of CROP voxels an axis round a random voxel of the mask, with LEAST_VOXELS of it, or the most of ten."""
    voxels = inside.nonzero()
    best, most = None, -1
    for _ in range(10):
        middle = voxels[int(rng.integers(len(voxels)))].tolist()
        first = [max(0, min(m - CROP // 2, n - CROP)) for m, n in zip(middle, inside.shape)]
        box = tuple(slice(f, f + CROP) for f in first)
        count = int(inside[box].sum())
        if count > most:
            best, most = box, count
        if most >= LEAST_VOXELS:
            break
    return best


def loss_of(found: Solution, start: Prepared, truth: torch.Tensor) -> torch.Tensor:
    """The loss above."""
    inside = start.mask > 0
    errors = [without_mean((x - truth)[inside]) for x in (start.start, *found.earlier, found.chi)]
    gains = [gain(error, errors[0]) for error in errors[1:]]
    error = errors[-1].detach().abs()
    over = error - found.u[inside]
    pinball = torch.maximum(QUANTILE * over, (QUANTILE - 1) * over).mean() / error.mean()
    return gains[-1] + EARLIER * sum(gains[:-1]) + pinball


def without_mean(values: torch.Tensor) -> torch.Tensor:
    """Values (N,) less their mean."""
    return values - values.mean()


def gain(error: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """log of the error over that of the start, by both norms."""
    return torch.log(error.abs().mean() / before.abs().mean()) + 0.5 * torch.log(error.norm() / before.norm())


@torch.no_grad()
def validated(network: Unrolled, contents: list[dict]) -> dict[str, float | None]:
    """Error of the network over that of its start (geometric mean, with and without a guide; None without such samples) and share of |error| < u."""
    ratios, covered = {True: [], False: []}, []
    for content in contents:
        start, truth = restored(content, network.log_pull.device)
        inside, found = start.mask > 0, network(start)
        error, before = (without_mean((x - truth)[inside]) for x in (found.chi, start.start))
        ratios[bool(start.guide.any())].append(float(torch.log(error.norm() / before.norm())))
        covered.append(float((error.abs() < found.u[inside]).float().mean()))
    mean = lambda values: math.exp(np.mean(values)) if values else None
    return {"guided_over_start": mean(ratios[True]), "unguided_over_start": mean(ratios[False]), "coverage": float(np.mean(covered))}
