"""Phases of several echoes whose unwrapped values are known: what a learned unwrapping is trained on.

    S(TE) = M0 exp(−R2* TE) Π sinc(Δf_a TE) exp(i (φ0 + 2π f TE)) + noise

f is a sum of smooth waves, of vessels (inside Δ/6 (3 cos²θ − 1), outside Δ/2 (a/r)² sin²θ cos 2φ) and of balls of blood or air
(outside Δ/3 (a/r)³ (3 cos²θ − 1)); shells without signal hide parts of another frequency. Δf_a is the change of f across a voxel.

`drawn_phases` draws what is random, `made_phases` applies it: a recipe gives the same sample again.
"""

from dataclasses import dataclass

import numpy as np

from chiflow.core.units import TWO_PI, larmor_frequency_mhz

AIR_PPM = 9.4
FIELDS_T = (1.5, 3.0, 3.0, 7.0)
SNR = (1.5, 60.0)
COUNTS = (0.25, 0.1, 0.15, 0.25, 0.15, 0.1)  # shares of recipes with one, two … six echoes


@dataclass(frozen=True)
class PhaseRecipe:
    """voxel_size in mm, field_t in T, times_s in s, snr of the brightest tissue at TE = 0. waves : number, rms (Hz) and wavelength (mm). slope in Hz/mm.

    vessels : (Δχ in ppm, radius in mm, R2* in 1/s) each; balls : (Δχ in ppm, radius in mm, R2* in 1/s) each, of air when R2* is infinite.
    step_hz : frequency of a part inside a shell without signal, None for no such part. offset_rad : rms of what is left of the phase offset.
    spill : voxels by which the mask is larger than the object. cut : slabs taken out of the mask.
    """

    seed: int
    shape: tuple[int, int, int]
    voxel_size: tuple[float, float, float]
    field_t: float
    times_s: tuple[float, ...]
    snr: float
    waves_hz: float
    wavelength_mm: float
    slope: tuple[float, float, float]
    r2star: float
    vessels: tuple[tuple[float, float, float], ...] = ()
    balls: tuple[tuple[float, float, float], ...] = ()
    step_hz: float | None = None
    offset_rad: float = 0.0
    spill: int = 0
    cut: bool = False


@dataclass(frozen=True)
class PhaseSample:
    """phase, magnitude and truth (X, Y, Z, E) float32, phases in rad, the truth without noise; mask (X, Y, Z) bool; seen (X, Y, Z, E): signal over noise."""

    times_s: tuple[float, ...]
    phase: np.ndarray
    magnitude: np.ndarray
    truth: np.ndarray
    mask: np.ndarray
    seen: np.ndarray


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def drawn_phases(rng: np.random.Generator, fewest: int = 1) -> PhaseRecipe:
    """A recipe: one (or as many as told) to six echoes, 1.5 to 7 T, voxels of 0.5 to 6 mm."""
    field_t = float(rng.choice(FIELDS_T))
    size = log_uniform(rng, 0.6, 2.2) * np.exp(rng.uniform(-0.15, 0.15, 3)) * (rng.permutation([1, 1, rng.uniform(1, 2.5)]) if rng.random() < 0.5 else 1)
    shape = tuple(int(n) for n in rng.integers(28, 57, 3))
    vessels = tuple((log_uniform(rng, 0.05, 3), log_uniform(rng, 0.4, 4), rng.uniform(30, 200)) for _ in range(rng.integers(0, 6)))
    return PhaseRecipe(int(rng.integers(2**31)), shape, tuple(float(v) for v in size), field_t, drawn_times(rng, field_t, fewest), log_uniform(rng, *SNR),
                       log_uniform(rng, 3, 60) * field_t / 3, log_uniform(rng, 25, 200), tuple(rng.normal(0, 1, 3) * (rng.random() < 0.4) * field_t / 3),
                       rng.uniform(8, 40) * field_t / 3, vessels, drawn_balls(rng), float(rng.normal(0, 120)) if rng.random() < 0.2 else None,
                       float(rng.uniform(0, 0.5)) if rng.random() < 0.4 else 0.0, int(rng.random() < 0.2) * int(rng.integers(1, 3)), bool(rng.random() < 0.2))


def drawn_times(rng: np.random.Generator, field_t: float, fewest: int = 1) -> tuple[float, ...]:
    """Up to six echo times in s, evenly spaced or not; the last ones late enough for wraps."""
    shares = np.array(COUNTS[fewest - 1 :])
    count, stretch = fewest + int(rng.choice(len(shares), p=shares / shares.sum())), (3 / field_t) ** 0.5
    if count == 1:
        return (log_uniform(rng, 0.005, 0.030) * stretch,)
    first, step = log_uniform(rng, 0.002, 0.008) * stretch, log_uniform(rng, 0.003, 0.010) * stretch
    steps = np.full(count - 1, step) * (np.exp(rng.uniform(-0.3, 0.3, count - 1)) if rng.random() < 0.3 else 1)
    return tuple(float(t) for t in np.cumsum([first, *steps]))


def drawn_balls(rng: np.random.Generator) -> tuple[tuple[float, float, float], ...]:
    """Blood and calcium (finite R2*), and air (infinite R2*)."""
    balls = []
    for _ in range(rng.integers(0, 4)):
        if rng.random() < 0.5:
            balls.append((float(rng.choice([1, 1, -1]) * log_uniform(rng, 0.2, 4)), log_uniform(rng, 0.8, 6), rng.uniform(60, 300)))
        else:
            balls.append((AIR_PPM, log_uniform(rng, 3, 15), np.inf))
    return tuple(balls)


def made_phases(recipe: PhaseRecipe) -> PhaseSample:
    """The sample of a recipe."""
    rng = np.random.default_rng(recipe.seed)
    place = [((np.arange(n) - (n - 1) / 2) * v).astype(np.float32).reshape([-1 if a == b else 1 for b in range(3)])
             for a, (n, v) in enumerate(zip(recipe.shape, recipe.voxel_size))]
    body, mask = regions(recipe, place, rng)
    field, r2star, air = sources(recipe, place, rng)
    body, mask = body & ~air, mask & ~air if rng.random() < 0.6 else mask
    m0 = body * np.exp(0.3 * waves(rng, place, 60)) * (1 + 0.25 * np.sign(waves(rng, place, 20)))
    offset, sigma = recipe.offset_rad * waves(rng, place, 80), 1 / recipe.snr
    shape = (*recipe.shape, len(recipe.times_s))
    phase, magnitude, truth, seen = (np.empty(shape, kind) for kind in (np.float32, np.float32, np.float32, bool))
    for e, time in enumerate(recipe.times_s):
        truth[..., e] = TWO_PI * field * time + offset
        size = m0 * np.exp(-r2star * time) * np.abs(np.prod([np.sinc(g * time) for g in np.gradient(field)], axis=0))
        noise = sigma * (rng.standard_normal(recipe.shape) + 1j * rng.standard_normal(recipe.shape))
        signal = size * np.exp(1j * truth[..., e]) + noise
        phase[..., e], magnitude[..., e], seen[..., e] = np.angle(signal), np.abs(signal), size > 0.7 * sigma
    return PhaseSample(recipe.times_s, phase, magnitude, truth, mask, seen & mask[..., None])


def waves(rng: np.random.Generator, place: list[np.ndarray], wavelength_mm: float) -> np.ndarray:
    """Smooth noise (X, Y, Z) of unit rms: six plane waves of about a wavelength."""
    k, angle = rng.normal(0, TWO_PI / wavelength_mm / np.sqrt(3), (6, 3)), rng.uniform(0, TWO_PI, 6)
    return (np.sqrt(2 / 6) * sum(np.sin(a * place[0] + b * place[1] + c * place[2] + t) for (a, b, c), t in zip(k, angle))).astype(np.float32)


def regions(recipe: PhaseRecipe, place: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where there is tissue, and where it is unwrapped, (X, Y, Z) bool each: a bent ellipsoid, and the same with a rim of noise or cut in parts."""
    extent = [np.abs(axis).max() for axis in place]
    radius = np.sqrt(sum((axis / e) ** 2 for axis, e in zip(place, extent))) + 0.1 * waves(rng, place, float(np.mean(extent)))
    largest = rng.uniform(0.8, 1.3)
    body, mask = radius < largest, radius < largest + 0.07 * recipe.spill
    if recipe.cut:
        axis = int(rng.integers(3))
        mask &= np.abs(place[axis] - rng.uniform(-0.4, 0.4) * extent[axis]) > rng.uniform(0.5, 2) * recipe.voxel_size[axis]
    return body, mask


def sources(recipe: PhaseRecipe, place: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Field in Hz, R2* in 1/s and where there is air, (X, Y, Z) each."""
    field = recipe.waves_hz * waves(rng, place, recipe.wavelength_mm) + sum(s * axis for s, axis in zip(recipe.slope, place))
    r2star = recipe.r2star * np.exp(0.3 * waves(rng, place, 30))
    air = np.zeros(recipe.shape, bool)
    hz, b0 = larmor_frequency_mhz(recipe.field_t), rng.standard_normal(3)
    b0 /= np.linalg.norm(b0)
    extent = np.array([np.abs(axis).max() for axis in place])
    for chi, radius, rate in recipe.vessels:
        added, inside = vessel(place, rng.uniform(-0.8, 0.8, 3) * extent, rng.standard_normal(3), b0, radius, chi * hz)
        field, r2star = field + added, np.where(inside, rate, r2star)
    for chi, radius, rate in recipe.balls:
        outward = rng.uniform(0.6, 1.2) if np.isinf(rate) else rng.uniform(0, 0.8)
        heading = rng.standard_normal(3)
        added, inside = ball(place, outward * extent * heading / np.linalg.norm(heading), b0, radius, chi * hz)
        field, r2star = field + added, np.where(inside, min(rate, 3000), r2star)
        air |= inside & np.isinf(rate)
    if recipe.step_hz is not None:
        r = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(place, rng.uniform(-0.4, 0.4, 3) * extent))) / extent.min()
        inner = rng.uniform(0.2, 0.5)
        field, r2star = field + np.where(r < inner, recipe.step_hz, 0), np.where((r > inner) & (r < inner + 0.12), 3000, r2star)
    return field.astype(np.float32), r2star.astype(np.float32), air


def vessel(place, centre, heading, b0, radius, delta_hz) -> tuple[np.ndarray, np.ndarray]:
    """Field in Hz of a straight vessel of Δ (Hz) through a centre (mm), and where it is."""
    heading = heading / np.linalg.norm(heading)
    cosine = float(heading @ b0)
    across = b0 - cosine * heading
    across /= max(np.linalg.norm(across), 1e-6)
    away = [axis - c for axis, c in zip(place, centre)]
    along = sum(a * h for a, h in zip(away, heading))
    r2 = np.maximum(sum(a**2 for a in away) - along**2, 1e-3)
    cos2 = 2 * sum(a * e for a, e in zip(away, across)) ** 2 / r2 - 1
    inside = r2 < radius**2
    return np.where(inside, delta_hz / 6 * (3 * cosine**2 - 1), delta_hz / 2 * (1 - cosine**2) * cos2 * radius**2 / r2), inside


def ball(place, centre, b0, radius, delta_hz) -> tuple[np.ndarray, np.ndarray]:
    """Field in Hz of a ball of Δ (Hz) about a centre (mm), 0 inside, and where it is."""
    away = [axis - c for axis, c in zip(place, centre)]
    r2 = np.maximum(sum(a**2 for a in away), 1e-3)
    along = sum(a * b for a, b in zip(away, b0))
    inside = r2 < radius**2
    return np.where(inside, 0, delta_hz / 3 * radius**3 * (3 * along**2 / r2 - 1) / r2**1.5), inside
