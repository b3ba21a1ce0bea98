"""Which of the two matrices of a NIfTI header leads to the scanner's axes, where B0 is the third.

    code: 0 none, 1 scanner, 2 aligned to another image, 3 Talairach, 4 MNI

Programs that align an image often leave the scanner's matrix in the qform and write their own into the sform.
"""

from dataclasses import dataclass

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

UNCODED, SCANNER, ALIGNED = 0, 1, 2
# affines of one scan differ by rounding only: a hundredth of a millimetre at the far corner of the volume
SAME_PLACE_MM = 1e-2
SAME_TURN_DEG = 0.5  # less is rounding of the direction cosines


@dataclass(frozen=True)
class Space:
    """affine (4, 4) from voxels to mm, the scanner's when code is 1; aligned: the header's other matrix,
    where the two lie apart.
    """

    affine: np.ndarray
    code: int
    aligned: np.ndarray | None = None


def space_of(header: nibabel.Nifti1Header) -> Space:
    """The space of a header: the scanner's before any other, of two of the scanner the qform, of two others
    the sform.
    """
    shape = header.get_data_shape()
    (sform, scode), (qform, qcode) = _coded(header.get_sform), _coded(header.get_qform)
    if sform is None and qform is None:
        return Space(header.get_base_affine(), UNCODED)
    if sform is None or qform is None:
        return Space(qform, qcode) if sform is None else Space(sform, scode)
    if grid_distance(sform, qform, shape) <= SAME_PLACE_MM:
        return Space(sform, SCANNER if SCANNER in (scode, qcode) else scode)
    return Space(qform, qcode, sform) if qcode == SCANNER else Space(sform, scode, qform)


def _coded(read) -> tuple[np.ndarray | None, int]:
    """A matrix and its code; (None, 0) where it has none, or is no matrix."""
    try:
        matrix, code = read(coded=True)
    except (HeaderDataError, ValueError):
        return None, UNCODED
    is_usable = matrix is not None and np.isfinite(matrix).all() and np.linalg.det(matrix[:3, :3])
    return (matrix, code) if is_usable else (None, UNCODED)


def axes_of(affine: np.ndarray) -> np.ndarray:
    """Unit vectors (3, 3) along the voxel axes, one a column."""
    return affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)


def turn_deg(b0: np.ndarray, other: np.ndarray) -> float:
    """Angle in degrees between two directions; B0 and −B0 give the same dipole kernel, and count as one."""
    cosine = abs(float(np.dot(b0, other))) / float(np.linalg.norm(b0) * np.linalg.norm(other))
    return float(np.rad2deg(np.arccos(min(1.0, cosine))))


def grid_distance(affine: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> float:
    """Largest distance in mm between the corners of one grid under two affines."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape[:3]], [1])).reshape(4, -1)
    return float(np.linalg.norm(((affine - other) @ corners)[:3], axis=0).max())


def apart(space, other, shape: tuple[int, ...]) -> float:
    """Least distance in mm between the corners of two grids, over the matrices that each of them has."""
    ours, theirs = ([m for m in (image.affine, image.aligned) if m is not None] for image in (space, other))
    return min(grid_distance(one, two, shape) for one in ours for two in theirs)


def rounding_limit(affine: np.ndarray) -> float:
    """Distance in mm up to which two grids have the same voxels nearest: half of the smallest voxel side."""
    return float(np.linalg.norm(affine[:3, :3], axis=0).min()) / 2
