"""What the echoes say about multiples of 2π: without an offset, phase is proportional to echo time.

    agreement of k more turns in the template t      s(k) = Σ w_e cos(φe − (u_t + 2π k) TEe/TEt) / Σ w_e,      w = magnitude

It repeats when k TEe/TEt is an integer for every echo, so of equal agreements the one counts that brings the part nearest to the rest.
"""

import numpy as np
from scipy.ndimage import label

from chiflow.core.units import TWO_PI

TURNS = np.arange(-3, 4)
PER_TURN = 0.1  # agreement that one more turn away from the rest has to win
LEAST_AGREEMENT = 0.5
LEAST_VOXELS = 30  # a smaller part is judged by its neighbours


def settle_parts(unwrapped, template, phases, weights, mask, times) -> np.ndarray:
    """The unwrapped template (N,) rad with whole turns added to the parts, connected regions of `mask` (X, Y, Z), that the other echoes contradict.

    phases, weights : (E, N), voxels in mask order. template : its echo.
    """
    others = [e for e in range(len(times)) if e != template]
    if not others:
        return unwrapped
    ratios = (times[others] / times[template]).astype(np.float32)
    contradicted = sum(weights[e] * np.cos(phases[e] - unwrapped * r) for e, r in zip(others, ratios)) < 0
    volume = np.zeros(mask.shape, bool)
    volume[mask] = contradicted
    part, count = label(volume)
    part = part[mask]
    enough = np.flatnonzero(np.bincount(part, minlength=count + 1)[1:] >= LEAST_VOXELS) + 1
    if not enough.size:
        return unwrapped
    at, turns = np.flatnonzero(contradicted), np.zeros(count + 1, np.float32)
    centre = float(np.median(unwrapped[~contradicted])) if 2 * at.size < part.size else 0.0
    own, values = part[at], unwrapped[at]
    away = (np.bincount(own, values, minlength=count + 1) / np.maximum(np.bincount(own, minlength=count + 1), 1) - centre) / TWO_PI
    turns[enough] = best_turns(values, phases[others][:, at], weights[others][:, at], ratios, own, away)[enough]
    return unwrapped + np.float32(TWO_PI) * turns[part]


def best_turns(unwrapped, phases, weights, ratios, part, away) -> np.ndarray:
    """Turns k (P,) that the echoes want for each part 0 … P − 1, 0 where none agrees well; away (P,) turns that it lies from the rest."""
    agreement, total = np.zeros((TURNS.size, away.size)), np.full(away.size, 1e-30)
    for phase, weight, ratio in zip(phases, weights, ratios):
        rest = phase - unwrapped * ratio
        real, imaginary = (np.bincount(part, weight * f(rest), minlength=away.size) for f in (np.cos, np.sin))
        angle = TWO_PI * TURNS[:, None] * float(ratio)
        agreement += real * np.cos(angle) + imaginary * np.sin(angle)
        total += np.bincount(part, weight, minlength=away.size)
    agreement /= total
    best = np.argmax(agreement - PER_TURN * np.abs(TURNS[:, None] + away), axis=0)
    return np.where(agreement.max(axis=0) >= LEAST_AGREEMENT, TURNS[best], 0)
