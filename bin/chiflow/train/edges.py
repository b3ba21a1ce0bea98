"""Doubtful edges with known answers, which the network that judges them (unwrap/edges.py) is trained on, kept on disk.

    loss = −(mean log σ(l) over right edges + mean log σ(−l) over wrong ones) / 2         l = network(x)

One echo each of drawn objects (simulate/phases.py). Right is an edge whose wrapped step is that of the phases with their right turns. Wrong ones are a
fiftieth of all, so a batch takes half of each kind: what counts is their order.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from chiflow.core.progress import progress
from chiflow.core.spanning_tree import edge_quality, in_turns, pair
from chiflow.core.units import TWO_PI
from chiflow.simulate.phases import PhaseSample, drawn_phases, made_phases
from chiflow.train.heads import keep_arrays
from chiflow.unwrap.edges import EDGE_FEATURES, doubtful, doubtful_share, edge_features, placed, steps_of

OF_AXIS = 6000  # edges of an object that are kept at most
HIDDEN, STEPS, BATCH, RATE = 32, 2500, 2048, 5e-3


def edge_stock(folder: Path, seed: int, objects: int) -> Path:
    """The file of edges from so many objects, made when it is not there."""
    path = folder / f"edges_{seed}_{objects}.npz"
    if not path.is_file():
        rngs = [np.random.default_rng([seed, 1, number]) for number in progress(range(objects), "edges")]
        x, right, share = (np.concatenate(parts) for parts in zip(*(known_edges(made_phases(drawn_phases(rng)), rng) for rng in rngs)))
        keep_arrays(path, {"x": x, "right": right, "share": share})
    return path


def known_edges(sample: PhaseSample, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, EDGE_FEATURES) of doubtful edges of one echo of a sample, one of whose ends has signal; whether each is right (n,); share of them all (1,)."""
    echo = int(rng.integers(len(sample.times_s)))
    phase, truth, seen, size = (np.ascontiguousarray(a[..., echo]) for a in (sample.phase, sample.truth, sample.seen, sample.magnitude))
    magnitude = size / np.percentile(size[sample.mask], 95)
    turns, steps, rows = np.rint((truth - phase) / TWO_PI), steps_of(phase, magnitude, sample.mask), []
    qualities = [edge_quality(in_turns(phase), magnitude, axis) for axis in range(3)]
    for axis, quality in enumerate(qualities):
        i, j = pair(axis)
        at = doubtful(quality, sample.mask, axis)
        at = at[(seen[i] | seen[j]).ravel()[at]]
        at = rng.choice(at, min(at.size, OF_AXIS), replace=False)
        right = (turns[j] - turns[i]).ravel()[at] == np.rint((phase[i] - phase[j]) / TWO_PI).ravel()[at]
        rows.append((edge_features(steps, axis, placed(at, quality.shape, steps)), right))
    return *(np.concatenate(parts) for parts in zip(*rows)), np.array([doubtful_share(qualities, sample.mask)])


def fitted_edges(path: Path, seed: int, steps: int = STEPS, hidden: int = HIDDEN) -> tuple[list[torch.nn.Linear], dict[str, float]]:
    """The layers of the trained network, and its figures: the area under the curve of wrong edges found against right ones blamed, on the last tenth, and the largest share."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    content = np.load(path)
    x, right = torch.from_numpy(content["x"]), torch.from_numpy(content["right"])
    linear, relu, kept = torch.nn.Linear, torch.nn.ReLU, len(x) * 9 // 10
    network = torch.nn.Sequential(linear(EDGE_FEATURES, hidden), relu(), linear(hidden, hidden), relu(), linear(hidden, 1))
    optimiser = torch.optim.Adam(network.parameters(), betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    kinds = [torch.nonzero(right[:kept] == kind).flatten() for kind in (False, True)]
    for _ in progress(range(steps), "training of edges"):
        chosen = torch.cat([places[torch.randint(len(places), (BATCH // 2,))] for places in kinds])
        loss = binary_cross_entropy_with_logits(network(x[chosen])[:, 0], right[chosen].float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        area = area_under(network(x[kept:])[:, 0].numpy(), right[kept:].numpy())
    return [layer for layer in network if isinstance(layer, linear)], {"AreaUnderCurve": area, "Edges": len(x), "Wrong": int((~right).sum()), "LargestShare": float(content["share"].max())}


def area_under(score: np.ndarray, right: np.ndarray) -> float:
    """Share of pairs of a right and a wrong edge in which the right one has the higher score."""
    rank = np.empty(score.size)
    rank[np.argsort(score, kind="stable")] = np.arange(score.size)
    good = int(right.sum())
    return float((rank[right].sum() - good * (good - 1) / 2) / max(good * (right.size - good), 1))
