"""What tissues are made of: χ in ppm relative to soft tissue, M0, R2* in 1/s at 3 T, and the label of each.

χ after Langkammer 2012, Deistung 2013 and Marques 2021 (10.1002/mrm.28716), as means over adults.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tissue:
    """label (0 … 255), χ (ppm), M0 (1) and R2* (1/s, 3 T)."""

    label: int
    chi_ppm: float
    m0: float
    r2star: float


AIR_PPM = 9.4

TISSUES = {
    "air": Tissue(0, AIR_PPM, 0.0, 0.0),
    "soft_tissue": Tissue(1, 0.0, 0.62, 28.0),
    "fat": Tissue(2, -0.5, 0.95, 22.0),
    "bone": Tissue(3, -2.1, 0.06, 500.0),
    "marrow": Tissue(4, -0.5, 0.55, 60.0),
    "csf": Tissue(5, 0.019, 0.98, 2.0),
    "grey_matter": Tissue(6, 0.020, 0.82, 16.0),
    "white_matter": Tissue(7, -0.030, 0.71, 20.0),
    "ventricle": Tissue(8, 0.019, 0.98, 2.0),
    "caudate": Tissue(9, 0.044, 0.80, 22.0),
    "putamen": Tissue(10, 0.038, 0.79, 28.0),
    "pallidum": Tissue(11, 0.131, 0.72, 40.0),
    "thalamus": Tissue(12, 0.020, 0.78, 20.0),
    "red_nucleus": Tissue(13, 0.100, 0.74, 33.0),
    "substantia_nigra": Tissue(14, 0.111, 0.73, 40.0),
    "dentate": Tissue(15, 0.152, 0.76, 30.0),
    "vein": Tissue(16, 0.300, 0.78, 45.0),
    "eye": Tissue(17, 0.010, 0.98, 3.0),
}

IN_VIVO_PPM = {"grey_matter": 0.012, "white_matter": -0.019, "csf": 0.012, "ventricle": 0.012, "vein": 0.27}  # where texture and layers carry the rest
WHITE, FLUIDS = (TISSUES["white_matter"].label,), (TISSUES["csf"].label, TISSUES["ventricle"].label)

BRAIN = ("grey_matter", "white_matter", "caudate", "putamen", "pallidum", "thalamus", "red_nucleus", "substantia_nigra", "dentate")
