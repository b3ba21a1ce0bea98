"""What the sidecars of a run say about its acquisition, checked before any image is read."""

from chiflow.core.contracts import LONGEST_ECHO_S
from chiflow.core.errors import ChiflowError
from chiflow.core.units import larmor_frequency_mhz
from chiflow.intake.sources import Source

SAME_TIME_S = 1e-5
FREQUENCY_TOLERANCE = 0.1  # a "3 T" runs 3.6 % below its name; more than a tenth is another unit or another nucleus
CARRIED_KEYS = """
    Manufacturer ManufacturersModelName SoftwareVersions MRAcquisitionType ScanningSequence SequenceVariant ScanOptions SequenceName
    PulseSequenceType ProtocolName SeriesDescription RepetitionTime FlipAngle PixelBandwidth PhaseEncodingDirection ReceiveCoilName
    CoilCombinationMethod ParallelReductionFactorInPlane ParallelReductionFactorOutOfPlane PartialFourier NonlinearGradientCorrection
    SliceThickness SpacingBetweenSlices BodyPart ConversionSoftware ConversionSoftwareVersion
""".split()


def acquired(sources: tuple[list[Source], list[Source]]) -> dict:
    """Echo times (s), field strength (T), imaging frequency (MHz) and what is worth carrying on, by their BIDS names.

    Raises ChiflowError naming the file whose sidecar misses a key or gives another unit.
    """
    first, second = sources
    times = [_echo_time(source) for source in first]
    for echo, other in zip(times, second):
        if abs(_echo_time(other) - echo) > SAME_TIME_S:
            raise ChiflowError(f"{other.path}: EchoTime {_echo_time(other)} s, but {echo} s in its {first[0].part} image")
    for source, earlier, later in zip(first[1:], times, times[1:]):
        if later <= earlier:
            raise ChiflowError(f"{source.path}: EchoTime {later} s does not follow {earlier} s of echo {source.echo - 1}")
    facts = {"EchoTimes": times} | _field(first[0], [*first, *second])
    return facts | {key: first[0].sidecar[key] for key in CARRIED_KEYS if first[0].sidecar.get(key) is not None}


def _echo_time(source: Source) -> float:
    time = _number(source, "EchoTime")
    if time is None:
        what = "EchoTime (s) is missing in its sidecar" if source.sidecar else "there is no JSON sidecar beside it"
        raise ChiflowError(f"{source.path}: {what}")
    if time > LONGEST_ECHO_S:
        raise ChiflowError(f"{source.path}: EchoTime {time:g} looks like milliseconds, BIDS wants seconds")
    if time <= 0:
        raise ChiflowError(f"{source.path}: EchoTime {time:g} s is not positive")
    return time


def _field(first: Source, sources: list[Source]) -> dict:
    """MagneticFieldStrength and ImagingFrequency, as far as any sidecar has them."""
    found = {key: next((value for value in (_number(source, key) for source in sources) if value is not None), None)
             for key in ("MagneticFieldStrength", "ImagingFrequency")}
    strength, frequency = found.values()
    if strength is None and frequency is None:
        raise ChiflowError(f"{first.path}: MagneticFieldStrength (T) or ImagingFrequency (MHz) is missing in its sidecar")
    if any(value is not None and value <= 0 for value in (strength, frequency)):
        raise ChiflowError(f"{first.path}: MagneticFieldStrength {strength} T and ImagingFrequency {frequency} MHz must be positive")
    proton = larmor_frequency_mhz(strength) if strength else None
    if proton and frequency and abs(frequency / proton - 1) > FREQUENCY_TOLERANCE:
        raise ChiflowError(f"{first.path}: ImagingFrequency {frequency:g} is not the proton frequency at {strength:g} T in MHz ({proton:.1f})")
    return {key: value for key, value in found.items() if value is not None}


def _number(source: Source, key: str) -> float | None:
    value = source.sidecar.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ChiflowError(f"{source.path}: {key} {value!r} in its sidecar is not a number")
    return float(value)
