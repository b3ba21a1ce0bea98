"""Whether the head moved between echoes: each echo's magnitude beside the decay that all of them follow.

    ln M_k − (a − R2* TE_k)  =  −(1 − h_k) (t + ω × x) · ∇ ln M + c

for a small rigid displacement t + ω × x of echo k against the others; a and R2* by least squares over the echoes, h_k the leverage of echo k in
it. Least squares over the voxels for t, ω and c. Contrast that is no motion leaves a displacement, too, but one that explains little of the change
(measured: 34 % and more for half a voxel, 6 % at most in a sphere with ringing): that counts as none.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

SMOOTHING_VOXELS = 1.0
LEAST_SHARE = 0.05  # of the 95th percentile of the first echo; what is darker has no edge to follow
MOST_LOG = 0.7  # a voxel that is off by more than a factor of 2 is no displaced edge
LEAST_EXPLAINED = 0.1


def displacement_voxels(magnitude: np.ndarray, mask: np.ndarray, times: np.ndarray) -> float:
    """Largest root mean square displacement of an echo in the mask, in voxels.

    magnitude : (X, Y, Z, E), E ≥ 3. mask : (X, Y, Z) bool. times : (E,) s.
    """
    logs = [np.log(np.maximum(gaussian_filter(magnitude[..., e], SMOOTHING_VOXELS), np.float32(1e-12))) for e in range(len(times))]
    dark = np.log(LEAST_SHARE * np.percentile(magnitude[..., 0][mask], 95))
    inside = mask & (logs[-1] > dark)
    if np.count_nonzero(inside) < 100:
        return 0.0
    slopes = np.stack([np.gradient(logs[0], axis=axis)[inside] for axis in range(3)])
    places = np.argwhere(inside).T - np.array(mask.shape)[:, None] / 2
    values = np.stack([log[inside] for log in logs])
    design = np.stack([np.ones(len(times)), times], axis=1)
    hat = design @ np.linalg.pinv(design)
    rest = values - hat @ values
    moved = [_displacement(rest[k], slopes, places) for k in range(len(times))]
    worst = int(np.argmax(moved))
    return moved[worst] / float(1 - hat[worst, worst])


def _displacement(change: np.ndarray, slopes: np.ndarray, places: np.ndarray) -> float:
    """Root mean square of the rigid displacement that explains a change of ln M (N,), in voxels; 0 when it explains too little of it."""
    kept = np.abs(change - np.median(change)) < MOST_LOG
    g, x, change = (values[..., kept].astype(np.float64) for values in (slopes, places, change))
    design = np.concatenate([-g, -np.cross(x, g, axis=0), np.ones((1, g.shape[1]))])
    t_omega = np.linalg.lstsq(design @ design.T, design @ change, rcond=None)[0]
    if ((change - t_omega @ design) ** 2).sum() > (1 - LEAST_EXPLAINED) * ((change - change.mean()) ** 2).sum():
        return 0.0
    moved = t_omega[:3, None] + np.cross(t_omega[3:6], x, axisa=0, axisb=0, axisc=0)
    return float(np.sqrt((moved**2).sum(axis=0).mean()))
