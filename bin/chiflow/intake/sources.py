"""Which file is which echo of which part and coil, and what its sidecars say (BIDS inheritance: the nearest wins)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chiflow.core.bids import entities
from chiflow.core.contracts import read_json
from chiflow.core.errors import ChiflowError

PARTS = ("mag", "phase", "real", "imag")
FIELD_MAP = "fieldmap"  # of the scanner, in Hz: it tells the sign of the phase
FIELD_MAP_NAMES = {"magnitude1": ("mag", 1), "magnitude2": ("mag", 2), "phasediff": ("phase", 2), "phase1": ("phase", 1), "phase2": ("phase", 2)}
NOT_PHASE = "is a field map in Hz made by the scanner, not phase: give the phase images of the echoes"
MAYBE_DIFFERENCE = "; if the one phase is a difference of two, its sidecar needs EchoTime1 and EchoTime2 (s)"
SAME_TIME_S = 1e-5
NUMBERS = frozenset("""
    EchoTime EchoTime1 EchoTime2 MagneticFieldStrength ImagingFrequency RepetitionTime FlipAngle PixelBandwidth SliceThickness SpacingBetweenSlices
    PartialFourier ParallelReductionFactorInPlane ParallelReductionFactorOutOfPlane
""".split())
IMAGE, SIDECAR = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE), re.compile(r"\.json$", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """An echo of a part: its file, which volume of a 4D file, and its sidecar with everything that it inherits; coil 0 is all combined."""

    path: Path
    part: str
    echo: int
    sidecar: dict
    volume: int | None = None
    coil: int = 0


Pair = tuple[list[Source], list[Source]]


@dataclass(frozen=True)
class Sources:
    """Magnitude and phase, or real and imaginary part: the echoes of each in order, for each coil.

    With `kind` "difference" the second is one phase difference, the first the magnitudes of its echoes, one or two.
    """

    kind: str
    coils: list[Pair]
    field_maps: list[Source]
    warnings: list[str]

    @property
    def all(self) -> list[Source]:
        """Every source, the first coil first."""
        return [source for first, second in self.coils for source in (*first, *second)]


def read_sources(files: list[Path], inherited: list[Path]) -> Sources:
    """The sources of one run.

    `inherited` are the sidecars of the levels above, the most general first. Raises ChiflowError when a part or an echo is missing or double.
    """
    beside = sorted((path for path in files if SIDECAR.search(path.name)), key=lambda path: len(entities(path.name)))
    sidecars = [(path, read_sidecar(path)) for path in [*inherited, *beside]]
    images = sorted(path for path in files if IMAGE.search(path.name))
    if not images:
        raise ChiflowError("no image among the files of the run: expected …_echo-<n>_part-<mag|phase|real|imag>_MEGRE.nii or .nii.gz")
    sources = [source for path in images for source in _sources_of(path, sidecars)]
    field_maps = [source for source in sources if source.part == FIELD_MAP]
    sources, warnings = _one_kind_of_coils([source for source in sources if source.part != FIELD_MAP])
    if not sources:
        raise ChiflowError(f"{field_maps[0].path}: {NOT_PHASE}")
    parts = _two_parts(sources)
    by_coil = [[source for source in sources if source.coil == coil] for coil in sorted({source.coil for source in sources})]
    if len(by_coil) == 1 and parts == ("mag", "phase") and _is_difference([source for source in sources if source.part == "phase"]):
        return Sources("difference", [_difference(sources)], field_maps, warnings)
    coils = [_pair(some, parts) for some in by_coil]
    for first, _ in coils[1:]:
        if len(first) != len(coils[0][0]):
            raise ChiflowError(f"{first[0].path}: {len(first)} echoes, but coil {coils[0][0][0].coil} has {len(coils[0][0])}")
    numbers = [source.echo for source in coils[0][0]]
    missing = sorted(set(range(1, numbers[-1])) - set(numbers))
    warnings += [f"echo {n} is missing, the run goes on with the others: add its images if there are any" for n in missing]
    return Sources("echo", coils, field_maps, warnings)


def read_sidecar(path: Path) -> dict:
    """A sidecar. Raises ChiflowError naming the file."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ChiflowError(f"{path}: not a sidecar, a JSON object is expected")
    return content


def _sources_of(path: Path, sidecars: Iterable[tuple[Path, dict]]) -> list[Source]:
    named, suffix = entities(path.name), _suffix(path)
    sidecar = {}
    for beside, content in sidecars:
        if _suffix(beside) == suffix and all(named.get(key) == value for key, value in entities(beside.name).items()):
            sidecar |= content
    part, number = FIELD_MAP_NAMES.get(suffix, (named.get("part", "mag"), named.get("echo", "1")))
    if part not in (*PARTS, FIELD_MAP):
        raise ChiflowError(f"{path}: part-{part} is not one of {', '.join(PARTS)}")
    if part != FIELD_MAP:
        _refuse_field_map(path, sidecar)
    coil = _number(path, "coil", named["coil"]) if "coil" in named else 0
    times = sidecar.get("EchoTime")
    if "echo" not in named and isinstance(times, list):
        return [Source(path, part, i + 1, _of_volume(sidecar, i, len(times)) | {"EchoTimes": times}, i, coil) for i in range(len(times))]
    return [Source(path, part, _number(path, "echo", str(number)), _of_volume(sidecar, 0, 1), coil=coil)]


def _of_volume(sidecar: dict, volume: int, count: int) -> dict:
    """The sidecar of one of `count` volumes: an array of numbers that are alike, or one for each volume, stands for the number of this one."""
    single = {}
    for key, value in sidecar.items():
        if isinstance(value, list) and value and (len(value) == 1 and key != "ImageType" or key in NUMBERS and (len(value) == count or value == value[:1] * len(value))):
            single[key] = value[volume] if len(value) == count else value[0]
    return sidecar | single


def _suffix(path: Path) -> str:
    return path.name.split(".")[0].split("_")[-1]


def _number(path: Path, entity: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ChiflowError(f"{path}: {entity}-{value} is not a number from 1")
    return int(value)


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


def _one_kind_of_coils(sources: list[Source]) -> tuple[list[Source], list[str]]:
    """The combined images when both of their parts are there, else those of single coils; and what was left out."""
    combined = [source for source in sources if not source.coil]
    single = [source for source in sources if source.coil]
    if not combined or not single:
        return sources, []
    if len({source.part for source in combined}) > 1:
        return combined, ["the images of single coils are left out: the run has combined ones"]
    return single, [f"{combined[0].path.name} is left out: it is combined, and only single coils have both parts"]


def _pair(sources: list[Source], parts: tuple[str, str]) -> Pair:
    """The echoes of both parts of one coil."""
    left, right = parts
    first, second = (_echoes([source for source in sources if source.part == part]) for part in parts)
    for some, others, other_part in ((first, second, right), (second, first, left)):
        missing = sorted(set(some) - set(others))
        if missing:
            hint = MAYBE_DIFFERENCE if other_part == "phase" and len(others) == 1 else ""
            raise ChiflowError(f"{some[missing[0]].path}: echo {missing[0]} has no {other_part} image, add it or leave the echo out{hint}")
    numbers = sorted(first)
    return [first[n] for n in numbers], [second[n] for n in numbers]


def _is_difference(phases: list[Source]) -> bool:
    """Whether the phase is the difference of two: a lone image at TE2 (or of no time) that names TE1 and TE2. Echoes of Siemens name them too."""
    one, two, here = (phases[0].sidecar.get(key) for key in ("EchoTime1", "EchoTime2", "EchoTime")) if len(phases) == 1 else (None, None, None)
    if one is None or two is None:
        return False
    return here is None or not isinstance(here, int | float) or not isinstance(two, int | float) or abs(here - two) < SAME_TIME_S


def _difference(sources: list[Source]) -> Pair:
    """The magnitudes of the echoes between which a phase difference is taken, and the difference."""
    magnitudes = _echoes([source for source in sources if source.part == "mag"])
    return [magnitudes[n] for n in sorted(magnitudes)], [source for source in sources if source.part == "phase"]


def _echoes(sources: list[Source]) -> dict[int, Source]:
    echoes = {}
    for source in sources:
        if source.echo in echoes:
            raise ChiflowError(f"{source.path}: the same echo and part as {echoes[source.echo].path.name}, keep one of them")
        echoes[source.echo] = source
    return echoes
