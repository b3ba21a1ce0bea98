"""How like a brain in vivo a simulated one is: figures of χ and its magnitude, and of what a field has beside D χ.

Of χ in the voxels deeper than 6 mm below the mask's surface, its mean taken off; ∇ by forward differences along each axis, per mm, all three together:

    Kurtosis          of ∇χ
    LargestShare      of the energy of ∇χ in its largest 5 %
    FlatShare         of ∇χ below a tenth of its standard deviation
    EdgeShare         of the energy of ∇χ on the 30 % largest |∇m|,   m the magnitude over its mean within 15 mm
    GreyShare         of the variance of χ that a curve of m explains (means over 40 quantiles of m)
    Slope             of log power of χ over log |k|, k from 0.03 to 0.45 per mm, under a window that rises from 6 to 12 mm of depth

Of the error e = f − D χ: its amplitude over that of D χ by |k|, its rms by depth.
"""

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from chiflow.core.depth import depth_mm
from chiflow.core.dipole import DipoleOperator
from chiflow.core.geometry import Geometry

DEEP_MM, WINDOW_MM, LOCAL_MM = 6.0, 6.0, 15.0
LARGEST, FLAT, STRONGEST, GREYS = 0.05, 0.1, 0.3, 40
K_PER_MM = np.geomspace(0.03, 0.45, 10)
ERROR_K_PER_MM = np.array([0.009, 0.016, 0.030, 0.056, 0.089, 0.12, 0.165, 0.225, 0.31, 0.42])
DEPTHS_MM = (0, 2, 4, 8, 1000)
IN_VIVO = {"SdPpm": 0.030, "Kurtosis": 23.1, "LargestShare": 0.62, "FlatShare": 0.153, "EdgeShare": 0.61, "GreyShare": 0.061, "Slope": -3.34}
IN_VIVO_ERROR = {0.012: 0.31, 0.022: 0.31, 0.041: 0.33, 0.076: 0.35, 0.103: 0.43, 0.141: 0.56, 0.193: 0.60, 0.263: 0.74, 0.359: 1.03}
IN_VIVO_DEPTH = {"0–2 mm": 0.0069, "2–4 mm": 0.0062, "4–8 mm": 0.0057, "deeper": 0.0053}  # rms e, ppm


def statistics(chi: np.ndarray, mask: np.ndarray, geometry: Geometry, magnitude: np.ndarray | None = None, seen: np.ndarray | None = None,
               deeper_mm: float = DEEP_MM) -> dict[str, float]:
    """The figures of χ (X, Y, Z; ppm) in a mask. magnitude : any unit. seen : where χ is known, when not in the whole mask."""
    depth = depth_mm(torch.from_numpy(mask), geometry).numpy()
    known = np.ones_like(mask) if seen is None else seen
    inside = mask & (depth > deeper_mm) & known
    chi = np.where(inside, chi - chi[inside].mean(), 0).astype(np.float64)
    slopes = differences(chi, inside, geometry)
    energy = np.sort(slopes**2)[::-1]
    rise = np.clip((depth - deeper_mm) / WINDOW_MM, 0, 1)
    figures = {
        "SdPpm": chi[inside].std(),
        "Kurtosis": ((slopes - slopes.mean()) ** 4).mean() / slopes.var() ** 2,
        "LargestShare": energy[: int(LARGEST * energy.size)].sum() / energy.sum(),
        "FlatShare": (np.abs(slopes) < FLAT * slopes.std()).mean(),
        "Slope": spectral_slope(chi, (0.5 - 0.5 * np.cos(np.pi * rise)) * known, geometry),
    }
    if magnitude is not None and magnitude.any():
        relative = over_local_mean(magnitude, mask, geometry)
        edges = np.abs(differences(relative, inside, geometry))
        figures["EdgeShare"] = (slopes**2)[edges > np.quantile(edges, 1 - STRONGEST)].sum() / energy.sum()
        figures["GreyShare"] = explained_share(chi[inside], relative[inside])
    return {name: float(value) for name, value in figures.items()}


def differences(values: np.ndarray, inside: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Forward differences per mm (N,) between neighbours that are both inside, of all axes."""
    found = []
    for axis, size in enumerate(geometry.voxel_size):
        low, high = (np.take(inside, range(first, inside.shape[axis] - 1 + first), axis) for first in (0, 1))
        found.append(np.diff(values, axis=axis)[low & high] / size)
    return np.concatenate(found)


def over_local_mean(magnitude: np.ndarray, mask: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Magnitude over its mean in the mask within a box of ± 15 mm, 0 outside the mask."""
    inside = mask.astype(np.float32)
    size = [2 * max(round(LOCAL_MM / v), 1) + 1 for v in geometry.voxel_size]
    mean, share = (uniform_filter(volume.astype(np.float32), size, mode="constant") for volume in (magnitude * inside, inside))
    return np.where(mask, magnitude * share / np.maximum(mean, 1e-20), 0)


def explained_share(values: np.ndarray, grey: np.ndarray) -> float:
    """Share of the variance of values (N,) that their means over quantiles of grey values (N,) explain."""
    place = np.digitize(grey, np.quantile(grey, np.linspace(0, 1, GREYS + 1))[1:-1])
    means = np.bincount(place, values, GREYS) / np.maximum(np.bincount(place, minlength=GREYS), 1)
    return ((means[place] - values.mean()) ** 2).mean() / values.var()


def spectral_slope(chi: np.ndarray, window: np.ndarray, geometry: Geometry) -> float:
    """Slope of log power over log |k|, both in the mean of bands of k."""
    windowed = (chi - (chi * window).sum() / window.sum()) * window
    k = wave_numbers(windowed.shape, geometry)
    power = by_band(np.abs(np.fft.fftn(windowed)) ** 2, k, K_PER_MM)
    return np.polyfit(by_band(np.log(np.maximum(k, 1e-9)), k, K_PER_MM), np.log(power), 1)[0]


def wave_numbers(shape: tuple[int, ...], geometry: Geometry) -> np.ndarray:
    """|k| in 1/mm (X, Y, Z) of a discrete Fourier transform."""
    return np.sqrt(sum(np.meshgrid(*[np.fft.fftfreq(n, v) ** 2 for n, v in zip(shape, geometry.voxel_size)], indexing="ij")))


def by_band(values: np.ndarray, k: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean of values (X, Y, Z) in each band of k."""
    place = np.digitize(k.ravel(), edges)
    sums, counts = np.bincount(place, values.ravel(), len(edges) + 1), np.bincount(place, minlength=len(edges) + 1)
    return (sums / np.maximum(counts, 1))[1:-1]


def model_error(field: np.ndarray, chi: np.ndarray, mask: np.ndarray, geometry: Geometry) -> tuple[dict[float, float], dict[str, float]]:
    """Amplitude of e over that of D χ by k in 1/mm, and rms e in ppm by depth below the surface; field and χ (X, Y, Z) in ppm, χ known in the whole mask."""
    demeaned = np.where(mask, chi - chi[mask].mean(), 0).astype(np.float32)
    predicted = DipoleOperator(geometry).forward(torch.from_numpy(demeaned)).numpy() * mask
    error = (field - predicted) * mask
    k = wave_numbers(mask.shape, geometry)
    powers = [by_band(np.abs(np.fft.fftn(volume)) ** 2, k, ERROR_K_PER_MM) for volume in (error, predicted)]
    depth = depth_mm(torch.from_numpy(mask), geometry).numpy() - min(geometry.voxel_size) / 2
    rms = [float(np.sqrt((error[mask & (depth >= low) & (depth < high)] ** 2).mean())) for low, high in zip(DEPTHS_MM, DEPTHS_MM[1:])]
    return dict(zip(IN_VIVO_ERROR, np.sqrt(powers[0] / powers[1]).tolist())), dict(zip(IN_VIVO_DEPTH, rms))
