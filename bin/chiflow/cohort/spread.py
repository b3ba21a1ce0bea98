"""How far a figure of one run lies from those of the others.

    z = 0.6745 (x − median) / MAD,     MAD = median |x − median|;     |z| > 3.5 stands out

Reference: Iglewicz and Hoaglin 1993, How to detect and handle outliers (ASQC Quality Press). Mean and SD would be moved by the very outliers.
"""

from dataclasses import dataclass
from statistics import median

FARTHEST = 3.5
NORMAL = 0.6745  # MAD of a normal distribution with SD 1
FEWEST = 8  # with fewer runs the median deviation says little


@dataclass(frozen=True)
class Spread:
    """Number, median and median absolute deviation of a figure over the runs that have it."""

    count: int
    middle: float
    deviation: float

    def stands_out(self, value: float) -> bool:
        """Whether a value is an outlier; never with fewer than eight runs, or when half of them have one value."""
        return self.count >= FEWEST and self.deviation > 0 and abs(NORMAL * (value - self.middle) / self.deviation) > FARTHEST


def spread_of(values: list[float]) -> Spread:
    """The spread of a figure."""
    middle = median(values) if values else 0.0
    return Spread(len(values), middle, median(abs(value - middle) for value in values) if values else 0.0)
