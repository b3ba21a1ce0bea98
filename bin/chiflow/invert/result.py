"""What every inversion returns."""

from dataclasses import dataclass, field
from typing import Any

import torch

from chiflow.core.contracts import Check

QUANTILE_OF_NORMAL = 1.645  # 90 % of a normal distribution lie within that many standard deviations


@dataclass(frozen=True)
class Susceptibility:
    """chi (X, Y, Z) in ppm, 0 outside the mask, not yet referenced; parameters: what was set or chosen, for the record.

    background : (X, Y, Z) ppm, what a method explains by sources outside the mask, or None. uncertainty : (X, Y, Z) ppm, a standard deviation.
    warnings : what the user should know. checks : figures that were judged. start : (X, Y, Z) ppm, the iterative map that a network began from.
    """

    chi: torch.Tensor
    parameters: dict[str, Any] = field(default_factory=dict)
    background: torch.Tensor | None = None
    uncertainty: torch.Tensor | None = None
    warnings: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    start: torch.Tensor | None = None
