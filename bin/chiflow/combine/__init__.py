"""From the echoes of all coils to phase that is proportional to echo time."""

from chiflow.combine.echoes import Combined, combine
from chiflow.combine.offset import SMOOTHING_MM

__all__ = ["SMOOTHING_MM", "Combined", "combine"]
