"""Every JSON that crosses a stage's border.

Keys are BIDS names in CamelCase, units are BIDS units (s, T, MHz, mm); attributes are the same in snake_case with the unit said.
"""

import json
import sys
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

import chiflow
from chiflow.core.content import require_content
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import Geometry, geometry_of
from chiflow.core.nifti import Image, write_bytes
from chiflow.core.provenance import code_sha256, cost, host
from chiflow.core.quantities import ECHO_TIME, field_fault
from chiflow.core.spaces import SCANNER
from chiflow.core.units import larmor_frequency_mhz

RECORDED_PACKAGES = ("numpy", "scipy", "nibabel", "torch", "dcm2niix")
VERDICTS = ("pass", "warn", "fail")


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises ChiflowError naming the file."""
    require_content(path)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ChiflowError(f"{path}: not a JSON file ({error})") from error


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file, atomically."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


class Contract(BaseModel):
    """A JSON file: read with a one-line error that names file and key, written atomically with sorted meaning and BIDS names."""

    model_config = ConfigDict(populate_by_name=True, extra="allow", alias_generator=lambda name: "".join(p.title() for p in name.split("_")))

    @classmethod
    def read(cls, path: Path):
        """The contract in a JSON file. Raises ChiflowError naming the file and the key that is wrong."""
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ChiflowError(f"{path}: {key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}") from error

    def write(self, path: Path) -> None:
        """Write the contract as JSON; keys that were never given stay out."""
        write_json(path, self.model_dump(mode="json", by_alias=True, exclude_none=True))


class Made(Contract):
    """By which code, with which software and on what kind of machine a file was made; what a stage took (provenance.cost) where it says so."""

    code: str = Field(default_factory=code_sha256)
    host: dict[str, str | int] = Field(default_factory=host)
    software: dict[str, str] = Field(default_factory=lambda: software_versions())
    cost: dict[str, float] = {}


class Acquisition(Contract):
    """How a run was acquired: acquisition.json. Five keys written by hand are enough, INTAKE writes them all.

    EchoTimes in s, MagneticFieldStrength in T, ImagingFrequency in MHz (either of the two is enough, the frequency is exact), B0Direction
    in voxel axes (from the affine when it is missing). PhaseKind is "difference" when the one phase is φ(TE2) − φ(TE1) by the scanner: the
    echo time is then TE2 − TE1, SourceEchoTimes are TE1 and TE2. With Coils above 1 the images are (X, Y, Z, E, C), a coil after the other.
    Sources are the files it was taken from with their SHA-256, Converted what they were converted from when that was DICOM.
    """

    echo_times_s: list[float] = Field(alias="EchoTimes", min_length=1)
    magnetic_field_strength_t: float | None = Field(None, alias="MagneticFieldStrength", gt=0)
    imaging_frequency_mhz: float | None = Field(None, alias="ImagingFrequency", gt=0)
    b0_direction: tuple[float, float, float] | None = Field(None, alias="B0Direction")
    id: str | None = Field(None, alias="Id")
    phase_kind: Literal["echo", "difference"] = "echo"
    source_echo_times_s: list[float] | None = Field(None, alias="SourceEchoTimes")
    coils: int = Field(1, ge=1)
    warnings: list[str] = []
    sources: dict[str, str] = {}
    converted: dict[str, Any] | None = None
    made: Made | None = None

    @field_validator("echo_times_s")
    @classmethod
    def _seconds_and_rising(cls, times: list[float]) -> list[float]:
        faults = [fault for fault in map(ECHO_TIME.fault, times) if fault]
        if faults:
            raise ValueError(faults[-1])
        if any(later <= earlier for earlier, later in zip(times, times[1:])):
            raise ValueError(f"echo times {times} do not increase")
        return times

    @model_validator(mode="after")
    def _field_strength_possible(self):
        if self.magnetic_field_strength_t is None and self.imaging_frequency_mhz is None:
            raise ValueError("MagneticFieldStrength (T) or ImagingFrequency (MHz) is needed to give ppm")
        if fault := field_fault(self.magnetic_field_strength_t, self.imaging_frequency_mhz):
            raise ValueError(fault)
        return self

    @cached_property
    def frequency_mhz(self) -> float:
        """What 1 ppm is worth, in Hz: ImagingFrequency when known, else γ̄ × MagneticFieldStrength."""
        return self.imaging_frequency_mhz or larmor_frequency_mhz(self.magnetic_field_strength_t)

    @property
    def frequency_source(self) -> str:
        """Which key gave ppm."""
        return "ImagingFrequency" if self.imaging_frequency_mhz else "MagneticFieldStrength"

    def geometry(self, image: Image) -> Geometry:
        """Grid and B0 direction of an image of this run."""
        return geometry_of(image.affine, image.data.shape, self.b0_direction)

    def b0_warnings(self, image: Image) -> list[str]:
        """What is to be said when neither the acquisition nor the header of an image knows B0."""
        text = f"{image.path.name}: no matrix of its header leads to the scanner's axes: B0 is guessed from another, give B0Direction (voxel axes) in the acquisition"
        return [text] if self.b0_direction is None and image.code != SCANNER else []

    def require_echoes(self, image: Image) -> None:
        """Raise ChiflowError unless the image (X, Y, Z[, E[, C]]) has an echo for each echo time."""
        echoes = image.data.shape[3] if image.data.ndim > 3 else 1
        if echoes != len(self.echo_times_s):
            raise ChiflowError(f"{image.path}: {echoes} echoes, but the acquisition has {len(self.echo_times_s)} echo times")


class Check(Contract):
    """A figure that was judged: what is good and what is fair, each from … to (None: no limit there), the verdict, and what to do when it is not good."""

    name: str
    value: float | None
    good: tuple[float | None, float | None]
    fair: tuple[float | None, float | None]
    verdict: Literal["pass", "warn", "fail"] = "pass"
    advice: str = ""

    def model_post_init(self, _context: Any) -> None:
        """The verdict follows from the figure; what is not a number fails. Advice stays only where there is something to do."""
        self.value = self.value if self.value is not None and np.isfinite(self.value) else None
        if "verdict" not in self.model_fields_set:
            self.verdict = "pass" if within(self.value, self.good) else "warn" if within(self.value, self.fair) else "fail"
        self.advice = "" if self.verdict == "pass" else self.advice

    @property
    def told(self) -> str:
        """One sentence: the figure, the limit that it crosses, and what to do."""
        limits = self.fair if self.verdict == "fail" else self.good
        below = self.value is not None and limits[0] is not None and self.value < limits[0]
        return f"{self.name} {_number(self.value)} is {'below' if below else 'above'} {_number(limits[0] if below else limits[1])}: {self.advice}"


class Record(Contract):
    """What a stage did: the JSON beside its first output (same name, .json). Inputs are files that no stage made, with their SHA-256."""

    stage: str
    method: str
    parameters: dict[str, Any] = {}
    units: str | None = None
    figures: dict[str, Any] = {}
    checks: list[Check] = []
    warnings: list[str] = []
    inputs: dict[str, str] = {}
    made: Made | None = None

    def write_beside(self, output: Path) -> None:
        """Write the record beside an image, chi.nii → chi.json, with the code, software and machine behind it."""
        self.made = self.made or Made(cost=cost())
        self.write(record_path(output))


def within(value: float | None, limits: tuple[float | None, float | None]) -> bool:
    """Whether a figure is a number and lies from … to."""
    return value is not None and (limits[0] is None or value >= limits[0]) and (limits[1] is None or value <= limits[1])


def worst(checks: list[Check]) -> str:
    """The worst verdict: pass, warn or fail."""
    return max((check.verdict for check in checks), key=VERDICTS.index, default="pass")


def told(checks: list[Check]) -> list[str]:
    """One sentence for each check that did not pass, the worst first."""
    bad = [check for check in checks if check.verdict != "pass"]
    return [check.told for check in sorted(bad, key=lambda check: -VERDICTS.index(check.verdict))]


def _number(value: float | None) -> str:
    return "nan" if value is None else f"{value:.3g}"


def record_path(output: Path) -> Path:
    """Where the record of an image stands."""
    return Path(output).with_name(Path(output).name.removesuffix(".gz").removesuffix(".nii").removesuffix(".json") + ".json")


def software_versions() -> dict[str, str]:
    """Versions of chiflow and of the packages behind the numbers that this process has loaded."""
    return {"chiflow": chiflow.__version__} | {name: version(name) for name in RECORDED_PACKAGES if name in sys.modules}
