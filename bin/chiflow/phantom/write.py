"""Puts simulated subjects into a folder: dicom/<subject>, bids/sub-<subject>, truth/sub-<subject>."""

from pathlib import Path

from chiflow.core.progress import progress
from chiflow.phantom.bids import write_bids, write_truth
from chiflow.phantom.dicom import write_dicom
from chiflow.phantom.scan import Protocol, simulate


def write_subjects(protocol: Protocol, out: Path, subjects: int, seed: int, *, dicom: bool, bids: bool, complex_parts: bool = False) -> None:
    """Simulate `subjects` heads and write them as asked, with their truths."""
    for subject in progress(range(subjects), "phantom"):
        scan, label = simulate(protocol, seed, subject), f"{subject + 1:02d}"
        if dicom:
            write_dicom(scan, Path(out) / "dicom" / f"phantom-{label}", label, seed)
        if bids:
            write_bids(scan, Path(out) / "bids", label, complex_parts=complex_parts)
        write_truth(scan, Path(out) / "truth" / f"sub-{label}")
