"""DICOM files: one a slice and echo (classic), or one an echo with a frame a slice (enhanced multi-frame)."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from chiflow.phantom.dicom.tags import ENHANCED_MR_IMAGE_STORAGE, MR_IMAGE_STORAGE, corner, image_tags

MOVED = """
    ImagePositionPatient SliceLocation ImageOrientationPatient PixelSpacing SliceThickness EchoTime EchoNumbers RepetitionTime FlipAngle
    EchoTrainLength NumberOfAverages PixelBandwidth ImagingFrequency RescaleIntercept RescaleSlope RescaleType WindowCenter WindowWidth
    InPlanePhaseEncodingDirection ScanningSequence SequenceVariant ScanOptions SequenceName
""".split()


def write_classic(tags: Dataset, scan, folder: Path, echo: int, slices: dict[int, np.ndarray], before: int, numbered: int) -> int:
    """One file a slice; `before` files are in the series, the first instance number follows `numbered`. Returns the files there are then."""
    for position, image in slices.items():
        before += 1
        image_tags(tags, scan, echo, position, before)
        tags.InstanceNumber = numbered + position + 1
        tags.PixelData = image.tobytes()
        _save(tags, folder / f"IM{before:05d}.dcm", MR_IMAGE_STORAGE)
    return before


def write_enhanced(tags: Dataset, scan, folder: Path, echo: int, slices: dict[int, np.ndarray], before: int, numbered: int) -> int:
    """One file with a frame a slice; arguments and result as of `write_classic`."""
    image_tags(tags, scan, echo, 0, before + 1)
    whole = Dataset()
    whole.update({element.tag: element for element in tags if element.keyword not in MOVED})
    whole.SOPClassUID, whole.NumberOfFrames = ENHANCED_MR_IMAGE_STORAGE, len(slices)
    whole.PulseSequenceName, whole.EchoPulseSequence, whole.ResonantNucleus = tags.SequenceName, "GRADIENT", "1H"
    whole.ComplexImageComponent = "PHASE" if tags.ImageType[2] == "P" else "MAGNITUDE"
    whole.SharedFunctionalGroupsSequence = [_shared(tags, float(scan.protocol.echo_times_s[echo]), whole.ComplexImageComponent)]
    whole.PerFrameFunctionalGroupsSequence = [_frame(tags, scan, position, echo) for position in slices]
    whole.PixelData = b"".join(image.tobytes() for image in slices.values())
    _save(whole, folder / f"IM{before + 1:05d}.dcm", ENHANCED_MR_IMAGE_STORAGE)
    return before + 1


def _shared(tags: Dataset, time_s: float, component: str) -> Dataset:
    """The functional groups that all frames share."""
    groups = {
        "MRImageFrameTypeSequence": {"FrameType": tags.ImageType, "ComplexImageComponent": component},
        "MRTimingAndRelatedParametersSequence": {key: tags[key].value for key in ("RepetitionTime", "FlipAngle", "EchoTrainLength")},
        "MRFOVGeometrySequence": {"InPlanePhaseEncodingDirection": {"COL": "COLUMN"}[tags.InPlanePhaseEncodingDirection]},
        "MREchoSequence": {"EffectiveEchoTime": 1000 * time_s},
        "MRImagingModifierSequence": {"TransmitterFrequency": float(tags.ImagingFrequency), "PixelBandwidth": tags.PixelBandwidth},
        "PlaneOrientationSequence": {"ImageOrientationPatient": tags.ImageOrientationPatient},
        "PixelMeasuresSequence": {"PixelSpacing": tags.PixelSpacing, "SliceThickness": tags.SliceThickness},
        "PixelValueTransformationSequence": {"RescaleIntercept": tags.get("RescaleIntercept", "0"), "RescaleSlope": tags.get("RescaleSlope", "1"),
                                             "RescaleType": tags.get("RescaleType", "US")},
    }
    return _groups(groups)


def _frame(tags: Dataset, scan, position: int, echo: int) -> Dataset:
    """The functional groups of one slice."""
    place, _ = corner(scan, tags, position)
    return _groups({
        "FrameContentSequence": {"StackID": "1", "InStackPositionNumber": position + 1, "DimensionIndexValues": [1, position + 1],
                                 "FrameAcquisitionNumber": 1},
        "PlanePositionSequence": {"ImagePositionPatient": place},
    })


def _groups(groups: dict[str, dict]) -> Dataset:
    whole = Dataset()
    for name, content in groups.items():
        item = Dataset()
        for keyword, value in content.items():
            setattr(item, keyword, value)
        setattr(whole, name, [item])
    return whole


def _save(tags: Dataset, path: Path, kind: str) -> None:
    tags["PixelData"].VR = "OW"
    tags.file_meta = FileMetaDataset()
    tags.file_meta.MediaStorageSOPClassUID, tags.file_meta.MediaStorageSOPInstanceUID = kind, tags.SOPInstanceUID
    tags.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    tags.save_as(path, enforce_file_format=True)
