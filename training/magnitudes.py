"""Magnitude images of any contrast from maps of KINDS: what the network of the brain extraction is trained on.

    image = | acquire( (mean[kind] + spread[kind] · texture) · bias · dropout ) + complex noise |

at 2 mm. Contrasts are of two sorts: like gradient echoes (bone and air dark, the rest free), or any grey value for any kind. Signal drops out
near the air of the sinuses. Acquisition: thick slices along an axis, blur, a field of view that cuts the head, and zeros where there is none.
The draw (dataclass Look) and what is made of it are two functions: a look can be made again.
"""

from dataclasses import dataclass

import numpy as np
import torch
from heads import INDEX, KINDS, LAST_BRAIN, smooth_noise
from scipy.ndimage import gaussian_filter

from chiflow.mask.grid import SPACING_MM, interpolation, normalised, padded

GRADIENT_ECHO = {  # range of the mean, relative to white matter
    "cerebral_cortex": (0.8, 1.4), "cerebellar_cortex": (0.75, 1.4), "hippocampus": (0.8, 1.4), "thalamus": (0.7, 1.3), "caudate": (0.6, 1.3),
    "putamen": (0.5, 1.3), "pallidum": (0.3, 1.2), "ventral_dc": (0.6, 1.1), "brainstem": (0.8, 1.15), "ventricle": (0.2, 1.7),
    "vein": (0.1, 1.6), "artery": (0.1, 2.5), "cord": (0.7, 1.2), "eye": (0.2, 1.6), "muscle": (0.2, 1.3), "fat": (0.15, 1.8),
    "eye_muscle": (0.2, 1.4), "mucosa": (0.1, 1.5), "skin": (0.2, 1.6), "bone": (0.0, 0.3), "marrow": (0.05, 1.3), "sinus": (0.0, 0.02), "air": (0.0, 0.02),
}


@dataclass(frozen=True)
class Look:
    """Everything random about one image of a head: see `drawn`."""

    mean: np.ndarray
    spread: np.ndarray
    texture_voxels: float
    bias: float
    receive: float
    dropout: float
    dropout_mm: float
    blur_voxels: float
    slice_axis: int
    slice_mm: float
    noise: float
    floor: float
    gamma: float
    window: tuple[slice, ...]
    stripped_mm: float
    seed: int


def drawn_means(rng: np.random.Generator) -> np.ndarray:
    """A mean for each kind."""
    if rng.random() < 0.3:
        means = dict(zip(KINDS, rng.uniform(0, 1, len(KINDS)))) | dict.fromkeys(("sinus", "air"), rng.uniform(0, 0.15))
    else:
        means = {"white_matter": 1.0} | {name: rng.uniform(*limits) for name, limits in GRADIENT_ECHO.items()}
    if rng.random() < 0.5:
        deep = ("hippocampus", "thalamus", "caudate", "putamen", "pallidum", "ventral_dc", "brainstem", "cerebellar_cortex")
        means |= {name: means["cerebral_cortex"] if rng.random() < 0.6 else means["white_matter"] for name in deep}
    means["csf_inside"] = means["ventricle"] * (1 if rng.random() < 0.7 else rng.uniform(0.6, 1.4))
    means["csf"] = means["csf_inside"] * (1 if rng.random() < 0.7 else rng.uniform(0.4, 1.3))
    means["vessel_inside"] = means["vein"] if rng.random() < 0.6 else means["csf_inside"]
    if rng.random() < 0.3:
        means |= dict.fromkeys(("fat", "skin"), means["muscle"])
    return np.array([means[name] for name in KINDS], np.float32)


def drawn_window(rng: np.random.Generator, brain: np.ndarray) -> tuple[slice, ...]:
    """Field of view (voxels of 2 mm): the whole grid, a box round the brain with a margin, or a slab that cuts it."""
    window = [slice(0, n) for n in brain.shape]
    kind = rng.choice(["whole", "box", "slab"], p=[0.15, 0.5, 0.35])
    if kind == "whole" or not brain.any():
        return tuple(window)
    limits = [(a.min(), a.max() + 1) for a in np.nonzero(brain)]
    for axis, (low, high) in enumerate(limits):
        below, above = rng.choice([2, 5, 10, 20, 40], 2) * rng.uniform(0.5, 1.2, 2)
        window[axis] = slice(max(0, int(low - below)), min(brain.shape[axis], int(high + above)))
    if kind == "slab":
        axis = rng.choice(3, p=[0.15, 0.15, 0.7])
        low, high = limits[axis]
        length = int((high - low) * rng.uniform(0.3, 0.9))
        start = max(0, int(rng.integers(low - length // 3, high - length * 2 // 3)))
        window[axis] = slice(start, min(start + length, brain.shape[axis]))
    return tuple(window)


def drawn(rng: np.random.Generator, brain: np.ndarray) -> Look:
    """A look for a head whose brain (X, Y, Z) at 2 mm is given."""
    return Look(
        mean=drawn_means(rng),
        spread=rng.uniform(0, 0.12, len(KINDS)).astype(np.float32) * rng.choice([0.3, 1]),
        texture_voxels=rng.uniform(0.3, 2),
        bias=rng.uniform(0, 0.35),
        receive=rng.uniform(-0.2, 1.0) if rng.random() < 0.6 else 0.0,
        dropout=rng.uniform(0, 6) if rng.random() < 0.7 else 0.0,
        dropout_mm=rng.uniform(4, 12),
        blur_voxels=rng.uniform(0, 0.8),
        slice_axis=int(rng.choice(3, p=[0.2, 0.2, 0.6])),
        slice_mm=rng.uniform(2, 6) if rng.random() < 0.5 else 0.0,
        noise=np.exp(rng.uniform(np.log(0.005), np.log(0.12))),
        floor=rng.uniform(0.02, 0.15) if rng.random() < 0.25 else 0.0,
        gamma=rng.uniform(0.75, 1.3),
        window=drawn_window(rng, brain),
        stripped_mm=rng.uniform(0, 8) if rng.random() < 0.05 else 0.0,
        seed=int(rng.integers(2**31)),
    )


def halved(volume: torch.Tensor) -> torch.Tensor:
    """Mean of blocks of 2³ voxels."""
    return torch.nn.functional.avg_pool3d(volume[None, None], 2)[0, 0]


def brain_of(kinds: np.ndarray) -> np.ndarray:
    """Share of brain (X, Y, Z) float32 at 2 mm of a map of KINDS at 1 mm."""
    return halved((torch.from_numpy(kinds) <= LAST_BRAIN).float()).numpy()


def attenuation(kinds: np.ndarray, look: Look, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Bias field × profile of the receive coil × drop-out near the sinuses, (X, Y, Z) at 2 mm."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in shape]
    radius2 = sum(a**2 for a in np.meshgrid(*axes, indexing="ij", sparse=True))
    field = look.bias * smooth_noise(rng, shape, (2, 5))[0, 0].numpy() + look.receive * (radius2 - 0.5)
    if look.dropout:
        sinus = halved((torch.from_numpy(kinds) == INDEX["sinus"]).float()).numpy()
        field = field - look.dropout * gaussian_filter(sinus, look.dropout_mm / SPACING_MM, mode="nearest", truncate=3)
    return np.exp(field)


def sliced(image: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """The magnitude of an image with complex noise, in slices of the look's thickness, back on its grid."""
    thick, thin = max(look.slice_mm, SPACING_MM), SPACING_MM
    count = max(int(image.shape[look.slice_axis] * thin / thick), 4)
    if look.slice_mm:
        image = np.moveaxis(np.tensordot(interpolation(image.shape[look.slice_axis], thin, count, thick), image, (1, look.slice_axis)), 0, look.slice_axis)
    noise = look.noise * rng.standard_normal((2, *image.shape), dtype=np.float32)
    image = np.hypot(image + noise[0], noise[1])
    if look.slice_mm:
        full = interpolation(count, thick, look.window[look.slice_axis].stop - look.window[look.slice_axis].start, thin)
        image = np.moveaxis(np.tensordot(full, image, (1, look.slice_axis)), 0, look.slice_axis)
    return image


def rendered(kinds: np.ndarray, brain: np.ndarray, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Normalised image and brain share, both (X, Y, Z) float32 at 2 mm, padded for the network."""
    rng = np.random.default_rng(look.seed)
    place = tuple(slice(2 * s.start, 2 * s.stop) for s in look.window)
    index = torch.from_numpy(np.ascontiguousarray(kinds[place])).int()
    mean, spread = (halved(torch.from_numpy(table)[index]).numpy() for table in (look.mean, look.spread))
    texture = gaussian_filter(rng.standard_normal(mean.shape, dtype=np.float32), look.texture_voxels, truncate=3)
    image = (mean + spread * texture / texture.std()).clip(0) * attenuation(kinds[place], look, rng, mean.shape)
    if look.blur_voxels > 0.2:
        image = gaussian_filter(image, look.blur_voxels, truncate=3)
    image = sliced(image, look, rng)
    if look.floor:
        image = np.where(image > look.floor, image, 0)
    target = brain[look.window]
    if look.stripped_mm:
        image = image * (gaussian_filter(target, look.stripped_mm / SPACING_MM / 2 + 0.3) > 0.3)
    return padded(normalised(image**look.gamma)), padded(target)
