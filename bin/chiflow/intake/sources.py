"""Which file is which echo of which part, and what its sidecars say (BIDS inheritance: the nearest wins)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chiflow.core.bids import entities
from chiflow.core.contracts import read_json
from chiflow.core.errors import ChiflowError

PARTS = ("mag", "phase", "real", "imag")
NOT_PHASE = "is a field map in Hz made by the scanner, not phase: the phase of each echo is needed"


@dataclass(frozen=True)
class Source:
    """An echo of a part: its file, which volume of a 4D file, and its sidecar with everything that it inherits."""

    path: Path
    part: str
    echo: int
    sidecar: dict
    volume: int | None = None


def read_sources(files: list[Path], inherited: list[Path]) -> tuple[list[Source], list[Source]]:
    """Magnitude and phase, or real and imaginary part: the echoes of each in order.

    `inherited` are the sidecars of the levels above, the most general first. Raises ChiflowError when a part or an echo is missing or double.
    """
    beside = sorted((path for path in files if path.name.endswith(".json")), key=lambda path: len(entities(path.name)))
    sidecars = [(entities(path.name), read_sidecar(path)) for path in [*inherited, *beside]]
    images = sorted(path for path in files if re.search(r"\.nii(\.gz)?$", path.name))
    if not images:
        raise ChiflowError("no image among the files of the run: expected …_echo-<n>_part-<mag|phase|real|imag>_MEGRE.nii or .nii.gz")
    sources = [source for path in images for source in _sources_of(path, sidecars)]
    left, right = _two_parts(sources)
    first, second = (_echoes([source for source in sources if source.part == part]) for part in (left, right))
    for some, others, other_part in ((first, second, right), (second, first, left)):
        missing = sorted(set(some) - set(others))
        if missing:
            raise ChiflowError(f"{some[missing[0]].path}: echo {missing[0]} has no {other_part} image, add it or leave the echo out")
    numbers = sorted(first)
    gap = next((n for n in range(1, numbers[-1]) if n not in first), None)
    if gap is not None:
        raise ChiflowError(f"{first[numbers[-1]].path}: echo {gap} of {numbers[-1]} is missing, add its images or number the echoes anew")
    if len(numbers) < 2:
        raise ChiflowError(f"{first[numbers[0]].path}: the only echo, at least two are needed for a field map")
    return [first[n] for n in numbers], [second[n] for n in numbers]


def read_sidecar(path: Path) -> dict:
    """A sidecar. Raises ChiflowError naming the file."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ChiflowError(f"{path}: not a sidecar, a JSON object is expected")
    return content


def _sources_of(path: Path, sidecars: Iterable[tuple[dict, dict]]) -> list[Source]:
    named = entities(path.name)
    sidecar = {}
    for its_entities, content in sidecars:
        if all(named.get(key) == value for key, value in its_entities.items()):
            sidecar |= content
    part = named.get("part", "mag")
    if part not in PARTS:
        raise ChiflowError(f"{path}: part-{part} is not one of {', '.join(PARTS)}")
    _refuse_field_map(path, sidecar)
    times = sidecar.get("EchoTime")
    if "echo" not in named and isinstance(times, list):
        return [Source(path, part, i + 1, sidecar | {"EchoTime": time, "EchoTimes": times}, i) for i, time in enumerate(times)]
    echo = named.get("echo", "1")
    if not echo.isdecimal() or int(echo) < 1:
        raise ChiflowError(f"{path}: echo-{echo} is not a number from 1")
    return [Source(path, part, int(echo), sidecar)]


def _refuse_field_map(path: Path, sidecar: dict) -> None:
    types = [str(word).upper() for word in sidecar.get("ImageType") or []]
    if "fieldmap" in path.name.lower() or any("FIELDMAP" in word for word in types) or str(sidecar.get("Units", "")).lower() == "hz":
        raise ChiflowError(f"{path}: {NOT_PHASE}")


def _two_parts(sources: list[Source]) -> tuple[str, str]:
    """Magnitude and phase when both are there, but real and imaginary part of GE, whose phase images may be filtered."""
    there = {source.part for source in sources}
    vendor = str(next((source.sidecar.get("Manufacturer") for source in sources), "")).upper()
    polar, cartesian = {"mag", "phase"} <= there, {"real", "imag"} <= there
    if cartesian and (not polar or vendor.startswith("GE")):
        return "real", "imag"
    if polar:
        return "mag", "phase"
    missing = {"phase": "mag", "mag": "phase", "real": "imag", "imag": "real"}[sorted(there & set(PARTS), key=PARTS.index)[-1]]
    raise ChiflowError(f"{sources[0].path}: no part-{missing} image beside it; magnitude and phase (or real and imag) of each echo are needed")


def _echoes(sources: list[Source]) -> dict[int, Source]:
    echoes = {}
    for source in sources:
        if source.echo in echoes:
            raise ChiflowError(f"{source.path}: the same echo and part as {echoes[source.echo].path.name}, keep one of them")
        echoes[source.echo] = source
    return echoes
