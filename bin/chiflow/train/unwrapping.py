"""Training of the networks of an unwrapping: that which weighs witnesses (unwrap/votes.py), here, and that which judges edges (train/edges.py).

    loss = softplus((|μ − û| − π) / τ) + 0.1 huber(μ − û₀)         μ = Σ a_c m_c

û is the right unwrapped phase and û₀ the same without its noise: the first term counts the wrong integers, the second pulls where all are right.
A batch is half of objects and half of heads; the last tenth of the shards is held out. Ballots that no witness has right, since a whole region around is
off by 2π, are left out.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch.nn.functional import smooth_l1_loss, softplus

from chiflow.core.progress import progress
from chiflow.train.ballots import shard
from chiflow.train.card import command, curve_of, rounded, with_card
from chiflow.train.edges import STEPS, edge_stock, fitted_edges
from chiflow.train.heads import pinned
from chiflow.unwrap.votes import FEATURES, WITNESSES

NAME = "unwrapping"
CODE = ("core", "phantom", "simulate", "train", "unwrap")  # folders that the weights depend on
FIGURES = ("Echoes", "LastToFirst", "AskedShare", "PhaseNoiseRad")  # as figures_of of unwrap/net.py gives them
EASIER_BELOW = ("AskedShare", "PhaseNoiseRad")  # less of them than ever trained on is no reason to doubt
TEMPERATURE, CEILING, PULL = 0.3, 8.0, 0.1
LIMITS = [
    "Trained on simulated objects and heads of a phantom. Only the integer of single voxels and small clusters is voted on; a region that the tree leaves off by 2π stays so.",
    "Echoes must be coherent, without phase offset (rest up to 0.5 rad), as the combination leaves them.",
]


@dataclass(frozen=True)
class Config:
    """shards : of ballots. hidden : width of the two hidden layers of the votes. batch : ballots of a step. edge_objects : that edges are drawn from."""

    seed: int = 0
    shards: int = 15
    steps: int = 4000
    hidden: int = 48
    batch: int = 4096
    learning_rate: float = 5e-3
    checked_every: int = 500
    edge_objects: int = 200
    edge_steps: int = STEPS


@dataclass(frozen=True)
class Ballots:
    """Features (n, X), witnesses (n, C) and the phase without noise (n,), both from the right phase in rad, and which are of heads; figures of the scans they come from."""

    x: torch.Tensor
    away: torch.Tensor
    quiet: torch.Tensor
    of_head: torch.Tensor
    figures: np.ndarray


def write_unwrapping(config: Config, folder: Path, out: Path) -> Path:
    """Draw what is missing of the ballots in `folder`, train, and write weights and card to `out`; returns the path of the weights."""
    begun = time.monotonic()
    code = pinned(folder / "ballots" / "data.json", {}, CODE)
    paths = [shard(folder / "ballots", config.seed, number) for number in progress(range(config.shards), "ballots")]
    kept = max(len(paths) - max(len(paths) // 10, 1), 1)
    trained, held_out = read(paths[:kept]), read(paths[kept:] or paths)
    network, curve = fitted(config, trained, held_out)
    edges, order = fitted_edges(edge_stock(folder / "ballots", config.seed, config.edge_objects), config.seed, config.edge_steps)
    arrays = arrays_of("votes", [layer for layer in network if isinstance(layer, torch.nn.Linear)]) | arrays_of("edges", edges)
    card = {"Architecture": {"Class": "chiflow.unwrap.votes and chiflow.unwrap.edges", "Stored": "float32", "Parameters": sum(a.size for a in arrays.values())},
            "Training": {"Command": command(), "Config": asdict(config), "Seconds": round(time.monotonic() - begun),
                         "Data": "simulated objects and heads of the phantom", "Sha256OfCode": code},
            "ValidationCurve": curve_of(curve),
            "OrderOfEdges": rounded(order), "Licence": "MIT", "Ranges": ranges(trained.figures) | {"DoubtfulShare": [0.0, rounded(order["LargestShare"])]}, "Limits": LIMITS}
    return with_card(out, NAME, save(arrays), card)


def arrays_of(part: str, layers: list[torch.nn.Linear]) -> dict[str, np.ndarray]:
    """Matrices (in, out) and biases of a network by the names that unwrap/net.py reads."""
    arrays = {f"{part}.matrix{n}": np.ascontiguousarray(layer.weight.detach().numpy().T) for n, layer in enumerate(layers)}
    return arrays | {f"{part}.bias{n}": layer.bias.detach().numpy() for n, layer in enumerate(layers)}


def read(paths: list[Path]) -> Ballots:
    """The ballots of some shards that a witness has right."""
    contents = [np.load(path) for path in paths]
    x, away, quiet, of_head, figures = (np.concatenate([content[name] for content in contents]) for name in ("x", "away", "quiet", "of_head", "figures"))
    possible = np.abs(away).min(axis=1) < np.pi
    return Ballots(*(torch.from_numpy(a[possible]) for a in (x, away, quiet, of_head)), figures)


def fitted(config: Config, trained: Ballots, held_out: Ballots) -> tuple[torch.nn.Sequential, list[dict[str, float]]]:
    """The trained network, and a row for each check; the same config and ballots give the same weights on one machine."""
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    linear, relu, width = torch.nn.Linear, torch.nn.ReLU, config.hidden
    network = torch.nn.Sequential(linear(FEATURES, width), relu(), linear(width, width), relu(), linear(width, len(WITNESSES)))
    optimiser = torch.optim.Adam(network.parameters(), betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.steps)
    kinds = [places for places in (torch.nonzero(~trained.of_head).flatten(), torch.nonzero(trained.of_head).flatten()) if len(places)]
    rows, losses = [], []
    for step in progress(range(1, config.steps + 1), "training"):
        chosen = torch.cat([places[torch.randint(len(places), (config.batch // len(kinds),))] for places in kinds])
        loss = loss_of(network, trained.x[chosen], trained.away[chosen], trained.quiet[chosen])[0]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if step % config.checked_every == 0 or step == config.steps:
            rows.append({"step": step, "loss": float(np.mean(losses))} | checked(network, held_out))
            losses.clear()
    return network, rows


def loss_of(network: torch.nn.Sequential, x: torch.Tensor, away: torch.Tensor, quiet: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss, and how far the weighed mean μ (n,) lies from the right phase in rad."""
    mean = (network(x).softmax(1) * away).sum(1)
    wrong = softplus((mean.abs() - torch.pi) / TEMPERATURE).clamp(max=CEILING).mean()
    return wrong + PULL * smooth_l1_loss(mean, quiet), mean


@torch.no_grad()
def checked(network: torch.nn.Sequential, ballots: Ballots) -> dict[str, float]:
    """Shares of held-out ballots that the network, and that the best single witness has wrong."""
    loss, mean = loss_of(network, ballots.x, ballots.away, ballots.quiet)
    return {"loss_held_out": float(loss), "wrong": float((mean.abs() > torch.pi).float().mean()),
            "wrong_of_best_witness": float((ballots.away.abs() > torch.pi).float().mean(0).min())}


def ranges(figures: np.ndarray) -> dict[str, list[float]]:
    """Least and largest of each figure (n, F) of the scans of the training."""
    return {name: [0.0 if name in EASIER_BELOW else rounded(float(column.min())), rounded(float(column.max()))] for name, column in zip(FIGURES, figures.T)}
