"""What the gate looks at, inside the brain without its outermost voxel. Each figure is near 0 for a good field map (coverage near 1).

    e_k   = φ_k − 2πf TE_k            misfit of echo k;  h_k = w_k TE_k² / Σ w TE²  its leverage, w = magnitude²
    r_k   = e_k / (1 − h_k)           misfit against the field of the other echoes

    MedianResidual    median of 1 − quality
    EchoMisfit        rad: the largest over the echoes of 1.48 × the median of |e_k averaged over 5³ voxels|, which noise does not reach
    EchoGrowth        largest share of voxels whose magnitude grows by more than a tenth from one echo to the next
    Coverage          share of voxels with quality above 0.7
    Jumps             share of neighbours whose fields differ by more than half a turn at the first echo, weighted by quality
    EchoWraps         share of voxels in which some |r_k| exceeds half a turn
    EchoTimeError     largest slope of r_k over 2πf, in shares of the shortest echo spacing: an echo time that is not the one written
    EchoMotion        largest rigid displacement between an echo's magnitude and what the others predict for it, in voxels
"""

import numpy as np
from scipy.ndimage import uniform_filter

from chiflow.core.brain import GOOD_QUALITY, without_rim
from chiflow.core.reliability import MAD_TO_SIGMA
from chiflow.core.spanning_tree import pair
from chiflow.core.units import TWO_PI
from chiflow.gate.motion import displacement_voxels

LEAST_FIELD_HZ = 1.0  # standard deviation of a field that can tell an echo time
MOST_VOXELS = 200_000
WINDOW_VOXELS = 5
GROWTH = 1.1


def gate_figures(phase: np.ndarray, magnitude: np.ndarray, field_hz: np.ndarray, quality: np.ndarray, brain: np.ndarray,
                 echo_times_s: list[float]) -> dict[str, float]:
    """Figures by name; those that the number of echoes does not allow are left out.

    phase : (X, Y, Z, E) rad, unwrapped, without offset. magnitude : (X, Y, Z, E). field_hz, quality : (X, Y, Z), Hz and 0…1.
    brain : (X, Y, Z) bool, before quality. echo_times_s : E times in s.
    """
    times = np.asarray(echo_times_s, dtype=np.float32)
    core = inner(brain)
    figures = {"Coverage": float((quality[core] > GOOD_QUALITY).mean())}
    core &= phase.any(axis=3)
    if not core.any():
        return figures
    trust = quality if len(times) > 1 else np.ones_like(quality)  # the quality of a single echo is that of its neighbours: a jump lowers it
    figures["Jumps"] = jumps(field_hz * np.float32(TWO_PI * times[0]), trust, core)
    if len(times) > 1:
        figures |= echo_figures(phase, magnitude, field_hz, quality, core, times)
    return figures


def echo_figures(phase, magnitude, field_hz, quality, mask: np.ndarray, times: np.ndarray) -> dict[str, float]:
    """What several echoes tell in a mask (X, Y, Z); arguments as gate_figures."""
    some = mask.copy()
    some[mask] = np.arange(np.count_nonzero(mask)) % max(1, np.count_nonzero(mask) // MOST_VOXELS) == 0
    against = against_others(phase[some], magnitude[some] ** 2, field_hz[some], times)
    figures = {"MedianResidual": float(np.median(1 - quality[mask])), "EchoWraps": float((np.abs(against) > np.pi).any(axis=1).mean()),
               "EchoMisfit": echo_misfit(phase, field_hz, mask, times), "EchoGrowth": echo_growth(magnitude[some])}
    if len(times) > 2:
        figures["EchoTimeError"] = echo_time_error(against, magnitude[some] ** 2, field_hz[some], times)
        figures["EchoMotion"] = displacement_voxels(magnitude, mask, times)
    return figures


def inner(brain: np.ndarray) -> np.ndarray:
    """The brain without its outermost voxel, or the brain itself where nothing else is left."""
    eroded = without_rim(brain)
    return eroded if eroded.any() else brain


def jumps(phase: np.ndarray, quality: np.ndarray, mask: np.ndarray) -> float:
    """Share of neighbours in a mask (X, Y, Z) that differ by more than π, each pair weighted by its lesser quality."""
    over = total = 0.0
    for i, j in map(pair, range(3)):
        weight = np.where(mask[i] & mask[j], np.minimum(quality[i], quality[j]), 0)
        total += float(weight.sum(dtype=np.float64))
        over += float(weight[np.abs(phase[j] - phase[i]) > np.pi].sum(dtype=np.float64))
    return over / max(total, 1e-30)


def against_others(phase: np.ndarray, weights: np.ndarray, field_hz: np.ndarray, times: np.ndarray) -> np.ndarray:
    """r (N, E) in rad: each echo against the field that the others would give."""
    share = weights * times**2
    leverage = share / np.maximum(share.sum(axis=1, keepdims=True), np.float32(1e-30))
    return (phase - np.float32(TWO_PI) * field_hz[:, None] * times) / np.maximum(1 - leverage, np.float32(0.05))


def echo_misfit(phase: np.ndarray, field_hz: np.ndarray, mask: np.ndarray, times: np.ndarray) -> float:
    """Largest robust size in rad of an echo's misfit (X, Y, Z) averaged over a window."""
    share = np.maximum(uniform_filter(mask.astype(np.float32), WINDOW_VOXELS), np.float32(1e-6))
    sizes = []
    for echo, time in enumerate(times):
        misfit = np.where(mask, phase[..., echo] - np.float32(TWO_PI) * field_hz * time, 0)
        sizes.append(MAD_TO_SIGMA * float(np.median(np.abs((uniform_filter(misfit, WINDOW_VOXELS) / share)[mask]))))
    return max(sizes)


def echo_growth(magnitude: np.ndarray) -> float:
    """Largest share of voxels (N, E) that are brighter in an echo than in the one before it."""
    return float(max((magnitude[:, 1:] > GROWTH * magnitude[:, :-1]).mean(axis=0)))


def echo_time_error(against: np.ndarray, weights: np.ndarray, field_hz: np.ndarray, times: np.ndarray) -> float:
    """Largest |ΔTE| / shortest spacing, ΔTE the weighted regression of r on 2πf; 0 where the field is too even to tell."""
    errors = []
    for r, w in zip(against.T.astype(np.float64), weights.T.astype(np.float64)):
        turn = TWO_PI * field_hz
        turn = turn - np.average(turn, weights=w)
        spread = np.average(turn**2, weights=w)
        errors.append(abs(np.average(turn * r, weights=w)) / spread if spread > (TWO_PI * LEAST_FIELD_HZ) ** 2 else 0.0)
    return float(max(errors) / np.diff(times).min())
