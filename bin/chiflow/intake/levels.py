"""The unit of a phase image, judged from its levels: what the vendor's name or the tags promise does not hold
in the field.

    φ = 2π (v − v0) / P, wrapped to −π … π, with P what one turn is worth and v0 the value of zero phase

Where a phase wraps, and in noise, neighbours differ by nearly the whole range of the values: then that range
is one turn, whatever its unit.
"""

from dataclasses import dataclass

from chiflow.core.errors import ChiflowError
from chiflow.core.units import TWO_PI
from chiflow.intake.volumes import Levels

FULL = 0.9  # share of a turn that a whole image reaches: noise outside the head fills it
WRAPPED_FULL = 0.97  # the same of an image that wraps: the range is then the turn, but for its last voxels
BEYOND = 1.02  # rounding and interpolation may step over the end
LEAST_RADIANS = 0.2  # less span than this in all echoes is no phase in rad
# share of neighbours that are nearly the whole range apart: one wrapped surface has 1e-2, noise 4e-2, a spike
# or two less
LEAST_WRAPS = 1e-3
LIKE_HZ = "they look like Hz, and a field map made by the scanner is not phase"
LIKE_UNWRAPPED = "they look like rad that has been unwrapped: give the phase as the scanner stored it"
HZ_RANGE = (5.0, 3000.0)  # what field maps in Hz reach at 1.5 T … 7 T
GROWTH = 1.2  # an unwrapped phase spans more in the last echo than in the first; a field in Hz does not


@dataclass(frozen=True)
class Scale:
    """period: what one turn is worth; middle: of the values; zero: the value of zero phase; raw: stored
    values are meant, not scaled ones.
    """

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
# other programs write these; a range alone does not tell them from a field map or a narrow phase, so the
# image must wrap, too
WRAPPING_SCALES = (
    Scale("turns, −0.5 … 0.5", 1),
    Scale("turns, 0 … 1", 1, 0.5),
    Scale("half turns, −1 … 1", 2),
    Scale("degrees, −180 … 180", 360),
    Scale("degrees, 0 … 360", 360, 180),
    Scale("rad × 100", 100 * TWO_PI),
    Scale("rad × 10", 10 * TWO_PI),
)
STORED_RADIANS = Scale("rad as stored, the header's scaling is not applied", TWO_PI, raw=True)


def phase_scale(phases: list[Levels]) -> Scale:
    """The scale that all echoes (and coils) of a run share. Raises ChiflowError naming the file when the
    levels are no phase, or not alike.
    """
    found = {levels.path: _scale_of(levels) for levels in phases}
    known = {scale for scale in found.values() if scale}
    if len(known) > 1:
        odd = next(path for path, scale in found.items() if scale and scale != found[phases[0].path])
        raise ChiflowError(f"{odd}: phase in {found[odd].name}, unlike the echoes before it: scale them alike")
    if not known and all(levels.kind == "f" and _fits(STORED_RADIANS, levels.low, levels.high) for levels in phases):
        return STORED_RADIANS
    scale = known.pop() if known else _narrow_scale(phases)
    for levels in phases:
        low, high = levels.range
        if not found[levels.path] and not _inside(scale, low, high):
            raise ChiflowError(f"{levels.path}: values from {low:g} to {high:g}, but the other echoes are in {scale.name}")
    return scale


def _scale_of(levels: Levels) -> Scale | None:
    found = next((scale for scale in SCALES if _fits(scale, *levels.range)), None)
    if found or levels.wraps < LEAST_WRAPS:
        return found
    return next((scale for scale in WRAPPING_SCALES if _fits(scale, *levels.range, WRAPPED_FULL)), None)


def _fits(scale: Scale, low: float, high: float, full: float = FULL) -> bool:
    """Whether values fill one turn of a scale and stay in it."""
    return _inside(scale, low, high) and high - low >= full * scale.period


def _inside(scale: Scale, low: float, high: float) -> bool:
    half = BEYOND * scale.period / 2
    return low >= scale.middle - half and high <= scale.middle + half


def _narrow_scale(phases: list[Levels]) -> Scale:
    """A phase that fills no turn (no noise, or masked) is in rad when it is given as broken numbers within
    one, and never wraps.
    """
    low, high = min(levels.range[0] for levels in phases), max(levels.range[1] for levels in phases)
    broken = all(levels.kind == "f" or levels.slope != 1 for levels in phases)
    wrapping = next((levels for levels in phases if levels.wraps >= LEAST_WRAPS), None)
    if wrapping is None and broken and high - low >= LEAST_RADIANS:
        narrow = next((scale for scale in SCALES[:2] if _inside(scale, low, high)), None)
        if narrow:
            return narrow
    raise ChiflowError(_unknown(phases, wrapping, low, high))


def _unknown(phases: list[Levels], wrapping: Levels | None, low: float, high: float) -> str:
    """What levels that are no known phase look like, for the user."""
    what = f"{phases[0].path}: values from {low:g} to {high:g} are in no unit of phase that is known"
    if wrapping and low >= -BEYOND * TWO_PI / 2 and high <= BEYOND * TWO_PI:
        ends = wrapping.range
        return f"{what}: they wrap from {ends[0]:.3g} to {ends[1]:.3g}, and a turn is {TWO_PI:.3g} rad: scaled twice? Give the phase in rad"
    spans = [levels.range[1] - levels.range[0] for levels in phases]
    if phases[0].kind == "f" and max(-low, high) > TWO_PI and len(spans) > 1 and spans[-1] > GROWTH * spans[0] and not wrapping:
        return f"{what}: {LIKE_UNWRAPPED}"
    if HZ_RANGE[0] < max(-low, high) < HZ_RANGE[1] and low < 0 < high:
        return f"{what}: {LIKE_HZ}; otherwise give the phase in rad"
    return f"{what}, neither rad nor rad × 1000 nor all levels of an integer phase: give the phase in rad"
