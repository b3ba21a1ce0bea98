"""What a physical quantity can be, and which unit a number is probably in when it cannot be that.

A number outside its range is read in the other units in which it is known to be written, and named by the one
that makes most sense of it.
"""

from dataclasses import dataclass

from chiflow.core.units import GAMMA_BAR_MHZ_PER_T

# that QSM is made on
MAGNETS_T = (0.55, 1.0, 1.2, 1.5, 2.0, 2.35, 3.0, 4.0, 4.7, 5.0, 7.0, 9.4, 10.5, 11.7, 14.1, 16.4, 17.6, 21.1)


@dataclass(frozen=True)
class Quantity:
    """Its BIDS key and unit, from … to in that unit, what it is worth in others, and the values that are
    common where there are some.
    """

    key: str
    unit: str
    least: float
    most: float
    others: dict[str, float]
    common: tuple[float, ...] = ()

    def fault(self, value: float) -> str | None:
        """What is wrong with a value in the unit of the key; None when nothing is."""
        if self.least <= value <= self.most:
            return None
        if not value > 0:
            return f"{self.key} {value:g} {self.unit} is not positive"
        readings = {unit: value * worth for unit, worth in self.others.items() if self.least <= value * worth <= self.most}
        if not readings:
            return f"{self.key} {value:g} is no {self.unit}: {self.least:g} to {self.most:g} {self.unit} is possible"
        unit = min(readings, key=lambda name: self._strangeness(readings[name]))
        return f"{self.key} {value:g} looks like {unit}: BIDS wants {self.unit}, that is {readings[unit]:.4g}"

    def _strangeness(self, value: float) -> float:
        """How far a value lies from the nearest common one, relative to it."""
        return min((abs(value / common - 1) for common in self.common), default=0.0)


# a "3 T" runs 3.6 % below its name; more than a tenth is another unit or another nucleus
NOT_THE_PROTON = 0.1

TESLAS = {"gauss": 1e-4, "mT": 1e-3, "MHz": 1 / GAMMA_BAR_MHZ_PER_T, "Hz": 1e-6 / GAMMA_BAR_MHZ_PER_T}
MEGAHERTZ = {"T": GAMMA_BAR_MHZ_PER_T, "Hz": 1e-6, "kHz": 1e-3, "GHz": 1e3, "gauss": 1e-4 * GAMMA_BAR_MHZ_PER_T}
SECONDS = {"milliseconds": 1e-3, "microseconds": 1e-6, "milliseconds divided by a million": 1e3}
STRENGTH = Quantity("MagneticFieldStrength", "T", 0.05, 25, TESLAS, MAGNETS_T)
FREQUENCY = Quantity("ImagingFrequency", "MHz", 12, 1100, MEGAHERTZ, tuple(GAMMA_BAR_MHZ_PER_T * b for b in MAGNETS_T))
ECHO_TIME = Quantity("EchoTime", "s", 1e-5, 0.5, SECONDS)
REPETITION_TIME = Quantity("RepetitionTime", "s", 5e-4, 20, {"milliseconds": 1e-3, "microseconds": 1e-6})
FLIP_ANGLE = Quantity("FlipAngle", "degrees", 0.5, 180, {"rad": 57.29578, "tenths of a degree": 0.1, "centidegrees": 0.01})
THICKNESS = Quantity("SliceThickness", "mm", 0.005, 30, {"m": 1e3, "cm": 10, "µm": 1e-3})
SPACING = Quantity("SpacingBetweenSlices", "mm", 0.005, 60, THICKNESS.others)
VOXEL = Quantity("the voxel side of the header", "mm", 0.005, 30, {"m": 1e3, "µm": 1e-3})


def field_fault(strength_t: float | None, frequency_mhz: float | None) -> str | None:
    """What is wrong with field strength and imaging frequency, of which one may be missing: two that agree
    need no range.
    """
    proton_mhz = GAMMA_BAR_MHZ_PER_T * (strength_t or 0)
    if proton_mhz > 0 and frequency_mhz and abs(frequency_mhz / proton_mhz - 1) <= NOT_THE_PROTON:
        return None
    for quantity, value in ((STRENGTH, strength_t), (FREQUENCY, frequency_mhz)):
        if value is not None and (fault := quantity.fault(value)):
            return fault
    if strength_t and frequency_mhz:
        proton = f"the proton frequency at {strength_t:g} T in MHz ({proton_mhz:.1f})"
        return f"ImagingFrequency {frequency_mhz:g} is not {proton}"
    return None
