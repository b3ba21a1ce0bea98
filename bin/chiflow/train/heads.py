"""The label maps that a training draws from, kept in its folder.

    heads.npz    the label maps, cut to their brains
    data.json    their SHA-256, which ones are held out, the samples of a shard, and the hashes of the code that drew samples into this folder
"""

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from chiflow.core.cli import warn
from chiflow.core.contracts import read_json, write_json
from chiflow.core.errors import ChiflowError
from chiflow.core.progress import progress
from chiflow.simulate.anatomy import LabelHead, read_head

SUFFIXES = (".nii.gz", ".nii")
HELD_OUT_SHARE = 0.2
ROOT = Path(__file__).resolve().parents[1]
CODE = ("core", "simulate", "train", "phantom/fibres.py", "phantom/kspace.py", *(f"invert/{name}.py" for name in ("corrector", "decomposition", "guard", "start")))


@dataclass(frozen=True)
class Data:
    """Label maps to train on and to validate on, in the order of their names, SHA-256 of each file, and of the code, oldest first."""

    trained: list[LabelHead]
    held_out: list[LabelHead]
    sha256: dict[str, str]
    code: list[str]


@contextmanager
def kept_folder(folder: Path) -> Iterator[Path]:
    """The folder of one training at a time. Raises ChiflowError while another one works in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "w", encoding="utf8")
    except OSError as error:
        raise ChiflowError(f"{folder}: cannot be written ({error.strerror}): name another --folder") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ChiflowError(f"{folder}: another training works in this folder: wait for it, or name another --folder") from error
        yield folder


def read_data(labels: Path | None, held_out: str, folder: Path, shard_size: int) -> Data:
    """The label maps of a folder, none when it is None, read once. held_out : ends of names, or patterns of them, with blanks between.

    Raises ChiflowError for a folder without label maps, for ends that fit none, and when samples of other label maps are kept in `folder`.
    """
    files = label_files(labels)
    held = chosen([path.name for path in files], held_out)
    sha256 = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    code = pinned(folder / "data.json", {"Labels": sha256, "HeldOut": held, "ShardSize": shard_size})
    if not (folder / "heads.npz").is_file():
        keep_heads(folder / "heads.npz", [read_head(path) for path in progress(files, "label maps")])
    heads = kept_heads(folder / "heads.npz")
    return Data([h for h in heads if h.name not in held], [h for h in heads if h.name in held], sha256, code)


def label_files(labels: Path | None) -> list[Path]:
    """NIfTI files of a folder in the order of their names."""
    if labels is None:
        return []
    files = sorted(path for path in Path(labels).glob("*") if path.name.endswith(SUFFIXES)) if Path(labels).is_dir() else []
    if not files:
        raise ChiflowError(f"{labels}: no label maps (.nii, .nii.gz) there: name their folder, or leave --labels out to train on random shapes")
    return files


def chosen(names: list[str], held_out: str) -> list[str]:
    """The label maps that are held out: those named, else the last fifth."""
    if not held_out.split():
        count = max(round(HELD_OUT_SHARE * len(names)), 1) if len(names) > 1 else 0
        return names[len(names) - count:]
    fits = {end: [name for name in names if fnmatchcase(bare(name), f"*{bare(end)}")] for end in held_out.replace(",", " ").split()}
    if nothing := [end for end, found in fits.items() if not found]:
        raise ChiflowError(f"--held-out: no label map fits {', '.join(nothing)}; there are {', '.join(names[:4]) or 'none'}{' …' * (len(names) > 4)}")
    held = [name for name in names if any(name in found for found in fits.values())]
    if len(held) == len(names):
        raise ChiflowError("--held-out: every label map is held out, none is left to train on")
    return held


def bare(name: str) -> str:
    """A file's name without .nii or .nii.gz."""
    return name.removesuffix(".gz").removesuffix(".nii")


def pinned(path: Path, stated: dict, depends_on: tuple[str, ...] = CODE) -> list[str]:
    """Keep what the samples of a folder are drawn from; returns the hashes of the code that drew them, see code_sha256.

    Raises ChiflowError when it changed. Other code is a warning: samples of both are in the training then, as the card will say.
    """
    known = read_json(path) if path.is_file() else stated
    if changed := [key for key in stated if known.get(key) != stated[key]]:
        raise ChiflowError(f"{path.parent}: the samples there are of another choice of {', '.join(changed)}: give that, or name another --folder")
    code, now = known.get("Code", []), code_sha256(depends_on)
    if now not in code:
        if code:
            warn(f"{path.parent}: begun with other code: its samples stay, an exact repetition needs a new --folder")
        code = [*code, now]
    write_json(path, stated | {"Code": code})
    return code


def code_sha256(depends_on: tuple[str, ...] = CODE) -> str:
    """SHA-256 of the code that weights depend on, folders and files of the package; those of an inversion unless told."""
    places = [ROOT / name for name in depends_on]
    files = sorted(path for place in places for path in (place.rglob("*.py") if place.is_dir() else [place]))
    return hashlib.sha256("\n".join(f"{path.relative_to(ROOT)}\n{path.read_text(encoding='utf8')}" for path in files).encode()).hexdigest()


def keep_heads(path: Path, heads: list[LabelHead]) -> None:
    """Write label maps, atomically."""
    keep_arrays(path, {head.name: head.kinds for head in heads}, np.savez_compressed)


def keep_arrays(path: Path, arrays: dict[str, np.ndarray], save: Callable = np.savez) -> None:
    """Write arrays by name, atomically; what is half written has another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        save(file, **arrays)
    part.replace(path)


def kept_heads(path: Path) -> list[LabelHead]:
    """The label maps that `keep_heads` wrote."""
    with np.load(path) as content:
        return [LabelHead(content[name], name) for name in content.files]
