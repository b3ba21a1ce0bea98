"""All files of a folder side by side: no nesting is too deep, and an exact copy of a file counts once."""

import hashlib
import os
from pathlib import Path

from chiflow.core.provenance import sha256_of


def link_flat(folder: Path, target: Path, depth: int | None) -> str:
    """Link every file of a folder, at most `depth` levels below it, into the empty folder `target`.

    Returns one SHA-256 for all of them, that of their sorted SHA-256s: names and order do not count.
    """
    seen = set()
    for path in files_below(folder.resolve(), depth):
        try:
            digest = sha256_of(path)
        except OSError:
            continue
        if digest not in seen:
            seen.add(digest)
            (target / f"{len(seen):07d}").symlink_to(path)
    return hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()


def files_below(folder: Path, depth: int | None) -> list[Path]:
    """Regular files in the order of their paths; links are followed, but no folder is entered twice."""
    found, entered = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        level = len(Path(parent).relative_to(folder).parts)
        if real in entered or (depth is not None and level >= depth):
            folders.clear()
        if real not in entered:
            found += [Path(parent) / name for name in names if (Path(parent) / name).is_file()]
        entered.add(real)
        folders.sort()
    return sorted(found, key=os.fsencode)
