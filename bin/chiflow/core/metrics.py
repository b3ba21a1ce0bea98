"""How far a map is from the truth.

    NRMSE = 100 ‖(x − x̄) − (t − t̄)‖ / ‖t − t̄‖                                    %, in the mask
    HFEN  = 100 ‖LoG(x) − LoG(t)‖ / ‖LoG(t)‖, LoG of σ = 1.5 voxels                %, in the mask, maps demeaned and masked first
    XSIM  = mean of (2 μx μt + C1)(2 σxt + C2) / ((μx² + μt² + C1)(σx² + σt² + C2))   in the mask, 5³ Gaussian window of σ = 1.5 voxels,
            C1 = (0.01 L)², C2 = (0.001 L)², L = 1 ppm
    slope = of the region means of x over those of t

References: Langkammer 2018 (10.1002/mrm.26830), Milovic 2025 (10.1002/mrm.30271) for XSIM.
"""

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_laplace

LOG_SIGMA = 1.5
XSIM_SIGMA, XSIM_RADIUS = 1.5, 2
XSIM_C1, XSIM_C2 = 0.01**2, 0.001**2


def demeaned(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The map (X, Y, Z) minus its mean in the mask, 0 outside."""
    return np.where(mask, values - values[mask].mean(dtype=np.float64), 0).astype(np.float64)


def nrmse(x: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Normalised root mean square error in % of demeaned maps (X, Y, Z)."""
    t = demeaned(truth, mask)
    return float(100 * np.linalg.norm(demeaned(x, mask) - t) / np.linalg.norm(t))


def hfen(x: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """High-frequency error norm in %."""
    edges, true_edges = (gaussian_laplace(demeaned(v, mask), LOG_SIGMA) for v in (x, truth))
    return float(100 * np.linalg.norm((edges - true_edges)[mask]) / np.linalg.norm(true_edges[mask]))


def xsim(x: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Structural similarity for susceptibility maps in ppm, −1…1."""
    mean = lambda v: gaussian_filter(v, XSIM_SIGMA, radius=XSIM_RADIUS)
    a, b = demeaned(x, mask), demeaned(truth, mask)
    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + XSIM_C1) * (2 * covariance + XSIM_C2)
    similarity /= (mean_a**2 + mean_b**2 + XSIM_C1) * (variance_a + variance_b + XSIM_C2)
    return float(similarity[mask].mean())


def region_means(values: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> dict[int, float]:
    """Mean of the map in each label above 0 inside the mask."""
    numbers = labels[mask].astype(int)
    sums, counts = np.bincount(numbers, weights=values[mask]), np.bincount(numbers)
    return {int(n): float(sums[n] / counts[n]) for n in np.flatnonzero(counts) if n > 0}


def region_slope(x: np.ndarray, truth: np.ndarray, labels: np.ndarray, mask: np.ndarray) -> float:
    """Slope of the regression of the region means of x on those of the truth; NaN with fewer than two regions."""
    means, true_means = (np.array(list(region_means(demeaned(v, mask), labels, mask).values())) for v in (x, truth))
    if means.size < 2:
        return float("nan")
    return float(np.polyfit(true_means, means, 1)[0])


def scores(x: np.ndarray, truth: np.ndarray, mask: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
    """All metrics by name, with the unit in the name."""
    result = {"nrmse_percent": nrmse(x, truth, mask), "xsim": xsim(x, truth, mask), "hfen_percent": hfen(x, truth, mask)}
    return result if labels is None else result | {"region_slope": region_slope(x, truth, labels, mask)}
