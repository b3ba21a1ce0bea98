"""The coils of a run, read one at a time; what is decided once is decided from all of them."""

from dataclasses import replace

import numpy as np

from chiflow.core.nifti import rounding_note
from chiflow.intake.levels import phase_scale
from chiflow.intake.signal import Arrays, from_complex, from_difference, from_polar
from chiflow.intake.slices import SliceSigns
from chiflow.intake.sources import Sources
from chiflow.intake.volumes import Levels, Volume, load_volumes


class Coils:
    """Magnitude and phase of each coil as stored, in rad, and what was found in them.

    `like` is the grid of all, `notes` say where a header places an image a little off it. Of several coils only the one at hand is in memory; a single one is read once. Raises ChiflowError naming the
    file that cannot be used.
    """

    def __init__(self, sources: Sources):
        self.sources = sources
        self.like, self._kept, self.notes = None, None, []
        self.is_complex = sources.coils[0][0][0].part == "real"
        levels = [levels for number in range(len(self)) for levels in self._levels(number)]
        self.scale = None if self.is_complex else phase_scale(levels)

    def __len__(self) -> int:
        return len(self.sources.coils)

    @property
    def found(self) -> dict:
        """Where the phase comes from and its scale."""
        if self.is_complex:
            return {"From": "real and imaginary part"}
        return {"From": "difference of two phases" if self.sources.kind == "difference" else "phase", "Scale": self.scale.name}

    def flipped_axis(self) -> int | None:
        """The axis along which every other slice is turned by π in all coils, None without one."""
        signs = SliceSigns()
        for number in range(len(self)):
            magnitude, phase = self.signal(number, echoes=1)
            signs.add(magnitude[..., 0], phase[..., 0])
        return signs.flipped_axis()

    def signal(self, number: int, echoes: int | None = None) -> Arrays:
        """Magnitude and phase (X, Y, Z, E) float32 of a coil, of its first echoes or of all; phase in rad from −π to π."""
        if self.sources.kind == "difference":
            magnitudes, (difference,) = self._volumes(number)
            return from_difference(magnitudes, difference, self.scale)
        first, second = self._volumes(number, echoes)
        return from_complex(first, second) if self.is_complex else from_polar(first, second, self.scale)

    def last_echo(self) -> Arrays | None:
        """Magnitude and phase (X, Y, Z) of the last echo; None for single coils and for a difference."""
        if len(self) > 1 or self.sources.kind == "difference":
            return None
        first, second = (volumes[-1:] for volumes in self._volumes(0))
        magnitude, phase = from_complex(first, second) if self.is_complex else from_polar(first, second, self.scale)
        return magnitude[..., 0], phase[..., 0]

    def _levels(self, number: int) -> list[Levels]:
        """Levels of the phases of a coil, whose grid must be that of the first."""
        first, second = self._volumes(number)
        self.like = self.like or replace(first[0].grid, data=np.broadcast_to(np.float32(0), first[0].raw.shape))
        self.notes += [note for volume in (*first, *second) for note in rounding_note(volume.grid, self.like)]
        self._kept = (first, second) if len(self) == 1 else None
        return [volume.levels for volume in second]

    def _volumes(self, number: int, echoes: int | None = None) -> tuple[list[Volume], list[Volume]]:
        if self._kept:
            return self._kept[0][:echoes], self._kept[1][:echoes]
        first, second = (part[:echoes] for part in self.sources.coils[number])
        volumes = load_volumes([*first, *second], self.like)
        return volumes[:len(first)], volumes[len(first):]
