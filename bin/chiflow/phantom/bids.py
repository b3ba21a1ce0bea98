"""Writes a scan as a raw BIDS data set, and its truths beside it."""

import json
from pathlib import Path

import numpy as np

from chiflow.core.nifti import Image, save, write_bytes
from chiflow.phantom.coils import coil_scan
from chiflow.phantom.dicom.levels import LEVELS, difference_levels
from chiflow.phantom.scan import Scan
from chiflow.phantom.tissues import TISSUES

README = "A simulated multi-echo gradient-echo scan of a head with known susceptibility. Nobody was scanned.\n"


def write_bids(scan: Scan, folder: Path, subject: str, run: int | None = None, complex_parts: bool = False, coils: int = 0,
               sigma: float = 0.0) -> None:
    """Write sub-<subject>/anat with a NIfTI file and a sidecar for each echo and part; phase in rad, or real and imag when complex_parts.

    With `coils` each is written one by one (coil-<n>), with noise of standard deviation sigma of its own in each channel.
    """
    _write_root(folder)
    name = f"sub-{subject}" + (f"_run-{run}" if run else "")
    for coil in range(max(coils, 1)):
        seen = coil_scan(scan, coil, coils, sigma=sigma) if coils else scan
        stem = Path(folder) / f"sub-{subject}" / "anat" / (name + (f"_coil-{coil + 1}" if coils else ""))
        for echo, time in enumerate(scan.protocol.echo_times_s):
            magnitude, phase = seen.magnitude[..., echo], seen.phase[..., echo]
            parts = {"real": magnitude * np.cos(phase), "imag": magnitude * np.sin(phase)} if complex_parts else {"mag": magnitude, "phase": phase}
            for part, volume in parts.items():
                _write(scan, Path(f"{stem}_echo-{echo + 1}_part-{part}_MEGRE"), volume, _sidecar(scan, echo, time, part))


def write_field_map(scan: Scan, folder: Path, subject: str, magnitudes: int = 2) -> None:
    """Write sub-<subject>/fmap with magnitude1, magnitude2 and the difference of the first two phases, phasediff, in levels −4096 … 4094."""
    _write_root(folder)
    one, two = scan.protocol.echo_times_s[:2]
    stem = Path(folder) / f"sub-{subject}" / "fmap" / f"sub-{subject}"
    for echo in range(magnitudes):
        _write(scan, Path(f"{stem}_magnitude{echo + 1}"), scan.magnitude[..., echo], _sidecar(scan, echo, scan.protocol.echo_times_s[echo], "mag"))
    content = {key: value for key, value in _sidecar(scan, 1, two, "phase").items() if key not in ("EchoTime", "EchoNumber", "Units")}
    _write(scan, Path(f"{stem}_phasediff"), 2.0 * difference_levels(scan)[..., 0] - LEVELS, content | {"EchoTime1": one, "EchoTime2": two})


def _write_root(folder: Path) -> None:
    _write_json(Path(folder) / "dataset_description.json", {"Name": "Simulated heads", "BIDSVersion": "1.9.0", "DatasetType": "raw"})
    write_bytes(Path(folder) / "README", README.encode())


def _write(scan: Scan, stem: Path, volume: np.ndarray, sidecar: dict) -> None:
    save(Path(f"{stem}.nii.gz"), volume, _place(scan))
    _write_json(Path(f"{stem}.json"), sidecar)


def write_truth(scan: Scan, folder: Path) -> None:
    """Write every truth as <name>.nii.gz, and the table of labels."""
    for name, volume in scan.truth.items():
        save(Path(folder) / f"{name}.nii.gz", volume, _place(scan))
    _write_json(Path(folder) / "labels.json", {name: tissue.label for name, tissue in TISSUES.items()})


def _sidecar(scan: Scan, echo: int, time: float, part: str) -> dict:
    protocol = scan.protocol
    units = {"Units": "rad"} if part == "phase" else {}
    return units | {
        "EchoTime": time,
        "EchoNumber": echo + 1,
        "MagneticFieldStrength": protocol.field_strength_t,
        "ImagingFrequency": protocol.imaging_frequency_mhz,
        "MRAcquisitionType": "3D",
        "Manufacturer": "Siemens",
        "ManufacturersModelName": "Simulated",
        "ImageType": ["ORIGINAL", "PRIMARY", {"mag": "M", "phase": "P", "real": "R", "imag": "I"}[part], "ND"],
        "FlipAngle": 15,
        "PhaseEncodingDirection": "j",
    }


def _place(scan: Scan) -> Image:
    return Image(scan.truth["mask"], scan.grid.affine, Path())


def _write_json(path: Path, content: dict) -> None:
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())
