"""Writes a scan as classic DICOM: one file a slice and echo, magnitude and phase as series of their own, tags as Siemens writes them.

Phase is 12 bit with RescaleSlope 2 and RescaleIntercept −4096: rad = π (2 stored − 4096) / 4096. Magnitude is 12 bit.
"""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from chiflow.phantom.scan import Scan

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
LPS = np.diag([-1.0, -1.0, 1.0])
LEVELS = 4096
DATE, TIME = "20000101", "120000.000000"


def stored_phase(phase: np.ndarray) -> np.ndarray:
    """12-bit levels 0 … 4095 of a phase in rad: π / 2048 a level; what rounds to +π becomes −π."""
    return (np.round(phase * (LEVELS / 2 / np.pi)).astype(np.int32) + LEVELS // 2) % LEVELS


def stored_magnitude(magnitude: np.ndarray) -> np.ndarray:
    """12-bit levels of a magnitude, one scale for all echoes; the brightest voxel in ten thousand sets it."""
    top = np.quantile(magnitude[..., 0][::2, ::2, ::2], 0.9999)
    return np.clip(np.round(magnitude * (0.95 * LEVELS / max(top, 1e-6))), 0, LEVELS - 1)


def write_dicom(scan: Scan, folder: Path, patient: str, seed: int, series: int = 5) -> None:
    """Write magnitude (series number `series`) and phase (`series` + 1) of a scan below a folder."""
    for number, kind, levels in ((series, "M", stored_magnitude(scan.magnitude)), (series + 1, "P", stored_phase(scan.phase))):
        target = Path(folder) / f"{number:03d}_gre_{'mag' if kind == 'M' else 'pha'}"
        target.mkdir(parents=True, exist_ok=True)
        template = _series_tags(scan, patient, kind, number, seed)
        pixels = np.ascontiguousarray(levels[::-1, ::-1].transpose(3, 2, 1, 0), dtype="<u2")  # columns to the left, rows to the back
        for echo, slices in enumerate(pixels):
            for position, image in enumerate(slices):
                _write_image(template, scan, target, echo, position, image)


def _series_tags(scan: Scan, patient: str, kind: str, number: int, seed: int) -> Dataset:
    """The tags that all images of a series share."""
    entropy = [str(seed), patient, str(scan.protocol)]
    tags, protocol = Dataset(), scan.protocol
    tags.SOPClassUID, tags.Modality = MR_IMAGE_STORAGE, "MR"
    tags.ImageType = ["ORIGINAL", "PRIMARY", kind, "ND"]
    tags.StudyDate = tags.SeriesDate = tags.AcquisitionDate = tags.ContentDate = DATE
    tags.StudyTime = tags.SeriesTime = tags.AcquisitionTime = tags.ContentTime = TIME
    tags.AccessionNumber, tags.ReferringPhysicianName = "", ""
    tags.Manufacturer, tags.ManufacturerModelName = "SIEMENS", "Simulated"
    tags.InstitutionName, tags.StationName, tags.SoftwareVersions = "Phantom Hospital", "PHANTOM", "syngo MR E11"
    tags.PatientName, tags.PatientID = f"PHANTOM^HEAD {patient}", f"PHANTOM-{patient}"
    tags.PatientBirthDate, tags.PatientSex, tags.PatientAge, tags.PatientWeight = "19000101", "O", "099Y", "70"
    tags.StudyInstanceUID = generate_uid(entropy_srcs=[*entropy, "study"])
    tags.SeriesInstanceUID = generate_uid(entropy_srcs=[*entropy, "series", kind])
    tags.FrameOfReferenceUID = generate_uid(entropy_srcs=[*entropy, "frame"])
    tags.StudyID, tags.SeriesNumber, tags.AcquisitionNumber = "1", number, 1
    tags.StudyDescription, tags.SeriesDescription, tags.ProtocolName = "phantom", "gre_qsm", "gre_qsm"
    _protocol_tags(tags, protocol)
    _geometry_tags(tags, scan)
    if kind == "P":
        tags.RescaleIntercept, tags.RescaleSlope, tags.RescaleType = "-4096", "2", "US"
    return tags


def _protocol_tags(tags: Dataset, protocol) -> None:
    """The pulse sequence."""
    tags.ScanningSequence, tags.SequenceVariant, tags.ScanOptions = "GR", ["SP", "OSP"], "PFP"
    tags.MRAcquisitionType, tags.SequenceName, tags.AngioFlag = "3D", f"*fl3d{len(protocol.echo_times_s)}", "N"
    tags.SliceThickness = tags.SpacingBetweenSlices = _decimal(protocol.voxel_size[2])
    tags.RepetitionTime, tags.FlipAngle = _decimal(1000 * protocol.echo_times_s[-1] + 8), "15"
    tags.NumberOfAverages, tags.ImagedNucleus, tags.EchoTrainLength = "1", "1H", len(protocol.echo_times_s)
    tags.ImagingFrequency, tags.MagneticFieldStrength = _decimal(protocol.imaging_frequency_mhz), _decimal(protocol.field_strength_t)
    tags.PixelBandwidth, tags.PatientPosition, tags.InPlanePhaseEncodingDirection = "300", "HFS", "ROW"


def _geometry_tags(tags: Dataset, scan: Scan) -> None:
    """Matrix and direction cosines: columns run against the first voxel axis, rows against the second."""
    cosines = LPS @ scan.grid.affine[:3, :3] / scan.grid.voxel_size
    tags.ImageOrientationPatient = [_decimal(v) for v in (*-cosines[:, 0], *-cosines[:, 1])]
    tags.Rows, tags.Columns = scan.grid.shape[1], scan.grid.shape[0]
    tags.PixelSpacing = [_decimal(scan.grid.voxel_size[1]), _decimal(scan.grid.voxel_size[0])]
    tags.SamplesPerPixel, tags.PhotometricInterpretation = 1, "MONOCHROME2"
    tags.BitsAllocated, tags.BitsStored, tags.HighBit, tags.PixelRepresentation = 16, 12, 11, 0
    tags.WindowCenter, tags.WindowWidth = "2048", "4096"


def _write_image(tags: Dataset, scan: Scan, folder: Path, echo: int, position: int, image: np.ndarray) -> None:
    """One slice of one echo; only what differs from image to image is set."""
    corner = scan.grid.affine @ [scan.grid.shape[0] - 1, scan.grid.shape[1] - 1, position, 1]
    instance = echo * scan.grid.shape[2] + position + 1
    tags.SOPInstanceUID = f"{tags.SeriesInstanceUID[:56]}.{instance}"
    tags.EchoTime, tags.EchoNumbers = _decimal(1000 * scan.protocol.echo_times_s[echo]), echo + 1
    tags.InstanceNumber = instance
    tags.ImagePositionPatient = [_decimal(v) for v in LPS @ corner[:3]]
    tags.SliceLocation = _decimal(float(np.dot(np.cross(*np.array(tags.ImageOrientationPatient, float).reshape(2, 3)), LPS @ corner[:3])))
    tags.PixelData = image.tobytes()
    tags["PixelData"].VR = "OW"
    tags.file_meta = FileMetaDataset()
    tags.file_meta.MediaStorageSOPClassUID, tags.file_meta.MediaStorageSOPInstanceUID = MR_IMAGE_STORAGE, tags.SOPInstanceUID
    tags.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    tags.save_as(folder / f"IM{instance:05d}.dcm", enforce_file_format=True)


def _decimal(value: float) -> str:
    """A number as a DICOM decimal string (16 characters at most)."""
    text = f"{float(value):.12g}"
    return text if len(text) <= 16 else f"{float(value):.8e}" if abs(value) < 1e-4 else f"{float(value):.10f}"[:16]
