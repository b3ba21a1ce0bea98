"""Writes a scan as DICOM, as a vendor would export it (`vendors.VENDORS`)."""

from pathlib import Path

import numpy as np

from chiflow.phantom.coils import coil_scan
from chiflow.phantom.dicom.files import write_classic, write_enhanced
from chiflow.phantom.dicom.tags import series_tags
from chiflow.phantom.dicom.vendors import Images, Vendor, vendor_named


def write_dicom(scan, folder: Path, patient: str, seed: int, series: int = 5, vendor: str = "siemens") -> None:
    """Write the images of a scan below a folder, from series number `series` on.

    `vendor` is a name of VENDORS; siemens has magnitude and phase as series of their own, 12 bit, rad = π (2 stored − 4096) / 4096.
    """
    export, first = vendor_named(vendor), {}
    for images in export.images:
        number = series + images.series
        for coil in range(max(export.coils, 1)):
            part = coil_scan(scan, coil, export.coils, seed) if export.coils else scan
            tags = series_tags(scan, patient, export, images, number, seed)
            if export.coils:
                tags.private_block(0x0051, "SIEMENS MR HEADER", create=True).add_new(0x0F, "LO", f"H{coil + 1}")
            target = Path(folder) / f"{number:03d}_gre_{images.name}"
            target.mkdir(parents=True, exist_ok=True)
            first[number] = _write(export, images, part, tags, target, first.get(number, 0))


def _write(vendor: Vendor, images: Images, scan, tags, folder: Path, before: int) -> int:
    """All echoes of one kind of image, numbered after `before`; returns the last number."""
    pixels = _pixels(images.values(scan), vendor)
    places = images.echoes or range(len(scan.protocol.echo_times_s))
    write = write_enhanced if vendor.enhanced else write_classic
    for echo, slices in zip(places, pixels):
        kept = {position: image for position, image in enumerate(slices) if (echo, position) not in vendor.missing}
        before = write(tags, scan, folder, echo, kept, before, 0 if vendor.restart else before)
    return before


def _pixels(values: np.ndarray, vendor: Vendor) -> np.ndarray:
    """Images (E, Z, rows, columns): columns to the left, rows to the back."""
    return np.ascontiguousarray(values[::-1, ::-1].transpose(3, 2, 1, 0), dtype="<i2" if vendor.bits == 16 else "<u2")
