"""The unit of a phase image, judged from its levels: what the vendor's name or the tags promise does not hold in the field.

    φ = 2π (v − v0) / P, wrapped to −π … π, with P what one turn is worth and v0 the value of zero phase
"""

from dataclasses import dataclass

from chiflow.core.errors import ChiflowError
from chiflow.core.units import TWO_PI
from chiflow.intake.volumes import Levels

FULL = 0.9  # share of a turn that a whole image reaches: noise outside the head fills it
BEYOND = 1.02  # rounding and interpolation may step over the end
LEAST_RADIANS = 0.2  # less span than this in all echoes is no phase in rad
LIKE_HZ = "they look like Hz, and a field map made by the scanner is not phase"
HZ_RANGE = (5.0, 3000.0)  # what field maps in Hz reach at 1.5 T … 7 T


@dataclass(frozen=True)
class Scale:
    """period: what one turn is worth; middle: of the values; zero: the value of zero phase; raw: stored values are meant, not scaled ones."""

    name: str
    period: float
    middle: float = 0.0
    zero: float = 0.0
    raw: bool = False


SCALES = (
    Scale("rad", TWO_PI),
    Scale("rad, from 0 to 2π", TWO_PI, TWO_PI / 2),
    Scale("rad × 1000", 1000 * TWO_PI),
    Scale("levels −2048 … 2047", 4096),
    Scale("levels 0 … 4095", 4096, 2048, 2048),
    Scale("levels −4096 … 4095", 8192),
    Scale("levels 0 … 8191", 8192, 4096, 4096),
    Scale("levels −32768 … 32767", 65536),
    Scale("levels 0 … 65535", 65536, 32768, 32768),
)
STORED_RADIANS = Scale("rad as stored, the header's scaling is not applied", TWO_PI, raw=True)


def phase_scale(phases: list[Levels]) -> Scale:
    """The scale that all echoes (and coils) of a run share. Raises ChiflowError naming the file when the levels are no phase, or not alike."""
    found = {levels.path: _scale_of(*levels.range) for levels in phases}
    known = {scale for scale in found.values() if scale}
    if len(known) > 1:
        odd = next(path for path, scale in found.items() if scale and scale != found[phases[0].path])
        raise ChiflowError(f"{odd}: phase in {found[odd].name}, unlike the echoes before it: scale them alike")
    if not known and all(levels.kind == "f" and _fits(STORED_RADIANS, levels.low, levels.high) for levels in phases):
        return STORED_RADIANS
    scale = known.pop() if known else _narrow_scale(phases)
    for levels in phases:
        low, high = levels.range
        if not found[levels.path] and known and not _inside(scale, low, high):
            raise ChiflowError(f"{levels.path}: values from {low:g} to {high:g}, but the other echoes are in {scale.name}")
    return scale


def _scale_of(low: float, high: float) -> Scale | None:
    return next((scale for scale in SCALES if _fits(scale, low, high)), None)


def _fits(scale: Scale, low: float, high: float) -> bool:
    """Whether values fill one turn of a scale and stay in it."""
    return _inside(scale, low, high) and high - low >= FULL * scale.period


def _inside(scale: Scale, low: float, high: float) -> bool:
    half = BEYOND * scale.period / 2
    return low >= scale.middle - half and high <= scale.middle + half


def _narrow_scale(phases: list[Levels]) -> Scale:
    """A phase that fills no turn (no noise, or masked) is in rad when it is given as broken numbers within one."""
    low, high = min(levels.range[0] for levels in phases), max(levels.range[1] for levels in phases)
    broken = all(levels.kind == "f" or levels.slope != 1 for levels in phases)
    if broken and high - low >= LEAST_RADIANS and _inside(SCALES[0], low, high):
        return SCALES[0]
    if broken and high - low >= LEAST_RADIANS and _inside(SCALES[1], low, high):
        return SCALES[1]
    what = f"values from {low:g} to {high:g} are neither rad nor rad × 1000 nor all levels of an integer phase"
    if HZ_RANGE[0] < max(-low, high) < HZ_RANGE[1] and low < 0 < high:
        raise ChiflowError(f"{phases[0].path}: {what}; {LIKE_HZ}")
    raise ChiflowError(f"{phases[0].path}: {what}: give the phase in rad")
