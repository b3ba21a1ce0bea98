"""Field map from the unwrapped, offset-free phase of the echoes.

Every method: (phase, magnitude, mask, echo_times_s) → FieldMap; phase and magnitude (X, Y, Z, E), rad and any unit.
"""

from chiflow.fieldmap.linear import fit_linear
from chiflow.fieldmap.nonlinear import fit_nonlinear
from chiflow.fieldmap.result import FieldMap

FIELD_FITS = {"linear": fit_linear, "nonlinear": fit_nonlinear}

__all__ = ["FIELD_FITS", "FieldMap"]
