"""Label images that the user brings (BIDS `_dseg`), and the names of their labels."""

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
from nibabel.processing import resample_from_to

from chiflow.core.errors import ChiflowError
from chiflow.core.masks import inside_of
from chiflow.core.nifti import Image, load
from chiflow.core.spaces import apart, rounding_limit


def labels_on(path: Path, like: Image) -> tuple[np.ndarray, bool]:
    """Labels (X, Y, Z) int32 on the grid of `like`, and whether they had to be resampled: each voxel then has the label that lies nearest to its middle.

    Both images must be in one space. Raises ChiflowError when a label is no whole number, or no label lies on the grid.
    """
    image = load(path)
    if not np.array_equal(image.data, np.rint(image.data)):
        raise ChiflowError(f"{path}: labels must be whole numbers, is this a probability map?")
    data, resampled = _on(image, like)
    if not data.any():
        raise ChiflowError(f"{path}: no label lies inside {like.path.name}: are both images in one space?")
    return data.astype(np.int32), resampled


def mask_on(path: Path, like: Image) -> tuple[np.ndarray, bool]:
    """A mask (X, Y, Z) bool on the grid of `like`, and whether it had to be resampled, as labels are. Raises ChiflowError when it is empty or no mask."""
    image = load(path)
    inside, _ = inside_of(image.data, image.path)
    data, resampled = _on(replace(image, data=inside.astype(np.float32)), like)
    return data > 0, resampled


def _on(image: Image, like: Image) -> tuple[np.ndarray, bool]:
    """The values of an image at the voxels of another, and whether that took resampling. Where both have a matrix to a space besides the scanner's, it is that."""
    if image.data.shape == like.data.shape[:3] and apart(image, like, image.data.shape) <= rounding_limit(like.affine):
        return image.data, False
    ours = like.affine if image.code == like.code or like.aligned is None else like.aligned
    found = resample_from_to(nibabel.Nifti1Image(image.data, image.affine), (like.data.shape[:3], ours), order=0)
    return np.asarray(found.dataobj, dtype=np.float32), True


def label_names(path: Path) -> dict[int, str]:
    """Names by label, from the columns `index` and `name` of a BIDS look-up table. Raises ChiflowError naming file and line."""
    try:
        header, *lines = Path(path).read_text(encoding="utf8").splitlines()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ChiflowError(f"{path}: not a table of labels ({error})") from error
    columns = header.split("\t")
    if not {"index", "name"} <= set(columns):
        raise ChiflowError(f"{path}: the first line must name the columns index and name, divided by tabs; it has {', '.join(columns)}")
    names = {}
    for number, line in enumerate(lines, 2):
        row = dict(zip(columns, line.split("\t")))
        try:
            names[int(row["index"])] = row["name"]
        except (KeyError, ValueError) as error:
            raise ChiflowError(f"{path}: line {number} has no whole number as index and a name") from error
    return names


def label_number(wanted: str, names: dict[int, str], path: Path) -> int:
    """The label that a number, or a name of the table, stands for. Raises ChiflowError with the names there are."""
    found = [number for number, name in names.items() if name == wanted]
    if len(found) == 1:
        return found[0]
    if wanted.isdigit():
        return int(wanted)
    raise ChiflowError(f"{path}: {'two labels are' if found else 'no label is'} called '{wanted}': choose from {', '.join(names.values()) or 'the numbers, there is no table of names'}")
