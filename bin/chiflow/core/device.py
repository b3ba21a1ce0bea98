"""The device a torch stage runs on."""

import torch

from chiflow.core.cli import warn
from chiflow.core.errors import ChiflowError


def select_device(name: str = "auto") -> torch.device:
    """The device named auto, cpu or cuda. A missing GPU is a warning and the CPU; any other name is a ChiflowError."""
    if name not in ("auto", "cpu", "cuda"):
        raise ChiflowError(f"unknown device '{name}': choose from auto, cpu, cuda")
    if name != "cpu" and torch.cuda.is_available():
        return torch.device("cuda")
    if name == "cuda":
        warn("no GPU found, computing on the CPU")
    return torch.device("cpu")
