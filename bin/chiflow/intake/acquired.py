"""What the sidecars of a run say about its acquisition, checked before any image is read."""

from chiflow.core.contracts import LONGEST_ECHO_S
from chiflow.core.errors import ChiflowError
from chiflow.core.units import larmor_frequency_mhz
from chiflow.intake.sources import SAME_TIME_S, Source, Sources

FREQUENCY_TOLERANCE = 0.1  # a "3 T" runs 3.6 % below its name; more than a tenth is another unit or another nucleus
WIDEST_GAP, NO_GAP = 0.5, 0.03  # share of the distance between slices that lies between them, unmeasured
CARRIED_KEYS = """
    Manufacturer ManufacturersModelName SoftwareVersions MRAcquisitionType ScanningSequence SequenceVariant ScanOptions SequenceName
    PulseSequenceType ProtocolName SeriesDescription RepetitionTime FlipAngle PixelBandwidth PhaseEncodingDirection ReceiveCoilName
    CoilCombinationMethod ParallelReductionFactorInPlane ParallelReductionFactorOutOfPlane PartialFourier NonlinearGradientCorrection
    SliceThickness SpacingBetweenSlices BodyPart ConversionSoftware ConversionSoftwareVersion
""".split()


def acquired(sources: Sources) -> dict:
    """Echo times (s), field strength (T), imaging frequency (MHz) and what is worth carrying on, by their BIDS names.

    Raises ChiflowError naming the file whose sidecar misses a key or gives another unit.
    """
    first, second = sources.coils[0]
    times = _difference_times(first, second[0]) if sources.kind == "difference" else _echo_times(sources)
    facts = times | {"PhaseKind": sources.kind, "Coils": len(sources.coils)} | _field(first[0], sources.all)
    return facts | {key: first[0].sidecar[key] for key in CARRIED_KEYS if first[0].sidecar.get(key) is not None}


def gap_warnings(source: Source) -> list[str]:
    """A line when slices lie apart; the field between them is unknown. Raises ChiflowError when more than half of the head is unmeasured."""
    thickness, spacing = (_number(source, key) for key in ("SliceThickness", "SpacingBetweenSlices"))
    if not thickness or not spacing or spacing <= 0 or (gap := 1 - thickness / spacing) <= NO_GAP:
        return []
    text = f"slices of {thickness:g} mm lie {spacing:g} mm apart"
    if gap > WIDEST_GAP:
        raise ChiflowError(f"{source.path}: {text}: a field map needs slices without gaps (SliceThickness, SpacingBetweenSlices)")
    return [f"{text}: the gaps are taken to be like the slices, χ of what is thinner than the distance is not quantitative"]


def _echo_times(sources: Sources) -> dict:
    """EchoTimes of the first part, alike in all parts and coils, and rising."""
    first = sources.coils[0][0]
    times = [_time(source) for source in first]
    for coil in sources.coils:
        for part in coil:
            for source, time in zip(part, times):
                if abs(_time(source) - time) > SAME_TIME_S:
                    raise ChiflowError(f"{source.path}: EchoTime {_time(source)} s, but {time} s in its {first[0].part} image")
    for source, earlier, later in zip(first[1:], times, times[1:]):
        if later <= earlier:
            raise ChiflowError(f"{source.path}: EchoTime {later} s does not follow {earlier} s of echo {source.echo - 1}")
    return {"EchoTimes": times}


def _difference_times(magnitudes: list[Source], difference: Source) -> dict:
    """A difference of two phases is one echo at TE2 − TE1: its offset is gone."""
    times = [_time(difference, "EchoTime1"), _time(difference, "EchoTime2")]
    if times[1] <= times[0]:
        raise ChiflowError(f"{difference.path}: EchoTime2 {times[1]} s does not follow EchoTime1 {times[0]} s")
    for number, source in enumerate(magnitudes):
        here = _number(source, "EchoTime")
        if number > 1 or (here is not None and all(abs(here - time) > SAME_TIME_S for time in times)):
            text = f"the one phase is the difference of TE {times[0]} and {times[1]} s: add the phase of each echo, or leave this echo out"
            raise ChiflowError(f"{source.path}: echo {source.echo} has no phase image, {text}")
    return {"EchoTimes": [round(times[1] - times[0], 9)], "SourceEchoTimes": times}


def _time(source: Source, key: str = "EchoTime") -> float:
    time = _number(source, key)
    if time is None:
        what = f"{key} (s) is missing in its sidecar" if source.sidecar else "there is no JSON sidecar beside it"
        raise ChiflowError(f"{source.path}: {what}")
    if time > LONGEST_ECHO_S:
        raise ChiflowError(f"{source.path}: {key} {time:g} looks like milliseconds, BIDS wants seconds")
    if time <= 0:
        raise ChiflowError(f"{source.path}: {key} {time:g} s is not positive")
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
