"""DICOM to NIfTI by dcm2niix, without identity.

What dcm2niix prints and the sidecars it writes hold names and dates: its output is never shown, and its files live in a temporary folder
inside `out` that is gone when the call returns.
"""

import glob
import json
import re
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import dcm2niix

from chiflow.convert.anonymous import Labels, kept_keys, without_header_text
from chiflow.convert.kind import coil_of, part_or_reason
from chiflow.convert.links import link_flat
from chiflow.core.conversion import Aside, Conversion, ConvertedImage
from chiflow.core.errors import ChiflowError, NotFinished
from chiflow.core.nifti import read_header, write_bytes

NOTHING_FOUND = "no DICOM image that can be read was found in the folder"
NOT_ALL_READ = "some DICOM files in the folder could not be converted: images may be missing, look for damaged files"
DONE = (0, 2)  # converted, no DICOM found
OPTIONS = ["-b", "y", "-ba", "n", "-z", "n", "-d", "0", "-w", "2", "-m", "o", "-f", "s%s_%j"]  # -m o: coils stay apart


@dataclass(frozen=True)
class Image:
    """An image of dcm2niix: file, what dcm2niix put behind the name, its sidecar (with identity), labels, part (or why it has none), coil."""

    path: Path
    sidecar: dict
    subject: str
    session: str
    part: str | None
    reason: str | None
    coil: str | None

    @property
    def series_number(self) -> int:
        """Series number, 0 when the scanner gave none."""
        return int(self.sidecar.get("SeriesNumber") or 0)

    @property
    def series_uid(self) -> str:
        """What tells two series of one number apart."""
        return str(self.sidecar.get("SeriesInstanceUID", ""))

    @property
    def name(self) -> str:
        """What a reader without the DICOM files knows it by."""
        return f"sub-{self.subject}_ses-{self.session} series {self.series_number}"


def convert(dicom: Path, key: Path, out: Path, subjects: Path, depth: int | None = None) -> Conversion:
    """Convert a folder into `out` and say what was set aside; `subjects` gets the table of labels.

    Raises ChiflowError when the folder is not there, the key is empty, or a place cannot be written.
    """
    if not dicom.is_dir():
        raise ChiflowError(f"{dicom}: no such folder")
    labels = Labels.from_file(key)
    record = Conversion()
    make_folder(out)
    with tempfile.TemporaryDirectory(prefix=".dicom_", dir=out) as temporary:
        paths, complete, digest = run_dcm2niix(dicom, Path(temporary), depth)
        images = read_images(paths, labels)
        aside = [Aside(name=image.name, reason=image.reason) for image in images if image.reason]
        origin = {"Dicom": digest, "Made": record.made.model_dump(mode="json", by_alias=True)}
        aside += write_images([image for image in images if not image.reason], labels, origin, out)
    write_subjects(subjects, images, dicom, labels)
    if not images or not complete:
        aside.append(Aside(name=labels.folder(dicom), reason=NOT_ALL_READ if images else NOTHING_FOUND))
    unique = {(entry.name, entry.reason): entry for entry in aside}
    record.aside = [unique[pair] for pair in sorted(unique)]
    record.write(out / "convert.json")
    return record


def make_folder(folder: Path) -> None:
    """Make a folder. Raises ChiflowError when that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ChiflowError(f"{folder}: cannot be made ({error.strerror})") from error


def run_dcm2niix(dicom: Path, temporary: Path, depth: int | None) -> tuple[list[Path], bool, str]:
    """Convert all files below a folder; returns the images in the order of their names, whether all went well, and the SHA-256 of the files.

    What dcm2niix says is kept from every log. Raises NotFinished when it was killed: it had not seen all files.
    """
    flat, made = temporary / "flat", temporary / "made"
    flat.mkdir()
    made.mkdir()
    digest = link_flat(dicom, flat, depth)
    call = [dcm2niix.bin, *OPTIONS, "-o", str(made), str(flat)]
    done = subprocess.run(call, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode < 0:
        raise NotFinished(f"dcm2niix was ended by signal {-done.returncode} before it had read all files of the folder")
    return sorted(path for path in made.glob("*.nii") if path.with_suffix(".json").is_file()), done.returncode in DONE, digest


def read_images(paths: list[Path], labels: Labels) -> list[Image]:
    """Sidecars, labels and parts of what dcm2niix wrote."""
    images = []
    for path in paths:
        sidecar = read_sidecar(path.with_suffix(".json"))
        ending = path.stem.removeprefix(f"s{sidecar.get('SeriesNumber', '')}_{sidecar.get('SeriesInstanceUID', '')}")
        evened = any(path.parent.glob(f"{glob.escape(path.stem)}_Eq*.nii"))  # what dcm2niix makes beside a stack with gaps
        part, reason = part_or_reason(sidecar, ending, read_header(path).shape, evened)
        images.append(Image(path, sidecar, labels.subject(sidecar), labels.session(sidecar), part, reason, coil_of(ending)))
    return images


def read_sidecar(path: Path) -> dict:
    """A sidecar of dcm2niix, which copies names in any encoding and control characters into it; empty when it is no JSON at all."""
    content = path.read_bytes()
    try:
        text = content.decode("utf8")
    except UnicodeDecodeError:
        text = content.decode("latin1")
    try:
        return json.loads(text, strict=False)
    except json.JSONDecodeError:
        return {}


def write_images(images: list[Image], labels: Labels, origin: dict, out: Path) -> list[Aside]:
    """Write images and sidecars (with `origin`) under their final names; returns what could not be told apart."""
    stacks, aside = defaultdict(list), []
    coils = coil_numbers(images)
    for image in images:
        series = (image.subject, image.session, image.series_number, image.series_uid)
        stacks[*series, image.part, coils[*series, image.coil]].append(image)
    runs = run_numbers(images)
    for (subject, session, number, uid, part, coil), stack in sorted(stacks.items()):
        for echo, same in numbered(stack).items():
            place = f"run-{runs[subject, session, number, uid]}" + (f"_coil-{coil}" if coil else "") + f"_echo-{echo}"
            keys = {"EchoNumber": echo, "Converted": origin} | ({"Coil": coil} if coil else {})
            write_image(same[0], f"sub-{subject}_ses-{session}_{place}_part-{part}_MEGRE", keys, labels, out)
            reason = f"more than one {part} image of echo {echo} in the series: the first is used"
            aside += [Aside(name=image.name, reason=reason) for image in same[1:]]
    return aside


def coil_numbers(images: list[Image]) -> dict[tuple, int]:
    """A number from 1 for each single coil of a series, in the order of its name's letters and number; 0 for combined coils."""
    names = defaultdict(set)
    for image in images:
        names[image.subject, image.session, image.series_number, image.series_uid].add(image.coil)
    numbers = {}
    for series, coils in names.items():
        single = sorted(coils - {None}, key=lambda name: (re.sub(r"\d", "", name), int(re.sub(r"\D", "", name) or 0), name))
        numbers |= {(*series, None): 0} | {(*series, name): number for number, name in enumerate(single, 1)}
    return numbers


def run_numbers(images: list[Image]) -> dict[tuple, int]:
    """A number for each series: its own, and when another series of the session has it already, the next free one of that number's hundreds."""
    numbers, taken = {}, {(image.subject, image.session, image.series_number) for image in images}
    for series in sorted({(image.subject, image.session, image.series_number, image.series_uid) for image in images}):
        *study, number, _ = series
        if (*study, number) in {(*known[:2], run) for known, run in numbers.items()}:
            number = next(n for n in count(100 * number + 2) if (*study, n) not in taken)
        taken.add((*study, number))
        numbers[series] = number
    return numbers


def numbered(stack: list[Image]) -> dict[int, list[Image]]:
    """The images of one series and part by echo: its number, or its place among the echo times when numbers repeat or are missing."""
    numbers = [int(image.sidecar.get("EchoNumber") or 0) for image in stack]
    times = [image.sidecar.get("EchoTime", 0.0) for image in stack]
    if len(set(numbers)) < len(set(times)) or min(numbers) < 1:
        order = sorted(set(times))
        numbers = [order.index(time) + 1 for time in times]
    groups = defaultdict(list)
    for number, image in sorted(zip(numbers, stack), key=lambda pair: (pair[0], pair[1].path.name)):
        groups[number].append(image)
    return groups


def write_image(image: Image, stem: str, place: dict, labels: Labels, out: Path) -> None:
    """One image and its sidecar, without identity; `place` is its echo, coil and origin."""
    header, content = read_header(image.path), image.path.read_bytes()
    clean = without_header_text(content)
    identity = {
        "Part": image.part,
        "Subject": image.subject,
        "Session": image.session,
        "Series": labels.hashed("series", image.series_uid),
        "Content": labels.hashed("content", clean[int(header.dataobj.offset):]),
        "SeriesNumber": image.series_number,
        "Shape": list(header.shape),
        "Affine": header.affine.round(6).tolist(),
    }
    write_bytes(out / f"{stem}.nii", clean)
    ConvertedImage.model_validate(kept_keys(image.sidecar) | identity | place).write(out / f"{stem}.json")


def write_subjects(path: Path, images: list[Image], dicom: Path, labels: Labels) -> None:
    """The local table that leads from a label back to the patient and the folder."""
    folder = dicom.resolve()
    rows = {(f"sub-{image.subject}", str(image.sidecar.get("PatientID", "")), str(folder)) for image in images}
    rows = rows or {(labels.folder(dicom), "", str(folder))}
    lines = ["\t".join(" ".join(cell.split()) for cell in row) for row in [("label", "PatientID", "folder"), *sorted(rows)]]
    write_bytes(path, ("\n".join(lines) + "\n").encode())
    path.chmod(0o600)
