"""One run in one form: magnitude, phase in rad, acquisition.json; or one line that says why not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chiflow.core.bids import require_run_id
from chiflow.core.contracts import Acquisition, Made
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import geometry_of
from chiflow.core.provenance import cost, digests
from chiflow.core.quantities import VOXEL
from chiflow.intake.acquired import acquired, gap_warnings
from chiflow.intake.coils import Coils
from chiflow.intake.direction import direction_of
from chiflow.intake.filtered import FILTERED, is_filtered, named_so
from chiflow.intake.place import placed
from chiflow.intake.sign import sign_of
from chiflow.intake.slices import turn_slices
from chiflow.intake.sources import read_sources


@dataclass(frozen=True)
class Scan:
    """The coils of a run (one when they are combined), and how it was acquired; `coils.like` is its grid.

    Iterating gives magnitude and phase (X, Y, Z, E) float32 of each coil, phase in rad from −π to π.
    """

    coils: Coils
    flipped_axis: int | None
    sign: int
    acquisition: Acquisition

    @property
    def affine(self) -> np.ndarray:
        """Affine (4, 4) of the voxels in mm."""
        return self.coils.like.affine

    def __len__(self) -> int:
        return len(self.coils)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return map(self._coil, range(len(self)))

    def _coil(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        magnitude, phase = self.coils.signal(number)
        if self.flipped_axis is not None:
            turn_slices(phase, self.flipped_axis)
        if self.sign < 0:
            np.negative(phase, out=phase)
        return magnitude, phase


def take_in(files: list[Path], inherited: list[Path], run: str, sign: str = "auto",
            b0: tuple[float, float, float] | None = None) -> Scan:
    """The scan in the images and sidecars of one run.

    `inherited` are sidecars of the levels above, the most general first; `sign` is one of SIGNS: auto asks the scanner's field map and the
    vendor (GE is reversed), keep and reverse do as they say; `b0` in voxel axes goes before what the header says. Raises ChiflowError naming the file that cannot be used.
    """
    require_run_id(run)
    sources = read_sources(files, inherited)
    facts = acquired(sources)
    coils = Coils(sources)
    axis = coils.flipped_axis()
    factor, reason, warnings = sign_of(coils, facts["EchoTimes"], str(facts.get("Manufacturer", "")), sign)
    sidecar = sources.all[0].sidecar
    direction = direction_of(coils.like, sidecar, b0)
    geometry = geometry_of(coils.like.affine, coils.like.data.shape, direction.b0)
    if fault := next((fault for size in geometry.voxel_size if (fault := VOXEL.fault(size))), None):
        raise ChiflowError(f"{coils.like.path}: {fault}")
    last = coils.last_echo()
    if last and is_filtered(*last, geometry.voxel_size):
        raise ChiflowError(f"{sources.coils[0][1][-1].path}: {FILTERED}{named_so(sidecar)}: give the phase without the filter")
    facts |= placed(direction, sidecar) | {
        "Id": run,
        "B0Direction": [round(b, 9) for b in geometry.b0],
        "B0Source": direction.source,
        "VoxelSize": [round(v, 6) for v in geometry.voxel_size],
        "Shape": list(geometry.shape),
        "PhaseConvention": coils.found | {
            "Sign": factor,
            "SignReason": reason,
            "FlippedSlices": "none" if axis is None else f"every other one along {'ijk'[axis]}",
        },
        "Warnings": sources.warnings + gap_warnings(sources.all[0]) + direction.warnings + warnings,
        "Notes": facts["Notes"] + coils.notes,
        "Sources": digests(*inherited, *files),
        "Converted": sidecar.get("Converted"),
        "Made": Made(cost=cost()),
    }
    return Scan(coils, axis, factor, Acquisition.model_validate(facts))
