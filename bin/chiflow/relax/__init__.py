"""R2*, T2* and S0 from the magnitude of the echoes; every method is method(magnitude, mask, echo_times_s, noise) → Relaxation.

benchmark/relaxation.py compares them. Dephasing by field gradients across the voxel is not corrected: next to air R2* is too large.
"""

from chiflow.relax.arlo import arlo
from chiflow.relax.decay import Relaxation
from chiflow.relax.loglinear import loglinear
from chiflow.relax.noise import noise_of_echoes

RELAXATIONS = {"loglinear": loglinear, "arlo": arlo}

__all__ = ["RELAXATIONS", "Relaxation", "arlo", "loglinear", "noise_of_echoes"]
