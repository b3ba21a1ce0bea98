"""The JSON files between the conversion of DICOM and the runs that are found in it."""

from pydantic import Field

from chiflow.core.contracts import Contract, Made


class ConvertedImage(Contract):
    """The sidecar of a converted image, as far as sorting the images into runs needs it; the rest of its BIDS keys stay as they are.

    Part is mag, phase, real, imag or fieldmap (of the scanner, in Hz); Series and Content are keyed hashes of the series' UID and of the voxel data.
    """

    part: str
    subject: str
    session: str
    series: str
    content: str
    series_number: int
    echo_number: int
    coil: int | None = None
    shape: list[int]
    affine: list[list[float]]
    echo_time_s: float | None = Field(None, alias="EchoTime")
    echo_time1_s: float | None = Field(None, alias="EchoTime1")
    echo_time2_s: float | None = Field(None, alias="EchoTime2")
    repetition_time_s: float | None = Field(None, alias="RepetitionTime")
    flip_angle_deg: float | None = Field(None, alias="FlipAngle")
    protocol_name: str | None = None
    manufacturer: str | None = None
    image_type: list[str] = []
    scanning_sequence: str | list[str] | None = None


class Aside(Contract):
    """What was found and is not processed, and why."""

    name: str
    reason: str


class Conversion(Contract):
    """convert.json: what was set aside in one folder, and how it was converted."""

    aside: list[Aside] = []
    made: Made = Field(default_factory=Made)


class Run(Contract):
    """The images of one run."""

    id: str
    files: list[str]


class Runs(Contract):
    """runs.json: the runs that were found among the converted series, and what belongs to none."""

    runs: list[Run] = []
    aside: list[Aside] = []
