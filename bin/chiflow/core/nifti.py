"""NIfTI in and out.

Reading gives float32 and refuses what no stage can use (truncated files, NaN, another grid). Writing is atomic: a temporary name beside
the target, then a rename. What is gzipped carries no time and no name, so equal maps are equal bytes.
"""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.wrapstruct import WrapStructError

from chiflow.core.content import require_content
from chiflow.core.errors import ChiflowError
from chiflow.core.spaces import ALIGNED, SAME_PLACE_MM, SCANNER, Space, apart, rounding_limit, space_of

GZIP_LEVEL = 1
GZIPPED = b"\x1f\x8b"
NIFTI2_HEADER = 540  # bytes, the first number of a NIfTI-2 file; NIfTI-1 has 348
OTHER_GRID = "give it on that grid"
EMPTIED = b"chiflow --lean: content removed after use"  # what the pipeline leaves of an intermediate image


@dataclass(frozen=True)
class Image:
    """A volume: data (X, Y, Z[, E]) float32, affine (4, 4) in mm, where it came from, and its Space: what the affine leads to, and the other matrix."""

    data: np.ndarray
    affine: np.ndarray
    path: Path
    code: int = SCANNER
    aligned: np.ndarray | None = None


def in_space(data, space: Space, path: Path) -> Image:
    """An image of data that lie in a space."""
    return Image(data, space.affine, Path(path), space.code, space.aligned)


def read_header(path: Path) -> nibabel.Nifti1Image:
    """The NIfTI-1 or NIfTI-2 image of a plain or gzipped file, data not yet converted. Raises ChiflowError naming the file."""
    path = Path(path)
    require_content(path)
    with path.open("rb") as stream:
        start = stream.read(len(EMPTIED))
    if start == EMPTIED:
        raise ChiflowError(f"{path}: its content was removed after use (--lean): run again without -resume")
    try:
        if start.startswith(GZIPPED):
            content = igzip.decompress(path.read_bytes())
            return _kind(content).from_bytes(content)
        return _kind(start).from_filename(path)
    except (ImageFileError, WrapStructError, EOFError, OSError, ValueError, isal_zlib.error) as error:
        raise ChiflowError(f"{path}: not a readable NIfTI file, is it complete? ({error})") from error


def _kind(start: bytes) -> type[nibabel.Nifti1Image]:
    """NIfTI-1 or NIfTI-2, by the first four bytes in either order."""
    is_second = NIFTI2_HEADER in (int.from_bytes(start[:4], order) for order in ("little", "big"))
    return nibabel.Nifti2Image if is_second else nibabel.Nifti1Image


def load(path: Path, dimensions: tuple[int, ...] = (3,), finite: bool = True) -> Image:
    """The volume in a file as float32. Raises ChiflowError for an unreadable file, other dimensions, or NaN and Inf when `finite`."""
    image = read_header(path)
    if image.ndim not in dimensions:
        wanted = " or ".join(f"{d}D" for d in dimensions)
        raise ChiflowError(f"{path}: shape {image.shape} is {image.ndim}D, expected {wanted}")
    try:
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise ChiflowError(f"{path}: the image data end too early, is the file complete? ({error})") from error
    if finite and not np.isfinite(data).all():
        raise ChiflowError(f"{path}: {int((~np.isfinite(data)).sum())} voxels are NaN or infinite")
    return in_space(data, space_of(image.header), path)


def upright(image: Image) -> Image:
    """A 3D volume with its axes flipped and swapped to right, anterior, superior; no resampling."""
    turned = nibabel.as_closest_canonical(nibabel.Nifti1Image(image.data, image.affine))
    return Image(np.asarray(turned.dataobj), turned.affine, image.path)


def load_parts(path: Path) -> Iterator[np.ndarray]:
    """The coils of a 4D or 5D file one after the other, (X, Y, Z, E) float32: one coil for (X, Y, Z, E), C for (X, Y, Z, E, C).

    Only the coil at hand is in memory; `read_header(path)` gives shape and affine. Raises ChiflowError as `load` does.
    """
    image = read_header(path)
    if image.ndim not in (4, 5):
        raise ChiflowError(f"{path}: shape {image.shape} is {image.ndim}D, expected 4D or 5D")
    for coil in range(image.shape[4] if image.ndim == 5 else 1):
        try:
            data = np.asarray(image.dataobj[..., coil] if image.ndim == 5 else image.dataobj, dtype=np.float32)
        except (OSError, ValueError, EOFError) as error:
            raise ChiflowError(f"{path}: the image data end too early, is the file complete? ({error})") from error
        if not np.isfinite(data).all():
            where = f" of coil {coil + 1}" if image.ndim == 5 else ""
            raise ChiflowError(f"{path}: {int((~np.isfinite(data)).sum())} voxels{where} are NaN or infinite")
        yield data


def load_like(path: Path, reference: Image, **options) -> Image:
    """load(path), refused when its grid is not the reference's (first three axes and affine)."""
    image = load(path, **options)
    require_same_grid(image, reference)
    return image


def require_same_grid(image: Image, reference: Image) -> None:
    """Raise ChiflowError unless both images have one shape and their voxels are each other's nearest: corners less than half a voxel apart.

    Headers of one grid that other programs wrote differ by what those round to. Of two matrices of a header either may be the common one.
    """
    if image.data.shape[:3] != reference.data.shape[:3]:
        raise ChiflowError(f"{image.path}: shape {image.data.shape[:3]} != {reference.data.shape[:3]} of {reference.path.name}")
    distance = apart(image, reference, image.data.shape)
    if distance > rounding_limit(reference.affine):
        raise ChiflowError(f"{image.path}: lies up to {distance:.3g} mm off the grid of {reference.path.name}, more than half a voxel: {OTHER_GRID}")


def rounding_note(image: Image, reference: Image) -> list[str]:
    """What to record when two images on one grid say so with a little difference."""
    distance = apart(image, reference, image.data.shape)
    text = f"{image.path.name}: its header places it up to {distance:.2g} mm off {reference.path.name}: taken for rounding"
    return [text] if distance > SAME_PLACE_MM else []


def save(path: Path, data: np.ndarray, like: Image) -> None:
    """Write data (bool as uint8, anything else as float32) with the affine of `like`, atomically; .gz in the name compresses."""
    path = Path(path)
    stored, header = np.asarray(data, dtype=np.uint8 if data.dtype == bool else np.float32), nibabel.Nifti1Header()
    header.set_data_dtype(stored.dtype)
    _place(header, like)
    content = nibabel.Nifti1Image(stored, None, header).to_bytes()
    if path.name.endswith(".gz"):
        buffer = io.BytesIO()
        with igzip.IGzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=GZIP_LEVEL, mtime=0) as stream:
            stream.write(content)
        content = buffer.getvalue()
    write_bytes(path, content)


def save_parts(path: Path, parts: Iterable[np.ndarray], count: int, like: Image) -> None:
    """Write `count` coils (X, Y, Z, E) as (X, Y, Z, E, C) float32, one at a time, atomically; a single coil as (X, Y, Z, E).

    The name ends in .nii: what is gzipped cannot be read coil by coil. Raises ChiflowError when there are more or fewer coils, or the
    shape of one differs.
    """
    with parts_writer(path, count, like) as write:
        for data in parts:
            write(data)


@contextmanager
def parts_writer(path: Path, count: int, like: Image) -> Iterator[Callable[[np.ndarray], None]]:
    """save_parts for several files side by side: gives the function that writes the next coil."""
    shapes = []
    with _written(path) as stream:

        def write(data: np.ndarray) -> None:
            shapes.append(data.shape)
            if len(shapes) > count or data.shape != shapes[0]:
                raise ChiflowError(f"{path}: part {len(shapes)} has shape {data.shape}, expected {count} parts of {shapes[0]}")
            if len(shapes) == 1:
                stream.write(_header(data.shape if count == 1 else (*data.shape, count), like))
            for volume in np.moveaxis(data, -1, 0):
                stream.write(np.asarray(volume, np.float32).tobytes(order="F"))

        yield write
        if len(shapes) < count:
            raise ChiflowError(f"{path}: {len(shapes)} parts, expected {count}")


def _header(shape: tuple[int, ...], like: Image) -> bytes:
    """Header of a float32 file and the empty extension behind it."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float32)
    header.set_data_shape(shape)
    _place(header, like)
    header["vox_offset"], header["magic"] = len(header.binaryblock) + 4, b"n+1"
    header["scl_slope"], header["scl_inter"] = 1, 0
    return header.binaryblock + bytes(4)


def _place(header: nibabel.Nifti1Header, like: Image) -> None:
    """Both matrices of an image and their codes; where there is one only it is in the qform, too."""
    header.set_qform(like.affine, like.code)
    header.set_sform(like.affine if like.aligned is None else like.aligned, like.code if like.aligned is None else ALIGNED)
    header.set_xyzt_units("mm")


@contextmanager
def _written(path: Path):
    """A stream under a temporary name beside `path`, renamed at the end; gone after an error."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            yield stream
        part.replace(path)
    except OSError as error:
        raise ChiflowError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it. Raises ChiflowError when the folder cannot be written."""
    with _written(path) as stream:
        stream.write(content)
