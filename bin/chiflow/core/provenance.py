"""What a file was made from and by: content of the inputs, code of the stage, kind of machine. Equal answers make equal bytes.

Sums of floating-point numbers depend on the instructions of the processor, the C library and the number of threads; times, paths and
names of machines change nothing and are in no published file but the report.
"""

import hashlib
import os
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np

STARTED = time.monotonic()
BIN = Path(__file__).resolve().parent.parent.parent
INSTRUCTIONS = ("AVX512_SPR", "AVX512_ICL", "AVX512_SKX", "AVX2", "SSE42", "SVE", "ASIMD")  # the widest of each kind first


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digests(*paths: Path | None) -> dict[str, str]:
    """SHA-256 of each file that is given, by name, in the order of names."""
    return {path.name: sha256_of(path) for path in sorted(filter(None, paths), key=lambda path: path.name)}


def card_and_weights(weights: Path) -> list[Path]:
    """Both files of a network: its weights and the card beside them, whose ranges and calibration count as well."""
    return [weights.with_suffix(".json"), weights]


def code_sha256(stage: str | None = None) -> str:
    """SHA-256 of the code that a stage runs on: its executable, its room and core, as `codeOf` of modules/code.nf has it.

    Without a name: the executable that is running.
    """
    stage = stage or Path(sys.argv[0]).stem
    places = (f"{stage}.py", "chiflow/__init__.py", f"chiflow/{stage}.py", f"chiflow/{stage}", "chiflow/core")
    sources = [source for place in places for source in _source_files(BIN / place)]
    return hashlib.sha256("\n".join(f"bin/{s.relative_to(BIN).as_posix()}\n{s.read_bytes().decode()}" for s in sources).encode()).hexdigest()


def _source_files(place: Path) -> list[Path]:
    if place.is_dir():
        return [source for inner in sorted(place.iterdir()) for source in _source_files(inner)]
    return [place] if place.is_file() and place.suffix in (".py", ".html") else []


def host() -> dict[str, str | int]:
    """The kind of machine this process computes on."""
    found = {
        "System": platform.system(),
        "Machine": platform.machine(),
        "Instructions": next((name for name in INSTRUCTIONS if _features().get(name)), "unknown"),
        "CLibrary": " ".join(platform.libc_ver()),
        "Python": platform.python_version(),
        "Threads": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
    }
    torch = sys.modules.get("torch")
    gpu = torch is not None and torch.cuda.is_initialized()
    return found | ({"Gpu": torch.cuda.get_device_name()} if gpu else {})


def cost() -> dict[str, float]:
    """What this process has taken until now: seconds by the clock and of processors, and the most memory that it held, in GiB."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {"Seconds": time.monotonic() - STARTED, "CpuSeconds": used.ru_utime + used.ru_stime, "PeakMemoryGib": used.ru_maxrss / 2**20}
    if "Gpu" in host():
        found["PeakGpuMemoryGib"] = sys.modules["torch"].cuda.max_memory_allocated() / 2**30
    return {name: round(value, 3) for name, value in found.items()}


def _features() -> dict[str, bool]:
    """Which instruction sets numpy found, by its own names."""
    return getattr(np._core._multiarray_umath, "__cpu_features__", {})
