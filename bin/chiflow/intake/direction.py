"""Where B0 points, in voxel axes: it is the third axis of the scanner, and only some matrices of a header
lead there.

    --b0  ›  the matrix coded scanner  ›  ImageOrientationPatientDICOM of the sidecar  ›  the matrix or the
    grid that there is, with a warning

DICOM's rows and columns are the first two voxel axes as dcm2niix writes them: row, −column, normal; a 3D scan
is turned to right, anterior, superior. Where the header has a matrix to another space, it tells which voxel
axis is which, as long as it turns by less than 40°.
"""

from dataclasses import dataclass, field

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import Image
from chiflow.core.spaces import SAME_TURN_DEG, SCANNER, UNCODED, axes_of, turn_deg

LPS = np.array([-1.0, -1.0, 1.0])
LEAST_COSINE = 0.766  # of 40°: farther off, which axis is which is not clear
ORTHOGONAL = 1e-2
TILTED = "; where that is not so, give --b0"


@dataclass(frozen=True)
class Direction:
    """b0 in voxel axes; axes (3, 3), unit vectors (right, anterior, superior) along the voxel axes; where
    they come from, and what is not sure.
    """

    b0: tuple[float, float, float]
    axes: np.ndarray
    source: str
    warnings: list[str] = field(default_factory=list)


def direction_of(grid: Image, sidecar: dict, b0: tuple[float, float, float] | None = None) -> Direction:
    """B0 of a grid with its sidecar; `b0` is the user's own word. Raises ChiflowError when that is no
    direction.
    """
    header, told = axes_of(grid.affine), by_sidecar(grid, sidecar)
    if b0 is not None:
        return Direction(b0, header if told is None else told, "--b0")
    if grid.code == SCANNER:
        return _coded(grid, header, told)
    if told is not None:
        return Direction(tuple(told[2]), told, "ImageOrientationPatientDICOM")
    other = f"has a matrix, but none to the scanner's axes (its code is {grid.code})"
    why = f"the header {'has no matrix' if grid.code == UNCODED else other}, and no sidecar tells the orientation"
    guessed = ", ".join(f"{component:.3g}" for component in header[2])
    text = f"{grid.path.name}: {why}: B0 is taken to be ({guessed}) in voxel axes{TILTED}"
    return Direction(tuple(header[2]), header, "assumed", [text])


def _coded(grid: Image, header: np.ndarray, told: np.ndarray | None) -> Direction:
    """The scanner's matrix, and a warning when another word speaks against it."""
    other = None if grid.aligned is None else axes_of(grid.aligned)
    warnings = []
    for name, axes in (("its other matrix", other), ("ImageOrientationPatientDICOM", told)):
        if axes is not None and (turn := turn_deg(axes[2], header[2])) > SAME_TURN_DEG:
            text = f"B0 is that of the header's scanner matrix; {name} turns it by {turn:.1f}°{TILTED}"
            warnings.append(f"{grid.path.name}: {text}")
    return Direction(tuple(header[2]), header, "matrix of the scanner", warnings)


def by_sidecar(grid: Image, sidecar: dict) -> np.ndarray | None:
    """Unit vectors along the voxel axes as ImageOrientationPatientDICOM has them, (3, 3); None where it is
    not there or not clear.
    """
    dicom = dicom_axes(sidecar)
    if dicom is None:
        return None
    if grid.code != UNCODED:
        return _assigned(dicom, axes_of(grid.affine))
    native, turned = dicom * [1, -1, 1], _assigned(dicom, np.eye(3))
    kind = str(sidecar.get("MRAcquisitionType", "")).upper()
    if kind in ("2D", "3D"):
        return native if kind == "2D" else turned
    return native if turned is not None and turn_deg(native[2], turned[2]) <= SAME_TURN_DEG else None


def dicom_axes(sidecar: dict) -> np.ndarray | None:
    """Unit vectors (right, anterior, superior) along rows, columns and normal of the DICOM image, one a
    column.
    """
    cosines = sidecar.get("ImageOrientationPatientDICOM")
    if not isinstance(cosines, list) or len(cosines) != 6 or not all(isinstance(value, int | float) for value in cosines):
        return None
    rows, columns = np.array(cosines, float).reshape(2, 3) * LPS
    axes = np.stack([rows, columns, np.cross(rows, columns)], axis=1)
    return axes if np.abs(axes.T @ axes - np.eye(3)).max() < ORTHOGONAL else None


def _assigned(dicom: np.ndarray, near: np.ndarray) -> np.ndarray | None:
    """The axes of DICOM (3, 3) in the order and with the signs of others that lie near them; None where it is
    not clear which is which.
    """
    cosines = near.T @ dicom
    order = np.abs(cosines).argmax(axis=1)
    chosen = cosines[range(3), order]
    clear = len(set(order)) == 3 and np.abs(chosen).min() >= LEAST_COSINE
    return dicom[:, order] * np.sign(chosen) if clear else None


def parsed_b0(text: str) -> tuple[float, float, float]:
    """B0 from three numbers, "0,0.5,0.87". Raises ChiflowError when they are no direction."""
    try:
        i, j, k = (float(word) for word in text.split(","))
    except ValueError as error:
        raise ChiflowError(f"--b0 '{text}': three numbers are expected, B0 along the voxel axes i, j and k, as 0,0.5,0.87") from error
    length = float(np.hypot(np.hypot(i, j), k))
    if not np.isfinite(length) or length < 1e-6:
        raise ChiflowError(f"--b0 '{text}' is not a direction")
    return i / length, j / length, k / length
