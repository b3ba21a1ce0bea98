"""Integers of single voxels by a vote of what is around them, in space and in time, with weights by a small network.

Of all echoes together a voxel has the slope F = Σ w u TE / Σ w TE² (rad/s) and its weight W = Σ w TE², w = magnitude². Witnesses m_c of the
phase of an echo e, none of which has seen it:

    time      TE F of the other echoes                     six, ball, wide    TE ⟨F⟩ over neighbours 1, √3 and 2√3 voxels away, weighted by W
    flat      TE (F₊ + F₋)/2 along the axis with the least |F₊ − F₋|           middle    the same, median of the axes
    own six   ⟨u_e⟩ over the six neighbours                own flat           (u₊ + u₋)/2 along the axis of flat

    μ = Σ a_c m_c,     a = softmax(network(x)),     n = round((μ − φ) / 2π)

x are the standard deviations that noise gives the witnesses, spreads of the neighbours, and distances |m_c − m_six| and |m_c − m_time|, each
x / (1 + x) with x in rad: none of it changes when the phase changes its sign or gets an offset, when axes are flipped or swapped, or with the unit
of the magnitude. The network only weighs witnesses: what comes out is φ + 2π n.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import correlate1d

from chiflow.core.spanning_tree import add_wraps
from chiflow.core.units import TWO_PI

WITNESSES = ("time", "six", "ball", "wide", "flat", "middle", "own six", "own flat")
FEATURES = 24
SURE = np.float32(2.5)  # rad: where time and ball are nearer than that to a voxel, nobody is asked
CLEAR = 0.2  # rad, standard deviation of time: fifteen of them are a half turn
PASSES = 2  # the second asks only around what the first has changed
WORTH = 0.006  # share of voxels and echoes that a pass must have changed for another to pay: heads have 0.005, and a second pass leaves them as they are
FAR = np.float32(30)  # rad, of a witness that is not there
TINY = np.float32(1e-20)
MAD_TO_SIGMA = 1.4826
SAMPLE = 100_000  # voxels that are enough for a median
CHUNK = 65536  # ballots at a time, which stay in the cache
RIM = 2  # free voxels around the mask that the widest kernel needs
BALL = np.float32(np.exp(-0.5 / 0.8**2))  # a Gaussian of 0.8 voxels, one voxel off its middle
WIDE = np.exp(-0.5 * (np.arange(-2, 3) / 1.4) ** 2)


@dataclass(frozen=True)
class Echoes:
    """Phases (E, N) in rad and weights w (E, N) of the voxels at `place` (N,) in a raveled volume of `shape` with a free rim of RIM voxels; times in s (E,)."""

    phases: np.ndarray
    weights: np.ndarray
    times: np.ndarray
    shape: tuple[int, int, int]
    place: np.ndarray

    @property
    def steps(self) -> tuple[int, int, int]:
        """From a voxel to the next one along each axis, in the raveled volume."""
        return self.shape[1] * self.shape[2], self.shape[2], 1

    def volume(self, values: np.ndarray) -> np.ndarray:
        """The raveled volume, float32, with values (N,) in the mask and 0 elsewhere."""
        volume = np.zeros(int(np.prod(self.shape)), np.float32)
        volume[self.place] = values
        return volume


class Around(NamedTuple):
    """Mean slope and weight of the neighbours of each voxel (N,) in ball and wide, their spread in ball; slope and weight of the voxels as raveled volumes; σ."""

    means: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    spread: np.ndarray
    slope: np.ndarray
    weight: np.ndarray
    sigma: float


class Pairs(NamedTuple):
    """Of the two neighbours along each axis, axes ordered by how much the two differ (or as told): see ballots."""

    order: np.ndarray
    there: np.ndarray
    steps: np.ndarray
    mean: np.ndarray
    weight: np.ndarray
    six: np.ndarray
    six_weight: np.ndarray
    spread: np.ndarray


def voted(unwrapped: np.ndarray, echoes: Echoes, layers: list[tuple[np.ndarray, np.ndarray]], near: Around, asked: list[np.ndarray]) -> tuple[np.ndarray, dict[str, float]]:
    """Unwrapped phase (E, N) after the votes, and figures: shares of voxels and echoes that were left with a narrow vote, and that changed.

    layers : the network's, (matrix, bias) each. near : around(unwrapped, echoes). asked : what is `unsure` of each echo.
    """
    begun, narrow = unwrapped, 0
    for number in range(PASSES):
        after = unwrapped.copy()
        for echo, phases in enumerate(echoes.phases):
            chosen = asked[echo]
            volumes = volumes_of(echo, unwrapped, echoes)
            for part in (chosen[start : start + CHUNK] for start in range(0, chosen.size, CHUNK)):
                x, witnesses = ballots(echo, part, unwrapped, echoes, near, volumes)
                mean = (shares(x, layers) * witnesses).sum(1)
                after[echo, part] = add_wraps(phases[part], np.rint((mean - phases[part]) * np.float32(1 / TWO_PI)))
                narrow += np.count_nonzero(np.abs(after[echo, part] - mean) > SURE) if number == 0 else 0
        moved, unwrapped = np.abs(after - unwrapped) > 1, after
        if np.count_nonzero(moved) < WORTH * moved.size:
            break
        if number + 1 < PASSES:
            changed = moved.any(axis=0)
            touched = np.flatnonzero(changed | (summed(echoes.volume(changed), echoes, "ball")[echoes.place] > BALL**3 / 2))
            near = around(unwrapped, echoes)
            asked = [unsure(echo, unwrapped, echoes, near, touched) for echo in range(len(echoes.times))]
    count = max(unwrapped.size, 1)
    return unwrapped, {"NarrowShare": narrow / count, "ChangedShare": np.count_nonzero(np.abs(unwrapped - begun) > 1) / count}


def around(unwrapped: np.ndarray, echoes: Echoes) -> Around:
    """What each voxel has around it, from all echoes (E, N)."""
    slope, weight = slope_of(range(len(echoes.times)), unwrapped, echoes.weights, echoes.times)
    weight = np.maximum(weight, TINY)
    centred = slope - np.median(slope[:: max(1, slope.size // SAMPLE)])  # so that squares stay small
    volumes = [echoes.volume(values) for values in (weight, weight * centred, weight * centred**2)]
    means, weights = {}, {}
    for name in ("ball", "wide"):
        total, top, *square = (summed(volume, echoes, name)[echoes.place] for volume in volumes[: 2 if name == "wide" else 3])
        mean = top / np.maximum(total, TINY)
        means[name], weights[name] = mean + (slope[0] - centred[0]), total
        if square:
            spread = np.sqrt(np.maximum(square[0] / np.maximum(total, TINY) - mean**2, 0))
    found = Around(means, weights, spread, echoes.volume(slope), volumes[0], 0.0)
    return found._replace(sigma=noise(unwrapped, echoes, found))


def slope_of(known, unwrapped, weights, times) -> tuple[np.ndarray, np.ndarray]:
    """F (N,) in rad/s and W (N,) of the known ones of the echoes (E, N); both 0 when there is none."""
    top, total = np.zeros_like(weights[0]), np.zeros_like(weights[0])
    for k in known:
        top += weights[k] * unwrapped[k] * np.float32(times[k])
        total += weights[k] * np.float32(times[k] ** 2)
    return top / np.maximum(total, TINY), total


def others(echo: int, times) -> list[int]:
    """All echoes but one."""
    return [k for k in range(len(times)) if k != echo]


def summed(volume: np.ndarray, echoes: Echoes, name: str) -> np.ndarray:
    """Sum over the neighbours of each voxel of a raveled volume, the voxel itself left out."""
    if name == "wide":
        result = volume.reshape(echoes.shape)
        for axis in range(3):
            result = correlate1d(result, WIDE, axis=axis, mode="constant")
        return result.ravel() - volume  # the middle of a kernel is 1
    result = volume.copy()
    for step in echoes.steps:
        given = BALL * result
        result[step:] += given[:-step]
        result[:-step] += given[step:]
    return result - volume


def noise(unwrapped: np.ndarray, echoes: Echoes, near: Around) -> float:
    """σ in rad of the phase at magnitude 1: from what the other echoes say of each echo, or the ball around each voxel of a single one."""
    step, found = max(1, unwrapped.shape[1] // SAMPLE), []
    some, weights = unwrapped[:, ::step], echoes.weights[:, ::step]
    for e, time in enumerate(echoes.times):
        known = others(e, echoes.times)
        slope, total = slope_of(known, some, weights, echoes.times) if known else (near.means["ball"][::step], near.weights["ball"][::step])
        variance = 1 / np.maximum(weights[e], TINY) + np.float32(time**2) / np.maximum(total, TINY)
        found.append(MAD_TO_SIGMA * np.median(np.abs(some[e] - slope * np.float32(time)) / np.sqrt(variance)))
    return float(np.median(found))


def unsure(echo: int, unwrapped: np.ndarray, echoes: Echoes, near: Around, within: np.ndarray | None = None) -> np.ndarray:
    """Indices (n,) of the voxels of an echo, of those `within` if told, that time or ball would have elsewhere, or nearly so.

    Where noise gives time less than CLEAR, space has no say: a steep field is not a wrong one.
    """
    part, time = slice(None) if within is None else within, np.float32(echoes.times[echo])
    values = unwrapped[echo, part]
    far = np.abs(near.means["ball"][part] * time - values) > SURE
    if len(echoes.times) > 1:
        slope, total = slope_of(others(echo, echoes.times), unwrapped[:, part], echoes.weights[:, part], echoes.times)
        far &= total * np.float32(CLEAR**2) < np.float32(near.sigma * time) ** 2
        far |= np.abs(slope * time - values) > SURE
    return np.flatnonzero(far) if within is None else within[far]


def ballots(echo: int, chosen: np.ndarray, unwrapped: np.ndarray, echoes: Echoes, near: Around, volumes) -> tuple[np.ndarray, np.ndarray]:
    """Features x (n, FEATURES) and witnesses m (n, WITNESSES) in rad of the chosen voxels of an echo, float32; volumes : of the echo, by volumes_of."""
    time, at, known = np.float32(echoes.times[echo]), echoes.place[chosen], others(echo, echoes.times)
    own_values, own_weights = unwrapped[:, chosen], echoes.weights[:, chosen]
    slope, total = slope_of(known, own_values, own_weights, echoes.times)
    joint = pairs(near.slope, near.weight, at, echoes)
    own = pairs(*volumes, at, echoes, joint.order)
    means, sums = ([kind[name][chosen] for name in ("ball", "wide")] for kind in (near.means, near.weights))
    six = np.where(joint.six_weight > 0, joint.six, slope)
    middle = np.where(joint.there[2], np.median(joint.mean, axis=0), (joint.mean[0] + joint.mean[1]) / 2)
    of_all = [np.where(total > 0, slope, six), six, *(np.where(sums[0] > 0, mean, slope) for mean in means),
              np.where(joint.there[0], joint.mean[0], six), np.where(joint.there[1], middle, six)]
    own_six = np.where(own.six_weight > 0, own.six, six * time)
    witnesses = np.stack([*(m * time for m in of_all), own_six, np.where(own.there[0], own.mean[0], own_six)], axis=1)
    reached = [weight / time**2 for weight in (total, joint.six_weight, *sums, joint.weight[0] * joint.there[0])]
    x = [deviation(weight, near.sigma) for weight in (own_weights[echo], *reached, own.six_weight)]
    x += [misfit(known, slope, own_values, own_weights, echoes.times), joint.spread * time, near.spread[chosen] * time, *(joint.steps * time), own.spread]
    x += [np.abs(witnesses[:, c] - witnesses[:, 1]) for c in (0, 2, 3, 4, 5, 6, 7)] + [np.abs(witnesses[:, 0] - witnesses[:, c]) for c in (2, 4, 6)]
    x = np.stack(x, axis=1).astype(np.float32)
    return x / (1 + x), witnesses.astype(np.float32)


def volumes_of(echo: int, unwrapped: np.ndarray, echoes: Echoes) -> tuple[np.ndarray, np.ndarray]:
    """Raveled volumes of what an echo is unwrapped to and of its weights."""
    return echoes.volume(unwrapped[echo]), echoes.volume(echoes.weights[echo])


def deviation(weight: np.ndarray, sigma: float) -> np.ndarray:
    """σ/√weight in rad, FAR where there is no weight."""
    return np.minimum(np.float32(sigma) / np.sqrt(np.maximum(weight, TINY)), FAR)


def misfit(known, slope, unwrapped, weights, times) -> np.ndarray:
    """How far (n,) in rad the known echoes lie from their slope (n,)."""
    total = np.maximum(sum((weights[k] for k in known), np.zeros_like(slope)), TINY)
    return np.sqrt(sum((weights[k] * (unwrapped[k] - slope * np.float32(times[k])) ** 2 for k in known), np.zeros_like(slope)) / total)


def pairs(volume: np.ndarray, weight: np.ndarray, at: np.ndarray, echoes: Echoes, order: np.ndarray | None = None) -> Pairs:
    """Means and differences of the pairs of neighbours of the voxels `at`, from raveled volumes of values and weights."""
    low, high = (np.stack([volume[at + sign * step] for step in echoes.steps]) for sign in (-1, 1))
    below, above = (np.stack([weight[at + sign * step] for step in echoes.steps]) for sign in (-1, 1))
    both = (below > 0) & (above > 0)
    steps = np.where(both, np.abs(high - low) / 2, np.float32(1e6))
    order = np.argsort(steps, axis=0, kind="stable") if order is None else order
    total = np.maximum(below.sum(0) + above.sum(0), TINY)
    six = (low * below + high * above).sum(0) / total
    spread = np.sqrt(((low - six) ** 2 * below + (high - six) ** 2 * above).sum(0) / total)
    joined = 4 / (1 / np.maximum(below, TINY) + 1 / np.maximum(above, TINY))
    there, steps, mean, joined = (np.take_along_axis(a, order, axis=0) for a in (both, steps, (low + high) / 2, joined))
    return Pairs(order, there, steps, mean, joined, six, below.sum(0) + above.sum(0), spread)


def shares(x: np.ndarray, layers: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """softmax of a perceptron (n, WITNESSES) of features x (n, FEATURES), with ReLU between its layers."""
    for matrix, bias in layers[:-1]:
        x = np.maximum(x @ matrix + bias, 0)
    x = x @ layers[-1][0] + layers[-1][1]
    x = np.exp(x - x.max(axis=1, keepdims=True))
    return x / x.sum(axis=1, keepdims=True)
