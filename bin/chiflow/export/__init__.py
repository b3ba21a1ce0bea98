"""χ as classic DICOM, one MR image a slice, for viewers and archives.

    stored = round(χ / 0.001 ppm),  16 bit;     RescaleSlope and the real-world value mapping give ppm back

Columns run to the left of the patient and rows to the back, so that slices look as radiologists expect; nothing is resampled. NIfTI's axes point
right and front where DICOM's point left and back (PS3.3, C.7.6.2). Patient name and id are the subject's label, dates are empty.
"""

from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

import chiflow
from chiflow.core.bids import entities, run_folder
from chiflow.core.contracts import Acquisition
from chiflow.core.nifti import Image, write_bytes
from chiflow.core.spaces import SCANNER

STEP_PPM = 1e-3
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
UNPLACED = "orientation and position are not the scanner's: the header of the source had no matrix to its axes"
WINDOW_PPM = 0.2  # ±0.1 ppm, as in the report


def write_dicom(chi: Image, acquisition: Acquisition, out: Path) -> list[Path]:
    """Write the slices of χ (X, Y, Z) in ppm to the run's folder below `out`; returns the files. Raises ChiflowError when the run's id is not a BIDS one."""
    run = acquisition.id or ""
    folder = out / run_folder(run) / "dicom" / f"{run}_Chimap"
    paths = []
    for tags in slices(chi, acquisition):
        paths.append(folder / f"IM{tags.InstanceNumber:05d}.dcm")
        buffer = BytesIO()
        tags.save_as(buffer, enforce_file_format=True)
        write_bytes(paths[-1], buffer.getvalue())
    return paths


def slices(chi: Image, acquisition: Acquisition) -> Iterator[Dataset]:
    """The DICOM data set of each slice, from the feet to the head or as near to that as the grid is."""
    turned = nibabel.Nifti1Image(chi.data, chi.affine)
    turned = turned.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(chi.affine), nibabel.orientations.axcodes2ornt("LPS")))
    stored = np.clip(np.rint(np.asarray(turned.dataobj) / STEP_PPM), -(2**15), 2**15 - 1).astype("<i2")
    shared = series_tags(acquisition, RAS_TO_LPS @ turned.affine, stored)
    if chi.code != SCANNER:
        shared.ImageComments = UNPLACED
    for number in range(stored.shape[2]):
        place = (RAS_TO_LPS @ turned.affine @ [0, 0, number, 1])[:3]
        yield image_tags(shared, place, number + 1, stored[:, :, number].T)


def series_tags(acquisition: Acquisition, affine: np.ndarray, stored: np.ndarray) -> Dataset:
    """What all slices share. affine : 4 × 4, from voxels (columns, rows, slices) to mm in DICOM's axes."""
    tags, facts, subject = Dataset(), acquisition.model_extra or {}, entities(acquisition.id or "")["sub"]
    entropy = [acquisition.id or "", sha256(stored.tobytes()).hexdigest()]
    tags.SOPClassUID, tags.Modality, tags.ImageType = MRImageStorage, "MR", ["DERIVED", "PRIMARY", "OTHER", "QSM"]
    tags.PatientName = tags.PatientID = subject
    tags.PatientIdentityRemoved, tags.DeidentificationMethod, tags.BurnedInAnnotation = "YES", "names and dates never reach chiflow", "NO"
    tags.PatientBirthDate = tags.PatientSex = tags.StudyDate = tags.StudyTime = tags.AccessionNumber = tags.ReferringPhysicianName = tags.StudyID = ""
    for keyword in ("Study", "Series", "FrameOfReference"):
        setattr(tags, f"{keyword}{'' if keyword == 'FrameOfReference' else 'Instance'}UID", generate_uid(entropy_srcs=[*entropy, keyword]))
    tags.SeriesNumber, tags.SeriesDescription, tags.DerivationDescription = 1, "QSM, susceptibility in ppm", f"chiflow {chiflow.__version__}"
    tags.Manufacturer, tags.ManufacturerModelName = (str(facts.get(key, ""))[:64] for key in ("Manufacturer", "ManufacturersModelName"))
    tags.ScanningSequence, tags.SequenceVariant, tags.MRAcquisitionType = "GR", "NONE", facts.get("MRAcquisitionType", "")
    tags.ImagingFrequency = format_number_as_ds(acquisition.frequency_mhz)
    geometry_tags(tags, affine, stored.shape)
    scale_tags(tags)
    return tags


def geometry_tags(tags: Dataset, affine: np.ndarray, shape: tuple[int, ...]) -> None:
    """Matrix, directions, voxel size (mm) and pixel format. shape : columns, rows, slices."""
    size = np.linalg.norm(affine[:3, :3], axis=0)
    tags.Columns, tags.Rows = shape[:2]
    tags.ImageOrientationPatient = [format_number_as_ds(v) for v in (affine[:3, :2] / size[:2]).T.ravel()]
    tags.PixelSpacing = [format_number_as_ds(size[1]), format_number_as_ds(size[0])]
    tags.SliceThickness = tags.SpacingBetweenSlices = format_number_as_ds(size[2])
    tags.SamplesPerPixel, tags.PhotometricInterpretation, tags.PositionReferenceIndicator = 1, "MONOCHROME2", ""
    tags.BitsAllocated, tags.BitsStored, tags.HighBit, tags.PixelRepresentation = 16, 16, 15, 1


def scale_tags(tags: Dataset) -> None:
    """From stored values to ppm, by both of the ways that viewers know."""
    tags.RescaleIntercept, tags.RescaleSlope, tags.RescaleType = "0", format_number_as_ds(STEP_PPM), "US"
    tags.WindowCenter, tags.WindowWidth = "0", format_number_as_ds(WINDOW_PPM)
    units, mapping = Dataset(), Dataset()
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = "[ppm]", "UCUM", "parts per million"
    mapping.LUTExplanation, mapping.LUTLabel, mapping.MeasurementUnitsCodeSequence = "Magnetic susceptibility", "QSM", [units]
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, STEP_PPM
    mapping.add_new("RealWorldValueFirstValueMapped", "SS", -(2**15))
    mapping.add_new("RealWorldValueLastValueMapped", "SS", 2**15 - 1)
    tags.RealWorldValueMappingSequence = [mapping]


def image_tags(shared: Dataset, place: np.ndarray, number: int, pixels: np.ndarray) -> Dataset:
    """One slice: its place (mm), its number from 1 on, and its pixels (rows, columns) int16."""
    tags = Dataset()
    tags.update(shared)
    normal = np.cross(*np.array(shared.ImageOrientationPatient, float).reshape(2, 3))
    tags.ImagePositionPatient, tags.SliceLocation = [format_number_as_ds(v) for v in place], format_number_as_ds(float(normal @ place))
    tags.InstanceNumber, tags.SOPInstanceUID = number, f"{shared.SeriesInstanceUID[:58]}.{number}"
    tags.add_new("PixelData", "OW", np.ascontiguousarray(pixels).tobytes())
    tags.file_meta = FileMetaDataset()
    tags.file_meta.MediaStorageSOPClassUID, tags.file_meta.MediaStorageSOPInstanceUID = MRImageStorage, tags.SOPInstanceUID
    tags.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return tags
