"""One simulated scan: a head, a protocol and a seed in; magnitude, phase and every truth out.

    f = D (χ − χ̄) m + anisotropy + background − shim

A plain scan has one water with a phase linear in TE, and averages over voxels. One as in vivo (InVivo) has white matter with fibres, keeps of k space what its
voxels resolve, moves a little between echoes and hears less far from the coils.
"""

from dataclasses import dataclass, field

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.units import TWO_PI
from chiflow.phantom import waves
from chiflow.phantom.anatomy import Head, draw_head
from chiflow.phantom.coils import receive_profile
from chiflow.phantom.field import background_field, local_field, resample, shim, spacing_for
from chiflow.phantom.grid import Grid, box_mean, slab
from chiflow.phantom.head import HeadMaps, render
from chiflow.phantom.kspace import acquired
from chiflow.phantom.signal import add_noise, bipolar_offset, draw_coil, echo_signal, phase_offset
from chiflow.phantom.tissues import TISSUES
from chiflow.phantom.white import WhiteMatter, white_matter

MHZ_PER_T = 123.2 / 3  # what a "3 T" of the largest maker runs at
BIAS_SPREAD = 0.12
FEWEST_MASK_VOXELS = 50
FINER, MOST_VOXELS = 2, 50e6  # of the grid in vivo: fine voxels along an axis, memory


@dataclass(frozen=True)
class InVivo:
    """What a scan in vivo has beside a plain one.

    anisotropy_ppm : χ∥ − χ⊥ of white matter. pools : three waters in it. motion_voxels : standard deviation of where an echo finds the head, in voxels.
    """

    anisotropy_ppm: float = 0.0165
    pools: bool = True
    motion_voxels: float = 0.05


@dataclass(frozen=True)
class Protocol:
    """How a scan is acquired: lengths in mm, angles in degrees, echo times in s, field in T, SNR of white matter at the first echo.

    With `oversampling` 2 it is simulated on voxels of half the size, 0.8 mm at the finest, and averaged. Without `in_vivo` head and scan are plain.
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
    in_vivo: InVivo | None = None

    @property
    def imaging_frequency_mhz(self) -> float:
        """Frequency in MHz, lower than γ̄ × the nominal field as on real scanners."""
        return MHZ_PER_T * self.field_strength_t

    @property
    def grid(self) -> Grid:
        """The imaging slab."""
        return slab(self.shape, self.voxel_size, self.tilt_deg, self.turn_deg, self.orientation)

    @property
    def spacing_mm(self) -> float:
        """Voxel edge of the grid of the background."""
        return spacing_for(np.divide(self.voxel_size, self.oversampling))

    @property
    def factors(self) -> tuple[int, int, int]:
        """Fine voxels in a voxel along each axis: in vivo at least two, the longest edges first, as far as memory allows."""
        factors = [max(1, round(float(v) / self.spacing_mm)) for v in self.voxel_size]
        for axis in np.argsort(self.voxel_size)[::-1] if self.in_vivo else ():
            finer = [max(FINER, f) if a == axis else f for a, f in enumerate(factors)]
            factors = finer if np.prod(finer) * np.prod(self.shape) <= MOST_VOXELS else factors
        return tuple(factors)


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
    head, grid, factors = draw_head(seed, subject, plain=protocol.in_vivo is None), protocol.grid, protocol.factors
    thin = grid.finer(factors)
    maps = render(head, thin)
    mask = box_mean(maps.brain, factors) > 0.5
    if mask.sum() < FEWEST_MASK_VOXELS:
        slab_text = f"{protocol.shape} voxels of {protocol.voxel_size} mm"
        raise ChiflowError(f"only {int(mask.sum())} voxels of brain in a slab of {slab_text}: use more or larger voxels")
    chi = box_mean(maps.chi, factors)
    mean = float(chi[mask].mean(dtype=np.float64))
    local = local_field(maps.chi, np.kron(mask, np.ones(factors, bool)), thin)
    white = _white(protocol, head, maps, mask)
    rest = resample(*background_field(head, grid, mean, protocol.spacing_mm), thin)
    truth = {"chi": np.where(mask, chi - np.float32(mean), 0), "mask": mask, "local_ppm": box_mean(local, factors) * mask}
    if white:
        truth |= {"anisotropic_ppm": white.anisotropic(grid.shape)}
        local[white.box] += white.anisotropic_ppm
    rest -= shim(local + rest, maps.brain > 0.5, thin)
    field_hz = (local + rest) * np.float32(protocol.imaging_frequency_mhz)
    truth |= {"background_ppm": box_mean(rest, factors), "field_hz": box_mean(field_hz, factors)}
    truth |= {"labels": labels_of(maps, factors), "r2star": box_mean(maps.r2star, factors) * np.float32(protocol.field_strength_t / 3)}
    magnitude, phase, seen = _measure(protocol, maps, thin, white, field_hz, seed, subject, truth)
    return Scan(protocol, grid, magnitude, phase, truth | seen)


def labels_of(maps: HeadMaps, factors: tuple[int, int, int]) -> np.ndarray:
    """The label at the middle of each voxel, (X, Y, Z) uint8."""
    return maps.labels[tuple(slice(f // 2, None, f) for f in factors)]


def _measure(protocol: Protocol, maps: HeadMaps, thin: Grid, white: WhiteMatter | None, field_hz, seed: int, subject: int, truth: dict):
    """Magnitude and phase (X, Y, Z, E), and the truths that belong to the signal."""
    coil, rng, factors = draw_coil(seed, subject), np.random.default_rng([seed, subject, 3]), protocol.factors
    offset = phase_offset(coil, thin)
    m0 = maps.m0 * np.exp(BIAS_SPREAD * waves.on_grid(coil.bias, thin.affine, thin.shape))
    m0 *= receive_profile(thin) if white else np.float32(1)
    r2star = maps.r2star * np.float32(protocol.field_strength_t / 3)
    shape = (*protocol.shape, len(protocol.echo_times_s))
    magnitude, phase, unwrapped = (np.empty(shape, np.float32, order="F") for _ in range(3))
    pools, moved, sigma = np.zeros(shape, np.float32, order="F"), _moved(protocol, seed, subject), None
    for echo, time in enumerate(protocol.echo_times_s):
        extra = bipolar_offset(coil, thin.shape, echo) if protocol.bipolar else np.float32(0)
        signal = echo_signal(m0, r2star, field_hz, offset + extra, time)
        if white:
            white.turn(signal, pools[..., echo], time, protocol.imaging_frequency_mhz, protocol.field_strength_t)
            signal = acquired(signal, factors, moved[echo])
        else:
            signal = box_mean(signal, factors)
        sigma = sigma or noise_sigma(np.abs(signal), truth["labels"], truth["mask"], protocol.snr)
        add_noise(signal, sigma, rng)
        magnitude[..., echo], phase[..., echo] = np.abs(signal), np.angle(signal)
        unwrapped[..., echo] = box_mean(offset + extra, factors) + np.float32(TWO_PI * time) * truth["field_hz"] + pools[..., echo]
    return magnitude, phase, {"offset": box_mean(offset, factors), "phase": unwrapped} | ({"pools_rad": pools} if white else {})


def _white(protocol: Protocol, head: Head, maps: HeadMaps, mask: np.ndarray) -> WhiteMatter | None:
    """White matter with fibres, of a scan as in vivo."""
    way = protocol.in_vivo
    return white_matter(head, maps.white, mask, protocol.grid, protocol.factors, way.anisotropy_ppm, way.pools) if way else None


def _moved(protocol: Protocol, seed: int, subject: int) -> np.ndarray:
    """Where each echo finds the head, (E, 3) in voxels: the first where it is."""
    moved = np.random.default_rng([seed, subject, 8]).standard_normal((len(protocol.echo_times_s), 3))
    moved[0] = 0
    return moved * (protocol.in_vivo.motion_voxels if protocol.in_vivo else 0)


def noise_sigma(magnitude: np.ndarray, labels: np.ndarray, mask: np.ndarray, snr: float) -> float:
    """Noise of each channel that gives white matter (or the mask, when the slab has none) the SNR."""
    white = mask & (labels == TISSUES["white_matter"].label)
    return float(np.median(magnitude[white if white.any() else mask]) / snr)
