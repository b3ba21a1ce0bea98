"""Bipolar readout: odd and even echoes are read in opposite directions, and their phases differ by a slope along the readout.

    φe = φ0 + 2πf TEe ± b,   + for the first, third … echo
    −2b = unwrap(φ2 − φ1) − r · unwrap(φ3 − φ1),   r = (TE2 − TE1) / (TE3 − TE1)

b is taken as a plane: its constant and its slope along each axis.

References: Lu 2008 (10.1002/mrm.21583), Eckstein 2018 (10.1002/mrm.26963).
"""

from dataclasses import dataclass

import numpy as np

from chiflow.combine.offset import linear_trend, ramp, slopes
from chiflow.core.spanning_tree import wrapped

LEAST_SPAN_RAD = 0.3  # of 2b across the signal; monopolar readouts stay below 0.1, bipolar ones reach 1.5 (measured on scans of both kinds)


@dataclass(frozen=True)
class Readout:
    """slopes (rad per voxel along each axis) and constant (rad at voxel 0, 0, 0) of b; span_rad of 2b across the signal along its steepest axis."""

    slopes: tuple[float, float, float]
    constant: float
    span_rad: float

    @property
    def is_bipolar(self) -> bool:
        """Whether odd and even echoes differ by more than a monopolar readout leaves."""
        return self.span_rad > LEAST_SPAN_RAD

    @property
    def axis(self) -> int:
        """The axis of the steepest slope: the readout."""
        return int(np.argmax(np.abs(self.slopes)))

    def phase(self, shape: tuple[int, ...], echo: int) -> np.ndarray:
        """What the readout adds to an echo (0, 1, …), (X, Y, Z) float32 rad."""
        plane = sum(np.float32(slope) * ramp(shape, axis) for axis, slope in enumerate(self.slopes))
        return np.float32((-1) ** echo) * (plane + np.float32(self.constant))


def find_readout(second: np.ndarray, third: np.ndarray, ratio: float, weight: np.ndarray) -> Readout:
    """b of unwrapped φ2 − φ1 and φ3 − φ1 (X, Y, Z) in rad, with ratio r; weight (X, Y, Z) is 0 where there is no signal."""
    difference = -(second - np.float32(ratio) * third) / 2
    steep = slopes(difference, weight)
    rest = wrapped(2 * (difference - linear_trend(difference, weight)))
    constant = float(np.arctan2((weight * np.sin(rest)).sum(), (weight * np.cos(rest)).sum())) / 2
    strong = weight > 0.1 * np.percentile(weight[weight > 0], 95)
    extents = [np.ptp(np.flatnonzero(strong.any(axis=tuple(a for a in range(3) if a != axis)))) for axis in range(3)]
    return Readout(tuple(steep), constant, float(max(2 * abs(slope) * extent for slope, extent in zip(steep, extents))))
