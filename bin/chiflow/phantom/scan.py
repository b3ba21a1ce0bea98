"""One simulated scan: a head, a protocol and a seed in; magnitude, phase and every truth out."""

from dataclasses import dataclass, field

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.units import TWO_PI
from chiflow.phantom import waves
from chiflow.phantom.anatomy import draw_head
from chiflow.phantom.field import background_field, local_field, resample, shim, spacing_for
from chiflow.phantom.grid import Grid, box_mean, slab
from chiflow.phantom.head import HeadMaps, render
from chiflow.phantom.signal import add_noise, bipolar_offset, draw_coil, echo_signal, phase_offset
from chiflow.phantom.tissues import TISSUES

MHZ_PER_T = 123.2 / 3  # what a "3 T" of the largest maker runs at
BIAS_SPREAD = 0.12
FEWEST_MASK_VOXELS = 50


@dataclass(frozen=True)
class Protocol:
    """How a scan is acquired: lengths in mm, angles in degrees, echo times in s, field in T, SNR of white matter at the first echo.

    With `oversampling` 2 it is simulated on voxels of half the size, 0.8 mm at the finest, and averaged.
    """

    shape: tuple[int, int, int] = (128, 152, 112)
    voxel_size: tuple[float, float, float] = (1.5, 1.5, 1.5)
    tilt_deg: float = 0.0
    turn_deg: float = 0.0
    orientation: str = "axial"
    echo_times_s: tuple[float, ...] = (0.004, 0.010, 0.016, 0.022)
    field_strength_t: float = 3.0
    snr: float = 60.0
    bipolar: bool = False
    oversampling: int = 1

    @property
    def imaging_frequency_mhz(self) -> float:
        """Frequency in MHz, lower than γ̄ × the nominal field as on real scanners."""
        return MHZ_PER_T * self.field_strength_t

    @property
    def grid(self) -> Grid:
        """The imaging slab."""
        return slab(self.shape, self.voxel_size, self.tilt_deg, self.turn_deg, self.orientation)


@dataclass(frozen=True)
class Scan:
    """magnitude and phase (X, Y, Z, E) float32, phase in rad, the grid, and the truths by name (X, Y, Z[, E])."""

    protocol: Protocol
    grid: Grid
    magnitude: np.ndarray
    phase: np.ndarray
    truth: dict[str, np.ndarray] = field(default_factory=dict)


def simulate(protocol: Protocol, seed: int = 0, subject: int = 0) -> Scan:
    """The scan of a subject under a protocol; equal arguments give equal arrays."""
    head, grid = draw_head(seed, subject), protocol.grid
    spacing = spacing_for(np.divide(protocol.voxel_size, protocol.oversampling))
    factors = tuple(max(1, round(float(v) / spacing)) for v in protocol.voxel_size)
    thin = grid.finer(factors)
    maps = render(head, thin)
    mask = box_mean(maps.brain, factors) > 0.5
    if mask.sum() < FEWEST_MASK_VOXELS:
        slab_text = f"{protocol.shape} voxels of {protocol.voxel_size} mm"
        raise ChiflowError(f"only {int(mask.sum())} voxels of brain in a slab of {slab_text}: use more or larger voxels")
    chi = box_mean(maps.chi, factors)
    mean = float(chi[mask].mean(dtype=np.float64))
    local = local_field(maps.chi, np.kron(mask, np.ones(factors, bool)), thin)
    background = resample(*background_field(head, grid, mean, spacing), thin)
    background -= shim(local + background, maps.brain > 0.5, thin)
    field_hz = (local + background) * np.float32(protocol.imaging_frequency_mhz)
    truth = {"chi": np.where(mask, chi - np.float32(mean), 0), "mask": mask, "local_ppm": box_mean(local, factors) * mask}
    truth |= {"background_ppm": box_mean(background, factors), "field_hz": box_mean(field_hz, factors)}
    truth |= {"labels": labels_of(maps, factors), "r2star": box_mean(maps.r2star, factors) * np.float32(protocol.field_strength_t / 3)}
    magnitude, phase, seen = _measure(protocol, maps, thin, factors, field_hz, seed, subject, truth)
    return Scan(protocol, grid, magnitude, phase, truth | seen)


def labels_of(maps: HeadMaps, factors: tuple[int, int, int]) -> np.ndarray:
    """The label at the middle of each voxel, (X, Y, Z) uint8."""
    return maps.labels[tuple(slice(f // 2, None, f) for f in factors)]


def _measure(protocol: Protocol, maps: HeadMaps, thin: Grid, factors, field_hz, seed: int, subject: int, truth: dict):
    """Magnitude and phase (X, Y, Z, E), and the truths that belong to the signal."""
    coil, rng = draw_coil(seed, subject), np.random.default_rng([seed, subject, 3])
    offset = phase_offset(coil, thin)
    m0 = maps.m0 * np.exp(BIAS_SPREAD * waves.on_grid(coil.bias, thin.affine, thin.shape))
    r2star = maps.r2star * np.float32(protocol.field_strength_t / 3)
    shape = (*protocol.shape, len(protocol.echo_times_s))
    magnitude, phase, unwrapped = (np.empty(shape, np.float32, order="F") for _ in range(3))
    sigma = None
    for echo, time in enumerate(protocol.echo_times_s):
        extra = bipolar_offset(coil, thin.shape, echo) if protocol.bipolar else np.float32(0)
        signal = box_mean(echo_signal(m0, r2star, field_hz, offset + extra, time), factors)
        sigma = sigma or noise_sigma(np.abs(signal), truth["labels"], truth["mask"], protocol.snr)
        add_noise(signal, sigma, rng)
        magnitude[..., echo], phase[..., echo] = np.abs(signal), np.angle(signal)
        unwrapped[..., echo] = box_mean(offset + extra, factors) + np.float32(TWO_PI * time) * truth["field_hz"]
    return magnitude, phase, {"offset": box_mean(offset, factors), "phase": unwrapped}


def noise_sigma(magnitude: np.ndarray, labels: np.ndarray, mask: np.ndarray, snr: float) -> float:
    """Noise of each channel that gives white matter (or the mask, when the slab has none) the SNR."""
    white = mask & (labels == TISSUES["white_matter"].label)
    return float(np.median(magnitude[white if white.any() else mask]) / snr)
