"""Susceptibility-weighted image of all echoes, and its minimum-intensity projection."""

from chiflow.swi.projection import SLAB_MM, minimum_projection
from chiflow.swi.weighting import EXPONENT, HIGH_PASS_MM, combined_magnitude, susceptibility_weighted

__all__ = ["EXPONENT", "HIGH_PASS_MM", "SLAB_MM", "combined_magnitude", "minimum_projection", "susceptibility_weighted"]
