"""Make .venv: the pinned Python packages, and `nextflow` from PATH or from pinned jars. Done once for each content of the pins.

Needs Python 3.11 or later with its venv module, and nothing else; this file imports the standard library only.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VENV = ROOT / ".venv"
STAMP = VENV / "set-up"
OLDEST_ENGINE = (25, 4)


def key() -> str:
    """Sum of everything that decides what .venv holds."""
    sources = [ROOT / "requirements" / "develop.txt", *(HERE / name for name in ("setup.py", "fetch_jars.py", "nextflow", "nextflow.lock"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def run(*command: str | Path) -> None:
    """Run a command and let its progress be seen; exits when it fails."""
    if subprocess.run([str(part) for part in command], cwd=ROOT).returncode:
        raise SystemExit(f"setup: '{' '.join(Path(str(part)).name for part in command[:3])}' failed, see above; then run 'make setup' again")


def install_packages() -> None:
    """The Python packages into .venv, by uv, every file checked against its hash."""
    if not (VENV / "bin" / "python").exists():
        try:
            import ensurepip  # noqa: F401  Debian ships Python without it
        except ImportError:
            raise SystemExit("setup: this Python has no venv module; install it (on Debian and Ubuntu: apt install python3-venv)") from None
        run(sys.executable, "-m", "venv", VENV)
    if not (VENV / "bin" / "uv").exists():
        run(VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements/uv.txt")
    print("setup: Python packages, about 5 GB with PyTorch", flush=True)
    run(VENV / "bin" / "uv", "pip", "install", "--python", VENV / "bin" / "python", "--compile-bytecode", "--require-hashes", "-r", "requirements/develop.txt")


def engine_on_path() -> Path | None:
    """The `nextflow` on PATH outside .venv when it is new enough."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder).resolve() != VENV / "bin"]
    found = shutil.which("nextflow", path=os.pathsep.join(folders))
    if not found:
        return None
    said = subprocess.run([found, "-version"], capture_output=True, text=True).stdout
    version = re.search(r"version (\d+)\.(\d+)", said)
    return Path(found).resolve() if version and tuple(map(int, version.groups())) >= OLDEST_ENGINE else None


def install_engine() -> None:
    """`.venv/bin/nextflow`: a link to the one on PATH, or the launcher of the pinned jars."""
    launcher = VENV / "bin" / "nextflow"
    launcher.unlink(missing_ok=True)
    found = engine_on_path()
    if found:
        print(f"setup: Nextflow at {found}", flush=True)
        launcher.symlink_to(found)
        return
    print("setup: Nextflow 25.04, there is none on PATH", flush=True)
    run(VENV / "bin" / "python", HERE / "fetch_jars.py", HERE / "nextflow.lock", VENV / "nextflow")
    shutil.copy2(HERE / "nextflow", launcher)


def main() -> None:
    """Bring .venv up to the pins; nothing to do when it is."""
    if sys.version_info < (3, 11):
        raise SystemExit(f"setup: Python 3.11 or later is needed, this is {sys.version.split()[0]}; name another with 'make PYTHON=python3.11'")
    if STAMP.is_file() and STAMP.read_text(encoding="utf8") == key():
        return
    install_packages()
    install_engine()
    STAMP.write_text(key(), encoding="utf8")
    print("setup: done; 'source .venv/bin/activate' gives nextflow and python", flush=True)


if __name__ == "__main__":
    main()
