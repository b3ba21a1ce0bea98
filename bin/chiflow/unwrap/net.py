"""The tree (tree.py) with what two small networks know: all of it adds multiples of 2π and nothing else.

    one echo        the doubtful edges of the tree are judged by a network (edges.py)
    more echoes     after the tree, the integer of every doubtful voxel and echo is voted on, and a network weighs the votes (votes.py)

With more echoes the edges leave next to nothing to gain, and with one the votes lack the witness that cannot be deceived in space. Where a scan is
unlike the training (core/ranges.py) the tree stands alone, and the checks of the record say so. Figures of a scan:

    one echo        DoubtfulShare = edges of the mask that are not good by hand
    more echoes     Echoes, LastToFirst = TE_E / TE_1, AskedShare = voxels and echoes that are doubtful, PhaseNoiseRad = σ/√w of the median voxel's first echo
"""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import find_objects

from chiflow.core.contracts import Check, worst
from chiflow.core.errors import ChiflowError
from chiflow.core.ranges import OUTSIDE, in_ranges, lowered, reasons
from chiflow.core.weights import load_arrays
from chiflow.unwrap.edges import EDGE_FEATURES, doubtful_share, judged
from chiflow.unwrap.tree import tree
from chiflow.unwrap.votes import FEATURES, RIM, WITNESSES, Around, Echoes, around, deviation, unsure, voted

WEIGHTS = Path(__file__).resolve().parents[3] / "weights" / "unwrapping.safetensors"
PARTS = {"votes": (FEATURES, len(WITNESSES)), "edges": (EDGE_FEATURES, 1)}  # features that a network takes, values that it gives
Layers = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Unwrapped:
    """Phase (X, Y, Z, E) float32 rad, 0 outside the mask, with parameters, figures, checks and warnings for the record."""

    phase: np.ndarray
    parameters: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def net(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float], *, weights: Path = WEIGHTS) -> np.ndarray:
    """Unwrapped phase (X, Y, Z, E) float32 rad, 0 outside the mask, from offset-free phase (X, Y, Z, E) in rad.

    magnitude : (X, Y, Z, E). mask : (X, Y, Z) bool. echo_times_s : E ≥ 1 times in s. weights : of the network.
    """
    return by_net(phase, magnitude, mask, echo_times_s, weights=weights).phase


def by_net(phase, magnitude, mask, echo_times_s, *, weights: Path = WEIGHTS, guard: bool = True) -> Unwrapped:
    """As `net`, with what the record says. guard : the tree alone where the scan is unlike the training. Raises ChiflowError for weights that are refused."""
    votes, edges, card = loaded(weights)
    scan = phase, magnitude, mask, echo_times_s
    said = Unwrapped(phase, {"Weights": weights.name, "Sha256": card["Sha256"]})
    ranges = card["Ranges"] if guard else {}
    return by_edges(*scan, edges, ranges, said) if len(echo_times_s) == 1 else by_votes(*scan, votes, ranges, said)


def by_edges(phase, magnitude, mask, echo_times_s, layers: Layers, ranges: dict, said: Unwrapped) -> Unwrapped:
    """The tree of a single echo along judged edges."""
    figures = {}

    def judge(base, size, inside, qualities):
        figures["DoubtfulShare"] = doubtful_share(qualities, inside)
        return judged(base, size, inside, qualities, layers) if worst(checks(figures, ranges)) != "fail" else qualities

    unwrapped = tree(phase, magnitude, mask, echo_times_s, judge=judge)
    return with_record(said, unwrapped, figures, checks(figures, ranges))


def by_votes(phase, magnitude, mask, echo_times_s, layers: Layers, ranges: dict, said: Unwrapped) -> Unwrapped:
    """The tree, then votes."""
    unwrapped = tree(phase, magnitude, mask, echo_times_s)
    echoes, values, box = gathered(unwrapped, phase, magnitude, mask, echo_times_s)
    near = around(values, echoes)
    asked = [unsure(echo, values, echoes, near) for echo in range(len(echoes.times))]
    figures = figures_of(values, echoes, near, asked)
    compared = checks(figures, ranges)
    if worst(compared) != "fail":
        values, found = voted(values, echoes, layers, near, asked)
        figures |= found
        inside = np.ascontiguousarray(mask.T[box])
        for echo, volume in zip(values, unwrapped.T):  # .T: images lie in memory with x fastest
            volume[box][inside] = echo
    return with_record(said, unwrapped, figures, compared)


def with_record(said: Unwrapped, unwrapped: np.ndarray, figures: dict[str, float], compared: list[Check]) -> Unwrapped:
    """The result with its figures and checks, and a warning when the tree stands alone for what failed."""
    figures = rounded(figures)
    if worst(compared) != "fail":
        return Unwrapped(unwrapped, said.parameters, figures, compared)
    warning = f"the network is not used, the tree stands alone: {reasons(compared)}"
    return Unwrapped(unwrapped, said.parameters | {"Fallback": "tree"}, figures, lowered(compared), [warning])


def gathered(unwrapped, phase, magnitude, mask, echo_times_s) -> tuple[Echoes, np.ndarray, tuple[slice, ...]]:
    """The echoes in the mask, what they are unwrapped to (E, N), and the box of the mask in the transposed volume."""
    box = find_objects(mask.T.astype(np.uint8))[0]
    inside = np.ascontiguousarray(mask.T[box])
    phases, magnitudes, values = (np.stack([echo[box][inside] for echo in a.T]).astype(np.float32) for a in (phase, magnitude, unwrapped))
    wider = np.pad(inside, RIM)
    return Echoes(phases, magnitudes**2, np.asarray(echo_times_s, np.float64), wider.shape, np.flatnonzero(wider)), values, box


def figures_of(values: np.ndarray, echoes: Echoes, near: Around, asked: list[np.ndarray]) -> dict[str, float]:
    """What of a scan decides whether the network has seen the like; values (E, N) as the tree unwraps them; asked : what is `unsure` of each echo."""
    share = sum(part.size for part in asked) / max(values.size, 1)
    return {"Echoes": len(asked), "LastToFirst": float(echoes.times[-1] / echoes.times[0]), "AskedShare": share,
            "PhaseNoiseRad": float(deviation(np.median(echoes.weights[0]), near.sigma))}


def checks(figures: dict[str, float], ranges: dict[str, list[float]]) -> list[Check]:
    """The figures beside the ranges of the card; no network is to be asked when one fails."""
    return in_ranges(rounded(figures), ranges, f"{OUTSIDE}unwrapping")


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """Four digits of each, which the record has."""
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


@lru_cache(maxsize=2)
def loaded(weights: Path) -> tuple[Layers, Layers, dict]:
    """The layers of the votes and of the edges, (matrix, bias) each, of a weights file, and its card. Raises ChiflowError for those of another form."""
    arrays, card = load_arrays(weights)
    networks = [[(arrays[f"{part}.matrix{n}"], arrays[f"{part}.bias{n}"]) for n in range(sum(name.startswith(f"{part}.m") for name in arrays))] for part in PARTS]
    for layers, (part, ends) in zip(networks, PARTS.items()):
        if not layers or (layers[0][0].shape[0], layers[-1][0].shape[1]) != ends:
            raise ChiflowError(f"{weights}: its {part} do not lead from {ends[0]} features to {ends[1]}: take weights and pipeline from one release")
    return *networks, card
