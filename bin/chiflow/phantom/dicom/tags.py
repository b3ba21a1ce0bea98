"""The DICOM tags that the images of a series share, and those of each image."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from chiflow.phantom.dicom.csa import protocol_header
from chiflow.phantom.dicom.vendors import GE_CREATOR, GE_KIND, Images, Vendor

MR_IMAGE_STORAGE, ENHANCED_MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
LPS = np.diag([-1.0, -1.0, 1.0])
DATE, TIME = "20000101", "120000.000000"


def series_tags(scan, patient: str, vendor: Vendor, images: Images, number: int, seed: int) -> Dataset:
    """The tags that all images of a series share."""
    entropy = [str(seed), patient, str(scan.protocol)]
    tags = Dataset()
    tags.SOPClassUID, tags.Modality = MR_IMAGE_STORAGE, "MR"
    tags.ImageType = list(images.image_type)
    tags.StudyDate = tags.SeriesDate = tags.AcquisitionDate = tags.ContentDate = DATE
    tags.StudyTime = tags.SeriesTime = tags.AcquisitionTime = tags.ContentTime = TIME
    tags.AccessionNumber, tags.ReferringPhysicianName = "", ""
    tags.Manufacturer, tags.ManufacturerModelName = vendor.manufacturer, "Simulated"
    tags.InstitutionName, tags.StationName, tags.SoftwareVersions = "Phantom Hospital", "PHANTOM", vendor.software
    tags.PatientName, tags.PatientID = f"PHANTOM^HEAD {patient}", f"PHANTOM-{patient}"
    tags.PatientBirthDate, tags.PatientSex, tags.PatientAge, tags.PatientWeight = "19000101", "O", "099Y", "70"
    tags.StudyInstanceUID = generate_uid(entropy_srcs=[*entropy, "study"])
    tags.SeriesInstanceUID = generate_uid(entropy_srcs=[*entropy, "series", str(number)])
    tags.FrameOfReferenceUID = generate_uid(entropy_srcs=[*entropy, "frame"])
    tags.StudyID, tags.SeriesNumber, tags.AcquisitionNumber = "1", number, 1
    tags.StudyDescription, tags.SeriesDescription, tags.ProtocolName = "phantom", "gre_qsm", "gre_qsm"
    _protocol_tags(tags, scan.protocol, vendor)
    _geometry_tags(tags, scan, vendor)
    if images.rescale:
        slope, intercept, kind = images.rescale
        tags.RescaleIntercept, tags.RescaleSlope, tags.RescaleType = decimal(intercept), decimal(slope), kind
    if images.ge_kind is not None:
        group, block, creator = GE_CREATOR
        tags.private_block(group, creator, create=True).add_new(GE_KIND, "SS", images.ge_kind)
    return tags


def image_tags(tags: Dataset, scan, echo: int, position: int, instance: int) -> None:
    """What differs from image to image: echo time, number, place."""
    tags.SOPInstanceUID = f"{tags.SeriesInstanceUID[:56]}.{instance}"
    tags.EchoTime, tags.EchoNumbers = decimal(1000 * scan.protocol.echo_times_s[echo]), echo + 1
    tags.InstanceNumber = instance
    tags.ImagePositionPatient, tags.SliceLocation = corner(scan, tags, position)


def corner(scan, tags: Dataset, position: int) -> tuple[list[str], str]:
    """ImagePositionPatient and SliceLocation of a slice."""
    place = LPS @ (scan.grid.affine @ [scan.grid.shape[0] - 1, scan.grid.shape[1] - 1, position, 1])[:3]
    normal = np.cross(*np.array(tags.ImageOrientationPatient, float).reshape(2, 3))
    return [decimal(v) for v in place], decimal(float(normal @ place))


def _protocol_tags(tags: Dataset, protocol, vendor: Vendor) -> None:
    """The pulse sequence; the protocol text of Siemens names the first two echo times (µs) where the export does."""
    times = protocol.echo_times_s
    tags.ScanningSequence, tags.SequenceVariant, tags.ScanOptions = "GR", ["SP", "OSP"], "PFP"
    tags.MRAcquisitionType, tags.SequenceName, tags.AngioFlag = "3D", f"*fl3d{len(times)}", "N"
    tags.SliceThickness = tags.SpacingBetweenSlices = decimal(protocol.voxel_size[2])
    tags.RepetitionTime, tags.FlipAngle = decimal(1000 * times[-1] + 8), "15"
    tags.NumberOfAverages, tags.ImagedNucleus, tags.EchoTrainLength = "1", "1H", len(times)
    tags.ImagingFrequency, tags.MagneticFieldStrength = decimal(protocol.imaging_frequency_mhz), decimal(protocol.field_strength_t)
    tags.PixelBandwidth, tags.PatientPosition, tags.InPlanePhaseEncodingDirection = "300", "HFS", "COL"
    if vendor.names_two_times:
        tags.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x20, "OB", protocol_header(times))


def _geometry_tags(tags: Dataset, scan, vendor: Vendor) -> None:
    """Matrix and direction cosines: columns run against the first voxel axis, rows against the second."""
    cosines = LPS @ scan.grid.affine[:3, :3] / scan.grid.voxel_size
    tags.ImageOrientationPatient = [decimal(v) for v in (*-cosines[:, 0], *-cosines[:, 1])]
    tags.Rows, tags.Columns = scan.grid.shape[1], scan.grid.shape[0]
    tags.PixelSpacing = [decimal(scan.grid.voxel_size[1]), decimal(scan.grid.voxel_size[0])]
    tags.SamplesPerPixel, tags.PhotometricInterpretation = 1, "MONOCHROME2"
    tags.BitsAllocated, tags.BitsStored, tags.HighBit, tags.PixelRepresentation = 16, vendor.bits, vendor.bits - 1, int(vendor.bits == 16)
    tags.WindowCenter, tags.WindowWidth = "2048", "4096"


def decimal(value: float) -> str:
    """A number as a DICOM decimal string (16 characters at most)."""
    text = f"{float(value):.12g}"
    return text if len(text) <= 16 else f"{float(value):.8e}" if abs(value) < 1e-4 else f"{float(value):.10f}"[:16]
