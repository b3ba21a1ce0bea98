"""What leaves CONVERT knows no patient: labels are keyed hashes, sidecars keep a list of keys, NIfTI headers lose their free text."""

import hmac
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from chiflow.core.errors import ChiflowError

LABEL_LETTERS = 10  # 40 bits: two of a thousand subjects share a label with a chance of 5e-7
SHORTEST_NAME = 3  # shorter parts of a name would be found in half of all words
KEPT_KEYS = frozenset("""
    Modality MagneticFieldStrength ImagingFrequency Manufacturer ManufacturersModelName SoftwareVersions BodyPart MRAcquisitionType
    ScanningSequence SequenceVariant ScanOptions PulseSequenceType ImageType ImageTypeText EchoTime EchoTime1 EchoTime2
    EchoTrainLength RepetitionTime FlipAngle SliceThickness SpacingBetweenSlices PixelBandwidth DwellTime PartialFourier SpoilingState MTState
    PhaseEncodingDirection PhaseEncodingAxis InPlanePhaseEncodingDirectionDICOM ImageOrientationPatientDICOM CoilCombinationMethod
    MatrixCoilMode ParallelReductionFactorInPlane ParallelReductionFactorOutOfPlane ParallelAcquisitionTechnique AcquisitionMatrixPE
    ReconMatrixPE BaseResolution PhaseResolution PercentPhaseFOV PercentSampling NonlinearGradientCorrection WaterFatShift
    AcquisitionDuration PhilipsRescaleSlope PhilipsRescaleIntercept PhilipsScaleSlope UsePhilipsFloatNotDisplayScaling Units
    ConversionSoftware ConversionSoftwareVersion
""".split())
FREE_TEXT_KEYS = ("ProtocolName", "SeriesDescription", "SequenceName", "PulseSequenceDetails", "ReceiveCoilName", "CoilString")
IDENTITY_KEYS = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID")
HEADER_TEXT = ((4, 10), (14, 18), (148, 80), (228, 24), (328, 16))  # offset, length of data_type, db_name, descrip, aux_file, intent_name


@dataclass(frozen=True)
class Labels:
    """Labels and hashes under one secret key."""

    key: bytes

    @classmethod
    def from_file(cls, path: Path):
        """Labels under the key in a file. Raises ChiflowError when there is none."""
        try:
            key = Path(path).read_bytes().strip()
        except OSError as error:
            raise ChiflowError(f"{path}: the key file cannot be read ({error.strerror})") from error
        if not key:
            raise ChiflowError(f"{path}: the key file is empty, write any secret text into it")
        return cls(key)

    def hashed(self, purpose: str, content: str | bytes) -> str:
        """HMAC-SHA256 of a content, in the first letters of its hexadecimal form."""
        raw = content if isinstance(content, bytes) else content.encode()
        return hmac.new(self.key, purpose.encode() + b"\0" + raw, sha256).hexdigest()[:LABEL_LETTERS]

    def subject(self, sidecar: dict) -> str:
        """Label of the patient: by id, else by name, else by study."""
        return self.hashed("subject", _first(sidecar, "PatientID", "PatientName", "StudyInstanceUID"))

    def session(self, sidecar: dict) -> str:
        """Label of the study."""
        return self.hashed("session", _first(sidecar, "StudyInstanceUID", "StudyID"))

    def folder(self, folder: Path) -> str:
        """Label of a folder whose name may be a patient's."""
        return f"folder-{self.hashed('folder', str(folder.resolve()))}"


def kept_keys(sidecar: dict) -> dict:
    """The keys of a sidecar that tell nothing about the patient; free text without any part of the patient's name or numbers."""
    kept = {key: value for key, value in sidecar.items() if key in KEPT_KEYS}
    names = [part for key in IDENTITY_KEYS for part in re.split(r"[\W_]+", str(sidecar.get(key, ""))) if len(part) >= SHORTEST_NAME]
    for key in FREE_TEXT_KEYS:
        if key in sidecar:
            text = str(sidecar[key])
            kept[key] = re.sub("|".join(map(re.escape, names)), "x", text, flags=re.IGNORECASE) if names else text
    return kept


def without_header_text(nifti: bytes) -> bytes:
    """A NIfTI-1 file without the free text of its header, where dcm2niix puts times and comments."""
    clean = bytearray(nifti)
    for offset, length in HEADER_TEXT:
        clean[offset:offset + length] = bytes(length)
    return bytes(clean)


def _first(sidecar: dict, *keys: str) -> str:
    return next((str(sidecar[key]) for key in keys if str(sidecar.get(key) or "").strip()), "")
