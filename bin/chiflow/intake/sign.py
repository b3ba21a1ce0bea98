"""The sign of the phase: paramagnetic positive. The scanner's own field map f (Hz) tells it where there is one, else the vendor.

    r± = |Σ M1 M2 exp(i (φ2 − φ1 ∓ 2π f (TE2 − TE1)))| / Σ M1 M2

r+ is near 1 where phase and map agree, r− where the phase runs backwards; a wrap changes neither. Maps are believed for GE, whose maps are
positive where its phase is not (r = −0.9997), and for unknown vendors; for others a map that disagrees is a warning.
"""

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.units import TWO_PI
from chiflow.intake.coils import Coils
from chiflow.intake.volumes import load_volumes

SIGNS = ("auto", "keep", "reverse")
CLEAR = 0.7  # of the larger r
APART = 0.3  # between both
TOLD_BY_VENDOR = {"GE": (-1, "phase of GE runs backwards"), "": (1, "vendor unknown: kept as stored")}


def sign_of(coils: Coils, times: list[float], manufacturer: str, sign: str = "auto") -> tuple[int, str, list[str]]:
    """What the phase is multiplied by, why, and warnings; `times` are the echo times in s. Raises ChiflowError for a sign not in SIGNS."""
    if sign not in SIGNS:
        raise ChiflowError(f"unknown sign '{sign}': choose from {', '.join(SIGNS)}")
    if sign != "auto":
        return (-1 if sign == "reverse" else 1), f"--sign {sign}", []
    vendor = manufacturer.strip()
    name = "GE" if vendor.upper().startswith("GE") else vendor
    factor, reason = TOLD_BY_VENDOR.get(name, (1, f"phase of {vendor} is paramagnetic positive"))
    told, agreement = _by_field_map(coils, times)
    if told and name in TOLD_BY_VENDOR:
        return told, f"the scanner's field map agrees with the phase {'as stored' if told > 0 else 'reversed'} (r = {agreement:.2f})", []
    disagrees = told and told != factor
    return factor, reason, ["the scanner's field map runs against the phase: compare the result with --sign reverse"] if disagrees else []


def _by_field_map(coils: Coils, times: list[float]) -> tuple[int, float]:
    """1 or −1 and its r by the scanner's field map; 0 without a map, without two echoes, or where it is not clear."""
    is_difference = coils.sources.kind == "difference"
    if not coils.sources.field_maps or not (is_difference or len(times) > 1):
        return 0, 0.0
    (field,) = load_volumes(coils.sources.field_maps[:1], coils.like)
    spacing_s = times[0] if is_difference else times[1] - times[0]
    turn = np.exp(1j * TWO_PI * spacing_s * np.nan_to_num(field.values))
    steps = sum(_step(*coils.signal(number, echoes=2)) for number in range(len(coils)))
    whole = max(float(np.abs(steps).sum()), 1e-30)
    same, against = (float(abs((steps * other).sum())) / whole for other in (turn.conj(), turn))
    clear = max(same, against) > CLEAR and abs(same - against) > APART
    return (1 if same > against else -1) if clear else 0, max(same, against)


def _step(magnitude: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """M1 M2 exp(i (φ2 − φ1)), or M² exp(iφ) of a difference, (X, Y, Z)."""
    if phase.shape[3] == 1:
        return magnitude[..., 0] ** 2 * np.exp(1j * phase[..., 0])
    return magnitude[..., 0] * magnitude[..., 1] * np.exp(1j * (phase[..., 1] - phase[..., 0]))
