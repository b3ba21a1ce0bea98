"""How the slab lies: words for its orientation, its tilt to B0, and the voxel axis of the readout."""

import numpy as np

OBLIQUE_DEG = 0.5  # less is rounding of the direction cosines
PLANES = ("sagittal", "coronal", "axial")
LPS = np.array([-1.0, -1.0, 1.0])


def placed(affine: np.ndarray, sidecar: dict) -> dict:
    """Orientation ("oblique axial"), TiltDegrees (angle of B0 to the nearest voxel axis), and ReadoutAxis (i, j, k) when it is known.

    The slice is the third voxel axis, or what ImageOrientationPatientDICOM says: a converter may have turned the axes.
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    directions = _in_plane(sidecar)
    normal = np.cross(*directions) if directions else axes[:, 2]
    plane = int(np.argmax(np.abs(normal)))
    oblique = max(_degrees(np.abs(axis).max()) for axis in axes.T)
    words = f"oblique {PLANES[plane]}" if oblique > OBLIQUE_DEG else PLANES[plane]
    facts = {"Orientation": words, "TiltDegrees": round(_degrees(np.abs(axes[2]).max()), 2)}
    readout = _readout(axes, directions, sidecar)
    return facts | ({"ReadoutAxis": readout} if readout else {})


def _in_plane(sidecar: dict) -> tuple[np.ndarray, np.ndarray] | None:
    """Unit vectors (right, anterior, superior) along the rows and the columns of the DICOM image."""
    cosines = sidecar.get("ImageOrientationPatientDICOM")
    if not isinstance(cosines, list) or len(cosines) != 6:
        return None
    rows, columns = np.array(cosines, float).reshape(2, 3) * LPS
    return rows, columns


def _readout(axes: np.ndarray, directions: tuple | None, sidecar: dict) -> str | None:
    """The in-plane axis that is not phase encoded."""
    encoded = sidecar.get("InPlanePhaseEncodingDirectionDICOM")
    if directions and encoded in ("ROW", "COL"):
        direction = directions[1 if encoded == "ROW" else 0]
        return "ijk"[int(np.argmax(np.abs(axes.T @ direction)))]
    axis = str(sidecar.get("PhaseEncodingDirection") or sidecar.get("PhaseEncodingAxis") or "")[:1]
    return {"i": "j", "j": "i"}.get(axis)


def _degrees(cosine: float) -> float:
    return float(np.rad2deg(np.arccos(min(1.0, float(cosine)))))
