"""Writes a scan as a raw BIDS data set, and its truths beside it."""

import json
from pathlib import Path

import numpy as np

from chiflow.core.nifti import Image, save, write_bytes
from chiflow.phantom.scan import Scan
from chiflow.phantom.tissues import TISSUES

README = "A simulated multi-echo gradient-echo scan of a head with known susceptibility. Nobody was scanned.\n"


def write_bids(scan: Scan, folder: Path, subject: str, run: int | None = None, complex_parts: bool = False) -> None:
    """Write sub-<subject>/anat with a NIfTI file and a sidecar for each echo and part; phase in rad, or real and imag when complex_parts."""
    folder = Path(folder)
    _write_json(folder / "dataset_description.json", {"Name": "Simulated heads", "BIDSVersion": "1.9.0", "DatasetType": "raw"})
    write_bytes(folder / "README", README.encode())
    name = f"sub-{subject}" + (f"_run-{run}" if run else "")
    for echo, time in enumerate(scan.protocol.echo_times_s):
        magnitude, phase = scan.magnitude[..., echo], scan.phase[..., echo]
        parts = {"real": magnitude * np.cos(phase), "imag": magnitude * np.sin(phase)} if complex_parts else {"mag": magnitude, "phase": phase}
        for part, volume in parts.items():
            stem = folder / f"sub-{subject}" / "anat" / f"{name}_echo-{echo + 1}_part-{part}_MEGRE"
            save(Path(f"{stem}.nii.gz"), volume, _place(scan))
            _write_json(Path(f"{stem}.json"), _sidecar(scan, echo, time, part))


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
    }


def _place(scan: Scan) -> Image:
    return Image(scan.truth["mask"], scan.grid.affine, Path())


def _write_json(path: Path, content: dict) -> None:
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())
