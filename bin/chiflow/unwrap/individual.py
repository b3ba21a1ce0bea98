"""Every echo in space by itself; then whole turns of each connected region, so that phase is proportional to echo time.

The first echo's regions get the turns that the other echoes agree with; region r of echo e the turns that bring it nearest to the
echoes before it:      k = −round(median(u_e − TE_e Σ w u TE / Σ w TE²) / 2π)
"""

import numpy as np
from scipy.ndimage import label, median

from chiflow.core.spanning_tree import add_wraps, unwrap_volume
from chiflow.core.units import TWO_PI
from chiflow.unwrap.echoes import settle_parts


def individual(phase: np.ndarray, magnitude: np.ndarray, mask: np.ndarray, echo_times_s: list[float]) -> np.ndarray:
    """Unwrapped phase (X, Y, Z, E) float32 rad, 0 outside the mask, from offset-free phase (X, Y, Z, E) in rad.

    magnitude : (X, Y, Z, E). mask : (X, Y, Z) bool. echo_times_s : E ≥ 1 times in s.
    """
    times, inside = np.asarray(echo_times_s, dtype=np.float64), np.ascontiguousarray(mask.T)  # .T: images lie in memory with x fastest
    phases, weights = (np.stack([echo[inside] for echo in a.T]) for a in (phase, magnitude))
    regions, count = label(inside)
    region, numbers = regions[inside], np.arange(1, count + 1)
    result, unwrapped = np.zeros(phase.T.shape, np.float32), np.empty_like(phases)
    numerator, denominator = np.zeros_like(phases[0]), np.full_like(phases[0], 1e-30)
    for echo, time in enumerate(times):
        values = unwrap_volume(phase[..., echo], magnitude[..., echo], mask).T[inside]
        if echo == 0:
            values = settle_parts(values, 0, phases, weights, inside, times)
        else:
            away = median(values - numerator / denominator * np.float32(time), region, numbers)
            values = values - np.float32(TWO_PI) * np.rint(np.concatenate([[0], away]) / TWO_PI).astype(np.float32)[region]
        unwrapped[echo] = add_wraps(phases[echo], np.rint((values - phases[echo]) / np.float32(TWO_PI)))
        result[echo][inside] = unwrapped[echo]
        numerator += weights[echo] ** 2 * unwrapped[echo] * np.float32(time)
        denominator += weights[echo] ** 2 * np.float32(time**2)
    return result.T
