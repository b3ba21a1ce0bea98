"""What every background removal returns."""

from dataclasses import dataclass, field
from typing import Any

import torch

from chiflow.core.contracts import Check


@dataclass(frozen=True)
class LocalField:
    """field (X, Y, Z) in ppm, 0 outside mask; mask (X, Y, Z) bool, where it holds; parameters: what was set or chosen, for the record.

    checks : figures that were judged. warnings : what the user should know.
    """

    field: torch.Tensor
    mask: torch.Tensor
    parameters: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
