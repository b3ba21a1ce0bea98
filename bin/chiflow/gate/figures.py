"""What the gate looks at, inside the brain without its outermost voxel. Each figure is near 0 for a good field map (coverage near 1).

    e_k   = φ_k − 2πf TE_k            misfit of echo k;  h_k = w_k TE_k² / Σ w TE²  its leverage, w = magnitude²
    r_k   = e_k / (1 − h_k)           misfit against the field of the other echoes

    MedianResidual    median of 1 − quality
    EchoMisfit        rad: the largest over the echoes of 1.48 × the median of |e_k averaged over 5³ voxels|, which noise does not reach, of those
                      with a tenth of the brightest one's magnitude in most voxels
    EchoGrowth        largest share of voxels whose magnitude, averaged over 5³ voxels, grows by more than a tenth from one echo to the next
    Coverage          share of voxels with quality above 0.7
    Jumps             share of neighbours with a wrap between them at the first echo, weighted by quality: a step of more than half a turn, which
                      differs by more than that from the mean of the steps before and after it. Deeper than 6 mm where there is such a brain: near air
                      the field itself is too steep to be followed
    EchoWraps         share of voxels in which some |r_k| exceeds half a turn, of echoes with a tenth of the brightest one's magnitude
    EchoTimeError     largest slope of r_k over 2πf, in shares of the shortest echo spacing: an echo time that is not the one written
    EchoMotion        largest rigid displacement between an echo's magnitude and what the others predict for it, in voxels
"""

import numpy as np
from scipy.ndimage import distance_transform_edt, uniform_filter

from chiflow.core.brain import GOOD_QUALITY, without_rim
from chiflow.core.reliability import MAD_TO_SIGMA
from chiflow.core.spanning_tree import pair
from chiflow.core.units import TWO_PI
from chiflow.gate.motion import displacement_voxels

LEAST_FIELD_HZ = 1.0  # standard deviation of a field that can tell an echo time
MOST_VOXELS = 200_000
WINDOW_VOXELS = 5
GROWTH = 1.1
LIT = 0.1  # of the voxel's brightest echo: at an SNR of 60 there an echo with less has noise of 0.17 rad and more
MOST_LIT = 0.5  # share of the voxels
RIM_MM = 6.0  # within, unwrapped phantoms of 3 mm have up to 5e-4 true wraps at 3 T and 25 ms, deeper 2e-5


def gate_figures(phase: np.ndarray, magnitude: np.ndarray, field_hz: np.ndarray, quality: np.ndarray, brain: np.ndarray,
                 echo_times_s: list[float], voxel_size: tuple[float, ...]) -> dict[str, float]:
    """Figures by name; those that the number of echoes does not allow are left out.

    phase : (X, Y, Z, E) rad, unwrapped, without offset. magnitude : (X, Y, Z, E). field_hz, quality : (X, Y, Z), Hz and 0…1.
    brain : (X, Y, Z) bool, before quality. echo_times_s : E times in s. voxel_size : mm.
    """
    times = np.asarray(echo_times_s, dtype=np.float32)
    core = inner(brain)
    figures = {"Coverage": float((quality[core] > GOOD_QUALITY).mean())}
    core &= phase.any(axis=3)
    if not core.any():
        return figures
    trust = quality if len(times) > 1 else np.ones_like(quality)  # the quality of a single echo is that of its neighbours: a jump lowers it
    figures["Jumps"] = jumps(field_hz * np.float32(TWO_PI * times[0]), trust, deep(core, voxel_size))
    if len(times) > 1:
        figures |= echo_figures(phase, magnitude, field_hz, quality, core, times)
    return figures


def echo_figures(phase, magnitude, field_hz, quality, mask: np.ndarray, times: np.ndarray) -> dict[str, float]:
    """What several echoes tell in a mask (X, Y, Z); arguments as gate_figures."""
    some = mask.copy()
    some[mask] = np.arange(np.count_nonzero(mask)) % max(1, np.count_nonzero(mask) // MOST_VOXELS) == 0
    against = against_others(phase[some], magnitude[some] ** 2, field_hz[some], times)
    figures = {"MedianResidual": float(np.median(1 - quality[mask])), "EchoWraps": float(((np.abs(against) > np.pi) & lit(magnitude[some])).any(axis=1).mean()),
               "EchoMisfit": echo_misfit(phase, magnitude, field_hz, mask, times), "EchoGrowth": echo_growth(magnitude, mask)}
    if len(times) > 2:
        figures["EchoTimeError"] = echo_time_error(against, magnitude[some] ** 2, field_hz[some], times)
        figures["EchoMotion"] = displacement_voxels(magnitude, mask, times)
    return figures


def inner(brain: np.ndarray) -> np.ndarray:
    """The brain without its outermost voxel, or the brain itself where nothing else is left."""
    eroded = without_rim(brain)
    return eroded if eroded.any() else brain


def deep(core: np.ndarray, voxel_size: tuple[float, ...]) -> np.ndarray:
    """What lies deeper than the rim, or all where that is nothing; the edge of the field of view is no rim."""
    far = distance_transform_edt(core, sampling=voxel_size) > RIM_MM if not core.all() else core
    return far if far.any() else core


def jumps(phase: np.ndarray, quality: np.ndarray, mask: np.ndarray) -> float:
    """Share of neighbours in a mask (X, Y, Z) with a wrap between them, each pair weighted by its lesser quality."""
    over = total = 0.0
    for axis in range(3):
        i, j = pair(axis)
        weight = np.where(mask[i] & mask[j], np.minimum(quality[i], quality[j]), 0)
        total += float(weight.sum(dtype=np.float64))
        over += float(weight[wraps_between(phase[j] - phase[i], axis)].sum(dtype=np.float64))
    return over / max(total, 1e-30)


def wraps_between(steps: np.ndarray, axis: int) -> np.ndarray:
    """Which steps along an axis are of more than π, and differ by more than π from the mean of the steps on both sides."""
    wide = np.pad(steps, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
    before, after = (np.take(wide, range(start, start + steps.shape[axis]), axis) for start in (0, 2))
    return (np.abs(steps) > np.pi) & (np.abs(steps - (before + after) / 2) > np.pi)


def against_others(phase: np.ndarray, weights: np.ndarray, field_hz: np.ndarray, times: np.ndarray) -> np.ndarray:
    """r (N, E) in rad: each echo against the field that the others would give."""
    share = weights * times**2
    leverage = share / np.maximum(share.sum(axis=1, keepdims=True), np.float32(1e-30))
    return (phase - np.float32(TWO_PI) * field_hz[:, None] * times) / np.maximum(1 - leverage, np.float32(0.05))


def lit(magnitude: np.ndarray) -> np.ndarray:
    """Where an echo has signal, (…, E) bool: late ones near the noise say nothing of wraps and echo times."""
    return magnitude > LIT * magnitude.max(axis=-1, keepdims=True)


def echo_misfit(phase: np.ndarray, magnitude: np.ndarray, field_hz: np.ndarray, mask: np.ndarray, times: np.ndarray) -> float:
    """Largest robust size in rad of an echo's misfit (X, Y, Z) averaged over a window, of the echoes that have signal in most voxels."""
    share = np.maximum(uniform_filter(mask.astype(np.float32), WINDOW_VOXELS), np.float32(1e-6))
    seen = lit(magnitude[mask]).mean(axis=0) > MOST_LIT
    sizes = []
    for echo in np.flatnonzero(seen):
        misfit = np.where(mask, phase[..., echo] - np.float32(TWO_PI) * field_hz * times[echo], 0)
        sizes.append(MAD_TO_SIGMA * float(np.median(np.abs((uniform_filter(misfit, WINDOW_VOXELS) / share)[mask]))))
    return max(sizes)


def echo_growth(magnitude: np.ndarray, mask: np.ndarray) -> float:
    """Largest share of voxels of a mask (X, Y, Z) that are brighter in an echo than in the one before it; a window keeps noise from looking like growth."""
    shares, before = [], None
    for echo in range(magnitude.shape[3]):
        now = uniform_filter(np.where(mask, magnitude[..., echo], 0), WINDOW_VOXELS)[mask]
        shares += [] if before is None else [float((now > GROWTH * before).mean())]
        before = now
    return max(shares)


def echo_time_error(against: np.ndarray, weights: np.ndarray, field_hz: np.ndarray, times: np.ndarray) -> float:
    """Largest |ΔTE| / shortest spacing, ΔTE the weighted regression of r on 2πf; 0 where the field is too even to tell."""
    errors = []
    for r, w in zip(against.T.astype(np.float64), weights.T.astype(np.float64)):
        turn = TWO_PI * field_hz
        turn = turn - np.average(turn, weights=w)
        spread = np.average(turn**2, weights=w)
        errors.append(abs(np.average(turn * r, weights=w)) / spread if spread > (TWO_PI * LEAST_FIELD_HZ) ** 2 else 0.0)
    return float(max(errors) / np.diff(times).min())
