"""Weights of a network and the card beside them: name.safetensors and name.json.

The card's Sha256 is that of the file: weights that are not the ones described are refused.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from chiflow.core.contracts import read_json
from chiflow.core.errors import ChiflowError


def load_weights(path: Path) -> tuple[dict[str, "torch.Tensor"], dict]:
    """load_arrays with torch's tensors."""
    import torch  # not in the image of the stages that work on arrays

    arrays, card = load_arrays(path)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, card


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays by name as float32, and the card. Raises ChiflowError naming the file that is missing, changed or unreadable."""
    path = Path(path)
    if not path.is_file():
        raise ChiflowError(f"{path}: no such file, the weights come with the pipeline in weights/")
    content, card = path.read_bytes(), read_json(path.with_suffix(".json"))
    found, stated = hashlib.sha256(content).hexdigest(), card.get("Sha256") if isinstance(card, dict) else None
    if found != stated:
        raise ChiflowError(f"{path}: SHA-256 {found[:12]}… is not that of its card ({str(stated)[:12]}…): take both from one release")
    try:
        return {name: array.astype(np.float32) for name, array in load(content).items()}, card
    except SafetensorError as error:
        raise ChiflowError(f"{path}: not a safetensors file ({error})") from error


@lru_cache(maxsize=4)
def load_network(kind: type["torch.nn.Module"], path: Path, device: "torch.device") -> tuple["torch.nn.Module", dict]:
    """The network of a weights file, of a kind that is made of channels and, where it has them, iterations, ready to be used on a device; and its card."""
    import torch

    tensors, card = load_weights(path)
    form = card["Architecture"]
    network = kind(tuple(form["Channels"]), *(form[key] for key in ("Iterations",) if key in form))
    network.load_state_dict(tensors)
    return network.to(device, memory_format=torch.channels_last).eval(), card
