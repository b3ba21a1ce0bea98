"""Five contrasts of a held-out head at 1 mm, to validate and compare brain masks on. Nothing here is seen in training."""

from pathlib import Path

import nibabel
import numpy as np
from heads import KINDS, kinds_of
from scipy.ndimage import gaussian_filter

BASE = {"white_matter": 0.8, "cerebral_cortex": 1, "cerebellar_cortex": 0.95, "hippocampus": 1, "thalamus": 0.85, "caudate": 0.85, "putamen": 0.8, "pallidum": 0.65,
        "ventral_dc": 0.75, "brainstem": 0.8, "ventricle": 1.1, "csf_inside": 1.1, "csf": 1.1, "vessel_inside": 0.9, "vein": 0.9, "artery": 1.2, "cord": 0.8, "eye": 1,
        "muscle": 0.7, "fat": 1, "eye_muscle": 0.7, "mucosa": 0.9, "skin": 0.9, "bone": 0.06, "marrow": 0.5, "sinus": 0, "air": 0}
T1 = BASE | {"white_matter": 1.0, "cerebral_cortex": 0.75, "cerebellar_cortex": 0.75, "ventricle": 0.3, "csf_inside": 0.3, "csf": 0.3, "fat": 1.5, "skin": 1.3, "eye": 0.35}
LATE = BASE | {"white_matter": 0.6, "cerebral_cortex": 0.75, "ventricle": 1.3, "csf_inside": 1.3, "csf": 1.3, "pallidum": 0.25, "muscle": 0.3, "fat": 0.5, "skin": 0.4,
               "vein": 0.2, "vessel_inside": 0.2, "marrow": 0.1}
CONTRASTS = {  # means, drop-out near sinuses, brightness towards the coil, noise
    "proton density": (BASE, 1.0, 0.0, 0.03), "T1": (T1, 1.0, 0.1, 0.03), "T2*": (LATE, 5.0, 0.0, 0.04),
    "surface coil": (BASE, 2.0, 0.9, 0.03), "noisy": (T1, 2.0, 0.2, 0.12),
}


def head_at_1_mm(labels: Path, subject: int) -> np.ndarray:
    """KINDS (X, Y, Z) of a head in RAS order with 6 mm of air around it."""
    image = nibabel.as_closest_canonical(nibabel.load(labels / f"training_seg_{subject:02d}.nii.gz"))
    return np.pad(kinds_of(np.asarray(image.dataobj).astype(np.int64)), 6, constant_values=len(KINDS) - 1)


def synthetic(kinds: np.ndarray, contrast: str, seed: int) -> np.ndarray:
    """Magnitude (X, Y, Z) at 1 mm of a map of KINDS."""
    means, dropout, receive, noise = CONTRASTS[contrast]
    rng = np.random.default_rng(seed)
    image = np.array([means[name] for name in KINDS], np.float32)[kinds]
    image *= 1 + 0.04 * gaussian_filter(rng.standard_normal(kinds.shape, dtype=np.float32), 1) * 6
    axes = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in kinds.shape], indexing="ij", sparse=True)
    sinus = gaussian_filter((kinds == list(KINDS).index("sinus")).astype(np.float32), 7)
    image *= np.exp(receive * (sum(a**2 for a in axes) - 0.5) - dropout * sinus + 0.15 * (axes[0] + axes[1] * axes[2]))
    image = gaussian_filter(image, 0.5)
    return np.hypot(image + noise * rng.standard_normal(image.shape, dtype=np.float32), noise * rng.standard_normal(image.shape, dtype=np.float32))
