"""One echo in space, the others in time, noisy voxels by both.

The template echo is unwrapped along a maximum spanning tree. Every other echo e follows what the echoes before it predict:

    p = TE Σ w u TE / Σ w TE²,     n = round((p − φ) / 2π),     σp² = σ² (1/w + TE² / Σ w TE²),      w = magnitude²

with σ from the median of |u − p|. Where σp is large, p is joined with the mean m of the six neighbours and its variance v:

    n = round(((p/σp² + m/σm²) / (1/σp² + 1/σm²) − φ) / 2π),      σm² = 2v + σ²/w

Then every echo is set once more against all the others, so that a mistake of the template does not stay alone.

References: Dymerska 2021 (10.1002/mrm.28563) for the template and the prediction.
"""

import numpy as np
from scipy.ndimage import find_objects

from chiflow.core.spanning_tree import add_wraps, unwrap_volume
from chiflow.core.units import TWO_PI
from chiflow.unwrap.echoes import settle_parts

LONGEST_STEP = 3.0  # TE of the next echo / TE of the template: noise grows by it, wraps by the template's TE
UNSURE = 0.6  # rad, σp: half a turn is five of them
MAD_TO_SIGMA = 1.4826


def tree(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float], *, judge=None) -> np.ndarray:
    """Unwrapped phase (X, Y, Z, E) float32 rad, 0 outside the mask, from offset-free phase (X, Y, Z, E) in rad.

    magnitude : (X, Y, Z, E). mask : (X, Y, Z) bool. echo_times_s : E ≥ 1 times in s. The template is the first echo that the next
    follows within three times its echo time. judge : of its doubtful edges, see unwrap_volume.
    """
    times = np.asarray(echo_times_s, dtype=np.float64)
    box = find_objects(mask.T.astype(np.uint8))[0]  # .T all along: images lie in memory with x fastest
    inside = np.pad(mask.T[box], 1)
    phases, weights = ([np.pad(a.T[e][box], 1) for e in range(len(times))] for a in (phase, magnitude))
    template = next((e for e in range(len(times) - 1) if times[e + 1] <= LONGEST_STEP * times[e]), len(times) - 1)
    other = min(template + 1, len(times) - 1) if template + 1 < len(times) else max(template - 1, 0)
    reference = (None, 1.0) if len(times) == 1 else (phases[other].T, times[template] / times[other])
    first = unwrap_volume(phases[template].T, weights[template].T, inside.T, *reference, judge).T[inside]
    phases, weights = (np.stack([a[inside] for a in arrays]) for arrays in (phases, weights))
    first = settle_parts(first, template, phases, weights, inside, times)
    unwrapped = along_echoes(first, template, phases, weights**2, inside, times)
    result = np.zeros(phase.T.shape, np.float32)
    for echo, values in zip(result, unwrapped):
        echo[box][inside[1:-1, 1:-1, 1:-1]] = values
    return result.T


def along_echoes(first, template, phases, weights, mask, times) -> np.ndarray:
    """All echoes (E, N) unwrapped from the template's values (N,) on; mask (X, Y, Z) has a free rim of one voxel."""
    unwrapped = np.empty_like(phases)
    unwrapped[template] = add_wraps(phases[template], np.rint((first - phases[template]) / np.float32(TWO_PI)))
    place = np.flatnonzero(mask)
    order = [template, *range(template + 1, len(times)), *range(template - 1, -1, -1)]
    for number, echo in enumerate(order[1:], 1):
        unwrapped[echo] = settled(echo, order[:number], unwrapped, phases, weights, mask.shape, place, times)
    for echo in order if len(times) > 1 else ():
        unwrapped[echo] = settled(echo, [e for e in order if e != echo], unwrapped, phases, weights, mask.shape, place, times)
    return unwrapped


def settled(echo, known, unwrapped, phases, weights, shape, place, times) -> np.ndarray:
    """One echo (N,) unwrapped against the known ones and, where that is unsure, its neighbours; place (N,) are its voxels in the raveled shape."""
    phase, weight = phases[echo], np.maximum(weights[echo], np.float32(1e-20))
    numerator = sum(weights[e] * unwrapped[e] * np.float32(times[e]) for e in known)
    denominator = np.maximum(sum(weights[e] * np.float32(times[e] ** 2) for e in known), np.float32(1e-30))
    predicted = numerator * np.float32(times[echo]) / denominator
    result = add_wraps(phase, np.rint((predicted - phase) * np.float32(1 / TWO_PI)))
    variance = 1 / weight + np.float32(times[echo] ** 2) / denominator
    noise2 = np.float32((MAD_TO_SIGMA * np.median((np.abs(result - predicted) / np.sqrt(variance))[:: max(1, place.size // 200_000)])) ** 2)
    variance *= noise2
    unsure = np.flatnonzero(variance > UNSURE**2)
    mean, spread = neighbours(result, 1 / np.maximum(variance, np.float32(1e-12)), shape, place, unsure)
    own, theirs = 1 / variance[unsure], 1 / (2 * spread + noise2 / weight[unsure])
    joined = (own * predicted[unsure] + theirs * mean) / (own + theirs)
    result[unsure] = add_wraps(phase[unsure], np.rint((joined - phase[unsure]) * np.float32(1 / TWO_PI)))
    return result


def neighbours(values, weights, shape, place, chosen) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and variance of the six neighbours of the chosen voxels; variance inf where there are none."""
    volume, weighting = (np.zeros(np.prod(shape), np.float32) for _ in range(2))
    volume[place], weighting[place] = values, weights
    total, mean, square = (np.zeros(chosen.size, np.float64) for _ in range(3))
    for offset in (shape[1] * shape[2], shape[2], 1):
        for at in (place[chosen] + offset, place[chosen] - offset):
            weight, value = weighting[at], volume[at]
            total += weight
            mean += weight * value
            square += weight * value.astype(np.float64) ** 2
    safe = np.maximum(total, 1e-30)
    mean /= safe
    return mean, np.where(total > 0, np.maximum(square / safe - mean**2, 0), np.inf)
