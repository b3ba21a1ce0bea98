"""Puts simulated subjects into a folder: dicom/<subject>, bids/sub-<subject>, truth/sub-<subject>."""

from dataclasses import replace
from pathlib import Path

from chiflow.core.progress import progress
from chiflow.phantom.bids import write_bids, write_truth
from chiflow.phantom.coils import noisy_scan
from chiflow.phantom.dicom import write_dicom
from chiflow.phantom.scan import Protocol, noise_sigma, simulate

NOISELESS = 1e6


def write_subjects(protocol: Protocol, out: Path, subjects: int, seed: int, *, vendor: str | None, bids: bool, complex_parts: bool = False,
                   coils: int = 0) -> None:
    """Simulate `subjects` heads and write them as asked, with their truths: DICOM of a vendor, BIDS with combined coils or with each."""
    for subject in progress(range(subjects), "phantom"):
        scan, label = simulate(replace(protocol, snr=NOISELESS) if coils else protocol, seed, subject), f"{subject + 1:02d}"
        sigma = noise_sigma(scan.magnitude[..., 0], scan.truth["labels"], scan.truth["mask"], protocol.snr) if coils else 0.0
        if vendor:
            write_dicom(noisy_scan(scan, sigma, seed) if coils else scan, Path(out) / "dicom" / f"phantom-{label}", label, seed, vendor=vendor)
        if bids:
            write_bids(scan, Path(out) / "bids", label, complex_parts=complex_parts, coils=coils, sigma=sigma)
        write_truth(scan, Path(out) / "truth" / f"sub-{label}")
