"""How the slab lies: words for its orientation, its tilt to B0, and the voxel axis of the readout."""

import numpy as np

from chiflow.intake.direction import Direction, dicom_axes

OBLIQUE_DEG = 0.5  # less is rounding of the direction cosines
PLANES = ("sagittal", "coronal", "axial")


def placed(direction: Direction, sidecar: dict) -> dict:
    """Orientation ("oblique axial"), TiltDegrees (angle of B0 to the nearest voxel axis), and ReadoutAxis (i, j, k) when it is known.

    The slice is the third voxel axis, or what ImageOrientationPatientDICOM says: a converter may have turned the axes.
    """
    axes, dicom = direction.axes, dicom_axes(sidecar)
    normal = axes[:, 2] if dicom is None else dicom[:, 2]
    plane = int(np.argmax(np.abs(normal)))
    oblique = max(_degrees(np.abs(axis).max()) for axis in axes.T)
    words = f"oblique {PLANES[plane]}" if oblique > OBLIQUE_DEG else PLANES[plane]
    facts = {"Orientation": words, "TiltDegrees": round(_degrees(max(abs(component) for component in direction.b0)), 2)}
    readout = _readout(axes, dicom, sidecar)
    return facts | ({"ReadoutAxis": readout} if readout else {})


def _readout(axes: np.ndarray, dicom: np.ndarray | None, sidecar: dict) -> str | None:
    """The in-plane axis that is not phase encoded."""
    encoded = sidecar.get("InPlanePhaseEncodingDirectionDICOM")
    if dicom is not None and encoded in ("ROW", "COL"):
        direction = dicom[:, 1 if encoded == "ROW" else 0]
        return "ijk"[int(np.argmax(np.abs(axes.T @ direction)))]
    axis = str(sidecar.get("PhaseEncodingDirection") or sidecar.get("PhaseEncodingAxis") or "")[:1]
    return {"i": "j", "j": "i"}.get(axis)


def _degrees(cosine: float) -> float:
    return float(np.rad2deg(np.arccos(min(1.0, float(cosine)))))
