"""Training of the unrolled inversion (invert/unrolled.py), resumable to the step.

A step on one sample, through the whole network:

    loss = log ‖x_K − χ‖₁/‖x₀ − χ‖₁ + ½ log ‖x_K − χ‖₂/‖x₀ − χ‖₂ + 0.2 (the same of x₁ … x_K₋₁) + pinball₀.₉(u, |x_K − χ|) / mean |x_K − χ|

x₀ is where guided TV ends, so every sample counts by what is gained on it, whether its noise is low or high. Maps are compared without their means.
The first steps are made with parts of heads and with shapes, the others with whole heads. Adam with warm-up, a constant rate and a linear fall in the
last part: first as if to end with the parts, then, from where the whole heads begin, to 0. A longer training starts as the shorter one did. What is kept
is a running mean of the weights.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from chiflow.core.errors import ChiflowError
from chiflow.invert.prepared import Prepared
from chiflow.invert.unrolled import CHANNELS, ITERATIONS, Solution, Unrolled
from chiflow.train.shards import SIZE, restored, turned_at_random

BETAS = (0.9, 0.99)
QUANTILE = 0.9
EARLIER = 0.2
SCALARS = 10  # times the rate: a_k and b_k are logarithms
FREE = ("steps", "checked_every", "validation_samples")  # what may change when a training goes on


@dataclass(frozen=True)
class Config:
    """What the weights depend on, besides the code and the label maps.

    shards : of parts of heads and of shapes; one more is needed every steps_per_shard steps. whole_shards : of whole heads, which the steps from whole_from on
    are made with. parts_end : the step at which the rate of the first steps would be 0. checked_every : steps
    between validations, on validation_samples samples; the weights do not depend on them.
    """

    seed: int = 0
    steps: int = 4000
    shards: int = 15
    whole_shards: int = 4
    whole_from: int = 3050
    parts_end: int = 3600
    first_shards: int = 1
    steps_per_shard: int = 140
    learning_rate: float = 5e-4
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
        return next(self.network.parameters()).device


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
    """Shard and index of the sample of a step, and the generator of its turn."""
    rng = np.random.default_rng([config.seed, 1, step])
    first = config.shards if step >= config.whole_from else 0
    return int(rng.integers(first, needed(config, step))), int(rng.integers(config.shard_size)), rng


def needed(config: Config, step: int) -> int:
    """How many shards there must be for a step."""
    if step >= config.whole_from:
        return config.shards + config.whole_shards
    return min(config.shards, config.first_shards + step // config.steps_per_shard)


def rate(config: Config, step: int) -> float:
    """Learning rate of a step."""
    fall = lambda step, end: max((end - step) / (config.fall * end), 0)
    return config.learning_rate * min(1, (step + 1) / config.warm_up, fall(min(step, config.whole_from), config.parts_end), fall(step, config.steps))


def advance(state: State, config: Config, content: dict, rng: np.random.Generator) -> float:
    """One step on one sample; returns its loss."""
    start, truth = turned_at_random(*restored(content, state.device), rng)
    return stepped(state, lambda: loss_of(state.network(start), start, truth), rate(config, state.step), config.running_mean)


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
