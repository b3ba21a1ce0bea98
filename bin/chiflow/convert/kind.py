"""Which part of the signal an image holds, or why it holds none."""

import re

NO_ECHO = {
    "LOCALIZER": "a localizer",
    "PROJECTION IMAGE": "a projection",
    "MPR": "a reformatted image",
    "MIP": "a projection",
    "MNIP": "a projection",
    "MIN_IP": "a projection",
    "SWI": "a susceptibility-weighted image, not an echo",
    "SUBTRACTION": "a difference of images",
    "T2_STAR_MAP": "a map made by the scanner, not an echo",
    "T2 MAP": "a map made by the scanner, not an echo",
    "T2_MAP": "a map made by the scanner, not an echo",
    "T1 MAP": "a map made by the scanner, not an echo",
    "T1_MAP": "a map made by the scanner, not an echo",
    "R2_STAR": "a map made by the scanner, not an echo",
    "R2_MAP": "a map made by the scanner, not an echo",
    "R2 MAP": "a map made by the scanner, not an echo",
    "T2*": "a map made by the scanner, not an echo",
    "R2*": "a map made by the scanner, not an echo",
    "ADC": "a diffusion map",
    "TRACEW": "a diffusion map",
}
PARTS = {"PHASE": "phase", "P": "phase", "REAL": "real", "R": "real", "IMAGINARY": "imag", "I": "imag", "MAGNITUDE": "mag", "M": "mag"}
ENDINGS = {"ph": "phase", "real": "real", "imaginary": "imag"}
SINGLE_COIL = re.compile(r"(?:^|_)c([A-Za-z]+\d*|\d+)(?=_[a-z]|$)")  # one word; several are joined by - , or _


def part_or_reason(sidecar: dict, ending: str, shape: tuple[int, ...], gaps: bool = False) -> tuple[str | None, str | None]:
    """The part of an image (mag, phase, real, imag, or fieldmap: made by the scanner in Hz), or the reason to set it aside.

    sidecar is that of dcm2niix, ending what dcm2niix put behind the name (`_e2_ph`), shape that of the image (voxels), gaps whether
    its slices are unevenly spaced.
    """
    types = [str(word).upper() for word in [*sidecar.get("ImageType", []), *sidecar.get("ImageTypeText", [])]]
    if not sidecar:
        return None, "dcm2niix wrote no readable sidecar for it: look for damaged files"
    if gaps:
        return None, "its slices are not evenly spaced: slices are missing, export the series again"
    if "fieldmap" in ending.lower() or any("FIELDMAP" in word or word == "B0 MAP" for word in types) or sidecar.get("Units") == "Hz":
        reason = _other_image(shape)
        return (None, reason) if reason else ("fieldmap", None)
    reason = next((NO_ECHO[word] for word in types if word in NO_ECHO), None) or _other_sequence(sidecar) or _other_image(shape)
    return (None, reason) if reason else (_part(types, ending), None)


def coil_of(ending: str) -> str | None:
    """Name of the single coil that an image is of, None for combined coils (HC1-7, HEA;HEP).

    dcm2niix puts it behind the name (`_cH1_e2`) where the coils of a series differ.
    """
    found = SINGLE_COIL.search(ending)
    return found[1] if found else None


def _other_sequence(sidecar: dict) -> str | None:
    sequence = set(re.split(r"[\\_\s]+", str(sidecar.get("ScanningSequence", "")).upper()))
    variant = set(re.split(r"[\\_\s]+", str(sidecar.get("SequenceVariant", "")).upper()))
    if "IR" in sequence or "MP" in variant:
        return "magnetization-prepared, not a multi-echo gradient echo"
    if "SE" in sequence and "GR" not in sequence:
        return "a spin echo, not a gradient echo"
    return None


def _other_image(shape: tuple[int, ...]) -> str | None:
    if len(shape) > 3 and shape[3] > 1:
        return f"{shape[3]} volumes of one echo: a time series, not one scan"
    if len(shape) < 3 or min(shape[:3]) < 2:
        return "a single slice: a 3D volume is needed"
    return None


def _part(types: list[str], ending: str) -> str:
    """By what dcm2niix added to name and ImageType, which knows private tags, then by the scanner's own ImageType."""
    named = next((ENDINGS[word] for word in ending.split("_") if ENDINGS.get(word)), None)
    return named or next((PARTS[word] for word in reversed(types) if word in PARTS and len(word) > 1), None) or next(
        (PARTS[word] for word in types[2:] if word in PARTS), "mag")
