"""The images of a run as they are stored, checked against each other."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import Image, in_space, read_header, require_same_grid
from chiflow.core.spaces import Space, space_of
from chiflow.intake.sources import Source

THREADS = 4
WRAP = 0.8  # of the range: neighbours that differ by more lie on two sides of a wrap


@dataclass(frozen=True)
class Levels:
    """What is known of an image without its voxels: value = slope · raw + intercept, the range of the finite raw values, and, of a phase, the share
    of neighbours that are nearly the whole range apart."""

    path: Path
    kind: str
    slope: float
    intercept: float
    low: float
    high: float
    wraps: float = 0.0

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value as the header scales them."""
        ends = sorted(self.slope * raw + self.intercept for raw in (self.low, self.high))
        return ends[0], ends[1]


@dataclass(frozen=True)
class Volume:
    """An echo of a part: raw (X, Y, Z) as stored, its levels, and where it lies."""

    raw: np.ndarray
    levels: Levels
    space: Space

    @property
    def path(self) -> Path:
        """Where it came from."""
        return self.levels.path

    @property
    def grid(self) -> Image:
        """The raw values where they lie."""
        return in_space(self.raw, self.space, self.path)

    @property
    def values(self) -> np.ndarray:
        """Values as the header scales them, (X, Y, Z) float32."""
        scaled, levels = self.raw.astype(np.float32), self.levels
        return scaled if (levels.slope, levels.intercept) == (1, 0) else scaled * np.float32(levels.slope) + np.float32(levels.intercept)


def load_volumes(sources: list[Source], like: Image | None = None) -> list[Volume]:
    """The volumes of all sources, several files at a time, on the grid of `like` or of the first.

    Raises ChiflowError naming the file that is unreadable, flat, empty, infinite, or on another grid.
    """
    paths = list(dict.fromkeys(source.path for source in sources))
    with ThreadPoolExecutor(THREADS) as pool:
        stored = dict(zip(paths, pool.map(_stored, paths)))
        volumes = list(pool.map(lambda source: _volume(source, *stored[source.path]), sources))
    reference = like or volumes[0].grid
    for volume in volumes:
        require_same_grid(volume.grid, reference)
    return volumes


def _stored(path: Path):
    """Raw array, slope, intercept and space of a file."""
    image = read_header(path)
    try:
        raw = np.asarray(image.dataobj.get_unscaled())
    except (OSError, ValueError, EOFError) as error:
        raise ChiflowError(f"{path}: the image data end too early, is the file complete? ({error})") from error
    if raw.dtype.kind not in "iuf":
        raise ChiflowError(f"{path}: data type {raw.dtype} cannot be used, store real numbers")
    return raw, image.dataobj.slope, image.dataobj.inter, space_of(image.header)


def _volume(source: Source, raw: np.ndarray, slope: float, intercept: float, space: Space) -> Volume:
    path = source.path
    echoes = raw.shape[3] if raw.ndim > 3 else 1
    if raw.ndim > 4 or echoes != (1 if source.volume is None else len(_times(source))):
        raise ChiflowError(f"{path}: shape {raw.shape} has {echoes} volumes, expected one for each EchoTime of its sidecar")
    if raw.ndim == 4:
        raw = raw[..., source.volume or 0]
    if raw.ndim < 3 or min(raw.shape) < 2:
        raise ChiflowError(f"{path}: shape {raw.shape} is a single slice, a 3D volume is needed")
    finite = raw if raw.dtype.kind in "iu" else raw[np.isfinite(raw)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low == high:
        raise ChiflowError(f"{path}: every voxel is {slope * low + intercept:g}, there is no image in it")
    if raw.dtype.kind == "f" and np.isinf(raw).any():
        raise ChiflowError(f"{path}: {int(np.isinf(raw).sum())} voxels are infinite")
    return Volume(raw, Levels(path, raw.dtype.kind, slope, intercept, low, high, wraps_of(raw, high - low) if source.part == "phase" else 0.0), space)


def wraps_of(raw: np.ndarray, span: float) -> float:
    """Share of the neighbours along the first axis that differ by more than WRAP of the range, among those that differ at all."""
    steps = np.abs(np.diff(raw.astype(np.float32), axis=0))
    return float(np.count_nonzero(steps > WRAP * span) / max(np.count_nonzero(steps), 1))


def _times(source: Source) -> list:
    return source.sidecar["EchoTimes"]
