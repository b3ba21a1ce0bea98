"""What the sidecars of a run say about its acquisition, checked before any image is read."""

from dataclasses import replace

from chiflow.core.errors import ChiflowError
from chiflow.core.quantities import ECHO_TIME, FLIP_ANGLE, REPETITION_TIME, SPACING, THICKNESS, field_fault
from chiflow.intake.sources import NUMBERS, SAME_TIME_S, Source, Sources

WIDEST_GAP, NO_GAP = 0.5, 0.03  # share of the distance between slices that lies between them, unmeasured
JUDGED = {quantity.key: quantity for quantity in (REPETITION_TIME, FLIP_ANGLE, THICKNESS, SPACING)}
CARRIED_KEYS = """
    Manufacturer ManufacturersModelName SoftwareVersions MRAcquisitionType ScanningSequence SequenceVariant ScanOptions SequenceName
    PulseSequenceType ProtocolName SeriesDescription RepetitionTime FlipAngle PixelBandwidth PhaseEncodingDirection ReceiveCoilName
    CoilCombinationMethod ParallelReductionFactorInPlane ParallelReductionFactorOutOfPlane PartialFourier NonlinearGradientCorrection
    SliceThickness SpacingBetweenSlices BodyPart ConversionSoftware ConversionSoftwareVersion
""".split()


def acquired(sources: Sources) -> dict:
    """Echo times (s), field strength (T), imaging frequency (MHz) and what is worth carrying on, by their BIDS names; Notes say what was left out.

    Raises ChiflowError naming the file whose sidecar misses a key or gives another unit.
    """
    first, second = sources.coils[0]
    times = _difference_times(first, second[0]) if sources.kind == "difference" else _echo_times(sources)
    facts = times | {"PhaseKind": sources.kind, "Coils": len(sources.coils)} | _field(first[0], sources.all)
    carried = {key: first[0].sidecar[key] for key in CARRIED_KEYS if first[0].sidecar.get(key) is not None}
    doubts = {key: doubt for key, value in carried.items() if (doubt := _doubt(key, value))}
    notes = [f"{first[0].path.name}: {doubt}: left out" for doubt in doubts.values()]
    return facts | {key: value for key, value in carried.items() if key not in doubts} | {"Notes": notes}


def _doubt(key: str, value: object) -> str | None:
    """Why a value that no map depends on is better left out: not one number where one is meant, or in another unit."""
    if key not in NUMBERS:
        return None
    if not _is_number(value):
        return f"{key} {value!r} is not a number"
    return JUDGED[key].fault(value) if key in JUDGED else None


def gap_warnings(source: Source) -> list[str]:
    """A line when slices lie apart; the field between them is unknown. Raises ChiflowError when more than half of the head is unmeasured."""
    thickness, spacing = (source.sidecar.get(key) for key in ("SliceThickness", "SpacingBetweenSlices"))
    if thickness is None or spacing is None or _doubt("SliceThickness", thickness) or _doubt("SpacingBetweenSlices", spacing):
        return []
    if (gap := 1 - thickness / spacing) <= NO_GAP:
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
    if fault := replace(ECHO_TIME, key=key).fault(time):
        raise ChiflowError(f"{source.path}: {fault}")
    return time


def _field(first: Source, sources: list[Source]) -> dict:
    """MagneticFieldStrength and ImagingFrequency, as far as any sidecar has them."""
    found = {key: next((value for value in (_number(source, key) for source in sources) if value is not None), None)
             for key in ("MagneticFieldStrength", "ImagingFrequency")}
    if all(value is None for value in found.values()):
        raise ChiflowError(f"{first.path}: MagneticFieldStrength (T) or ImagingFrequency (MHz) is missing in its sidecar")
    if fault := field_fault(*found.values()):
        raise ChiflowError(f"{first.path}: {fault}")
    return {key: value for key, value in found.items() if value is not None}


def _number(source: Source, key: str) -> float | None:
    value = source.sidecar.get(key)
    if value is None:
        return None
    if not _is_number(value):
        raise ChiflowError(f"{source.path}: {key} {value!r} in its sidecar is not a number")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
