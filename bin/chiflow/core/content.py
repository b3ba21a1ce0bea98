"""Whether a file that is there can be read: data sets under version control leave links and stand-ins in
place of what was not fetched.
"""

from pathlib import Path

from chiflow.core.errors import ChiflowError

LARGEST_STAND_IN = 2000  # bytes
STAND_INS = {b"/annex/objects/": "git-annex", b"version https://git-lfs": "git-lfs"}
FETCH = {"git-annex": "fetch it with 'datalad get' or 'git annex get'", "git-lfs": "fetch it with 'git lfs pull'"}


def require_content(path: Path) -> None:
    """Raise ChiflowError, with what to do, for a file that is not there, or whose content is not."""
    path = Path(path)
    if path.is_symlink() and not path.exists():
        where = str(path.readlink())
        hint = FETCH["git-annex"] if "annex" in where else "fetch it ('dvc pull' for DVC), or mend the link"
        raise ChiflowError(f"{path}: a link without content: {hint}")
    if not path.is_file():
        raise ChiflowError(f"{path}: no such file")
    if path.stat().st_size <= LARGEST_STAND_IN:
        start = path.read_bytes()
        kind = next((kind for words, kind in STAND_INS.items() if words in start[:200]), None)
        if kind:
            raise ChiflowError(f"{path}: stands in for a file that is not here: {FETCH[kind]}")
