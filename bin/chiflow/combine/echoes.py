"""All coils and echoes in, one coherent signal of each echo out:

    S_e = Σ_c |S_ec| S_ec exp(−i(φ0_c ± b)) / √Σ_c |S_ec|²        φ0_c: offset of coil c, b: of a bipolar readout

Slices that were excited one by one lose the phase of their own first. For a single coil S is its signal without offset. φ0 and b vary over centimetres and are found on a coarse grid.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from chiflow.combine.bipolar import Readout, find_readout
from chiflow.combine.blocks import Blocks
from chiflow.combine.offset import SMOOTHING_MM, coil_offset, evolution, smoothed_phase
from chiflow.combine.slices import slice_offsets, without_slice_offsets
from chiflow.core.signal_mask import signal_mask
from chiflow.core.spanning_tree import wrapped

Coils = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
SINGLE_ECHO = "a single echo: the coils' phase offset cannot be told from the field, so the total field is less sure; background removal takes most of it away"


@dataclass(frozen=True)
class Combined:
    """magnitude and phase (X, Y, Z, E) float32, phase in rad from −π to π; what was found, and what is less sure."""

    magnitude: np.ndarray
    phase: np.ndarray
    figures: dict = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def combine(coils: Coils, echo_times_s: list[float], voxel_size: tuple[float, ...], *, smoothing_mm: float = SMOOTHING_MM,
            difference: bool = False) -> Combined:
    """One signal without offset from the echoes of all coils.

    coils : gives magnitude and phase (X, Y, Z, E) of one coil after the other, each time it is called. echo_times_s : E times in s.
    voxel_size : mm. smoothing_mm : σ of the Gaussian that smooths the offsets. difference : a single phase is that between two echoes.
    """
    if len(echo_times_s) == 1:
        return _single_echo(coils, voxel_size, smoothing_mm, difference)
    ratio = echo_times_s[0] / (echo_times_s[1] - echo_times_s[0])
    own = slice_offsets(coils, ratio)
    coils = without_slice_offsets(coils, *own) if own else coils
    blocks, firsts, products = _coarse(coils, voxel_size)
    mask = signal_mask(np.sqrt(np.abs(products[0])))
    steps = [evolution(product, mask) for product in products]
    readout = _readout(steps, echo_times_s, np.where(mask, np.abs(products[0]), 0))
    bipolar = readout.phase(mask.shape, 0) if readout and readout.is_bipolar else np.zeros(mask.shape, np.float32)
    sigma = [smoothing_mm / v for v in blocks.voxel_size]
    offsets = [coil_offset(first * np.exp(-1j * bipolar), steps[0] + 2 * bipolar, ratio, np.where(mask, np.abs(first) ** 2, 0), sigma) for first in firsts]
    summed = _summed(coils, blocks, offsets, bipolar)
    slices = {"SliceOffsets": f"along {'ijk'[own[0]]}, taken off"} if own else {}
    return Combined(*summed, _told(readout, len(offsets)) | slices)


def _single_echo(coils: Coils, voxel_size: tuple[float, ...], smoothing_mm: float, difference: bool) -> Combined:
    """The one echo with its offset, which nothing can tell from the field; several coils are turned to the phase of the strongest one."""
    blocks, firsts, _ = _coarse(coils, voxel_size)
    strongest = max(firsts, key=lambda first: float(np.abs(first).sum(dtype=np.float64)))
    products, sigma = [first * strongest.conj() for first in firsts], [smoothing_mm / v for v in blocks.voxel_size]
    offsets = [smoothed_phase(np.angle(product), np.abs(product), sigma) for product in products] if len(products) > 1 else [np.zeros(strongest.shape)]
    summed = _summed(coils, blocks, offsets, np.zeros(strongest.shape))
    return Combined(*summed, {"Coils": len(offsets), "Readout": "unknown"}, [] if difference else [SINGLE_ECHO])


def _coarse(coils: Coils, voxel_size: tuple[float, ...]) -> tuple[Blocks, list[np.ndarray], list[np.ndarray]]:
    """The coarse grid, the first echo of every coil on it, and Σ_c S2 S1* and Σ_c S3 S1* (where there are three echoes), complex."""
    firsts, products = [], []
    for magnitude, phase in coils():
        blocks = Blocks(magnitude.shape, voxel_size)
        first = _signal(magnitude[..., 0], phase[..., 0])
        firsts.append(blocks.mean(first))
        others = [blocks.mean(_signal(magnitude[..., e], phase[..., e]) * first.conj()) for e in range(1, min(3, magnitude.shape[3]))]
        products = [one + two for one, two in zip(products, others)] if products else others
    return blocks, firsts, products


def _signal(magnitude: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Complex64 from magnitude and phase in rad."""
    signal = np.empty(magnitude.shape, np.complex64)
    np.multiply(magnitude, np.cos(phase), out=signal.real)
    np.multiply(magnitude, np.sin(phase), out=signal.imag)
    return signal


def _readout(steps: list[np.ndarray], times: list[float], weight: np.ndarray) -> Readout | None:
    """The readout that unwrapped φ2 − φ1 and φ3 − φ1 tell of; None with two echoes, which tell nothing."""
    return find_readout(*steps, (times[1] - times[0]) / (times[2] - times[0]), weight) if len(steps) > 1 else None


def _summed(coils: Coils, blocks: Blocks, offsets: list[np.ndarray], bipolar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Magnitude and phase (X, Y, Z, E) of the sum over the coils, each without its offset."""
    alternating = blocks.spread(bipolar) if bipolar.any() else np.float32(0)
    signal = power = 0
    for (magnitude, phase), offset in zip(coils(), offsets):
        plain = blocks.spread(offset)
        phase = np.stack([wrapped(phase[..., e] - plain - (-1) ** e * alternating) for e in range(phase.shape[3])], axis=-1)
        if len(offsets) == 1:
            return magnitude, phase
        signal, power = signal + magnitude * _signal(magnitude, phase), power + magnitude**2
    return np.abs(signal) / np.sqrt(np.maximum(power, np.float32(1e-30))), np.angle(signal)


def _told(readout: Readout | None, coils: int) -> dict:
    """What the record says about readout and coils."""
    figures = {"Coils": coils, "Readout": "unknown"}
    if readout is not None:
        figures |= {"Readout": "bipolar, corrected" if readout.is_bipolar else "monopolar", "OddEvenSpanRad": round(readout.span_rad, 3)}
    return figures | ({"ReadoutAxis": "ijk"[readout.axis]} if readout and readout.is_bipolar else {})
