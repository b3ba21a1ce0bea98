"""What every background removal returns."""

from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class LocalField:
    """field (X, Y, Z) in ppm, 0 outside mask; mask (X, Y, Z) bool, where it holds; parameters: what was set or chosen, for the record."""

    field: torch.Tensor
    mask: torch.Tensor
    parameters: dict[str, Any] = field(default_factory=dict)
