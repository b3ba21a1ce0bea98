"""What a training hands over: <name>.safetensors, and the card <name>.json that says where the weights come from and what they are good for."""

import hashlib
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save

from chiflow.core.contracts import read_json, write_json
from chiflow.core.nifti import write_bytes
from chiflow.train.calibration import calibrated
from chiflow.train.heads import Data
from chiflow.train.inversion import Config, State
from chiflow.train.ranges import ranges
from chiflow.train.session import stock_of
from chiflow.train.stock import calibration_samples

NAME = "inversion"
LIMITS = [
    "Trained on synthetic fields only: label maps of adult heads and random shapes.",
    "χ is relative: its mean over the mask is 0. Sources outside the mask are not mapped.",
    "A scan outside the ranges is warned about; farther outside another method takes over.",
]


def write_weights(state: State, config: Config, data: Data, folder: Path, out: Path) -> Path:
    """Write the running mean as float16 and its card; returns the path of the weights. folder : that of the training, whose shards give the ranges."""
    tensors = {name: tensor.detach().cpu().to(torch.float16).contiguous() for name, tensor in state.mean.state_dict().items()}
    content = save(tensors)
    card = {
        "Architecture": {"Class": "chiflow.invert.corrector.Corrector", "Channels": list(config.channels), "Stored": "float16",
                         "Parameters": sum(p.numel() for p in state.mean.parameters())},
        "Training": {"Command": command(), "Config": asdict(config), "StepsDone": state.step, "Seconds": round(state.seconds),
                     "Data": "fields simulated from label maps and random shapes" if data.sha256 else "fields simulated from random shapes",
                     "HeldOut": [head.name for head in data.held_out], "Sha256OfLabels": data.sha256, "Sha256OfCode": data.code},
        "ValidationCurve": curve_of(state.curve),
        "Licence": "MIT",
        "Ranges": ranges(stock_of(config, data, folder).there(), state.mean),
        "Limits": LIMITS,
    } | rounded(calibrated(state.mean, calibration_samples(folder, config.validation_samples, data.held_out)))
    return with_card(out, NAME, content, card)


def with_card(out: Path, name: str, content: bytes, entries: dict) -> Path:
    """Write weights, and their card: name, SHA-256 and these entries; returns the path of the weights."""
    path = out / f"{name}.safetensors"
    write_bytes(path, content)
    write_json(path.with_suffix(".json"), {"Name": name, "Sha256": hashlib.sha256(content).hexdigest()} | entries)
    return path


def curve_of(rows: list[dict]) -> list[dict]:
    """The checks of a training as a card has them."""
    return [{camel(name): rounded(value) for name, value in row.items()} for row in rows]


def update_card(card: Path, **entries) -> None:
    """Put entries into a card, in place of those of the same name; a card is old or new, never in between."""
    write_json(card, read_json(card) | entries)


def command() -> str:
    """The command line of this process, without the folders of this machine."""
    return " ".join([Path(sys.argv[0]).name, *(Path(word).name if "/" in word else word for word in sys.argv[1:])])


def camel(name: str) -> str:
    """A name of code as a key of JSON: a_name → AName."""
    return "".join(part.title() for part in name.split("_"))


def rounded(value: dict | float | int | None) -> dict | float | int | None:
    """A float with five digits, also in dictionaries; the rest as it is."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value
