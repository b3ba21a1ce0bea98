"""What each vendor and export writes, as a table: which images, how their values are stored, and which tags tell them apart."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from chiflow.core.cli import choose
from chiflow.phantom.dicom import levels

PI_LEVEL = np.pi / (levels.LEVELS / 2)
GE_CREATOR, GE_KIND = (0x0043, 0x10, "GEMS_PARM_01"), 0x2F  # 0043,102F: 0 magnitude, 1 phase, 2 real, 3 imaginary


@dataclass(frozen=True)
class Images:
    """One kind of image of a scan: its folder, ImageType, stored values (X, Y, Z, E) and tags.

    `series` is added to the number of the first series, `echoes` are the places of the images among the echo times (all by default),
    `rescale` is (slope, intercept, type); `ge_kind` goes into GE's private tag.
    """

    name: str
    image_type: tuple[str, ...]
    values: Callable
    series: int = 0
    echoes: tuple[int, ...] | None = None
    rescale: tuple[float, float, str] | None = None
    ge_kind: int | None = None


@dataclass(frozen=True)
class Vendor:
    """An export: its images, and what holds for all of them.

    `bits` 16 are signed; `enhanced` is one multi-frame file a series and echo; `restart` numbers the instances of each echo from 1;
    `missing` are (echo, slice) that were lost; with `names_two_times` a converter finds TE1 and TE2; `coils` are written one by one.
    """

    images: tuple[Images, ...]
    manufacturer: str = "SIEMENS"
    software: str = "syngo MR E11"
    bits: int = 12
    enhanced: bool = False
    restart: bool = False
    missing: tuple[tuple[int, int], ...] = ()
    names_two_times: bool = False
    coils: int = 0


MAGNITUDE = Images("mag", ("ORIGINAL", "PRIMARY", "M", "ND"), levels.magnitude_levels)
PHASE = Images("pha", ("ORIGINAL", "PRIMARY", "P", "ND"), levels.phase_levels, 1, rescale=(2, -4096, "US"))
NORMALIZED = Images("norm", ("ORIGINAL", "PRIMARY", "M", "ND", "NORM"), levels.normalized_levels, 2)
DIFFERENCE = replace(PHASE, name="diff", values=levels.difference_levels, echoes=(1,))
PHILIPS_MAGNITUDE = replace(MAGNITUDE, image_type=("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"))
PHILIPS_PHASE = Images("pha", ("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"), levels.phase_levels, rescale=(PI_LEVEL, -np.pi, "rad"))
PHILIPS_MILLIRAD = replace(PHILIPS_PHASE, rescale=(1000 * PI_LEVEL, -1000 * np.pi, "mrad"))
GE_TYPE = ("ORIGINAL", "PRIMARY", "OTHER")
GE_IMAGES = (
    Images("mag", GE_TYPE, levels.ge_magnitude, ge_kind=0),
    Images("real", GE_TYPE, levels.ge_real, ge_kind=2),
    Images("imag", GE_TYPE, levels.ge_imaginary, ge_kind=3),
)
GE_HZ = Images("b0", ("DERIVED", "SECONDARY", "OTHER", "FIELDMAPHZ"), levels.hz_levels, 1, (0,), (1, 0, "Hz"))

SIEMENS = Vendor((MAGNITUDE, PHASE))
PHILIPS = Vendor((PHILIPS_MAGNITUDE, PHILIPS_PHASE), "Philips Medical Systems", "5.7.1")
GE = Vendor(GE_IMAGES, "GE MEDICAL SYSTEMS", "DV26.0", 16)
VENDORS = {
    "siemens": SIEMENS,
    "siemens-no-rescale": replace(SIEMENS, images=(MAGNITUDE, replace(PHASE, rescale=None)), names_two_times=True),
    "siemens-difference": replace(SIEMENS, images=(MAGNITUDE, DIFFERENCE), names_two_times=True),
    "siemens-norm": replace(SIEMENS, images=(MAGNITUDE, PHASE, NORMALIZED)),
    "siemens-repeated-numbers": replace(SIEMENS, restart=True),
    "siemens-missing-slices": replace(SIEMENS, missing=((1, 2), (1, 3))),
    "siemens-enhanced": replace(SIEMENS, software="syngo MR XA30", enhanced=True),
    "siemens-coils": replace(SIEMENS, coils=4),
    "philips": PHILIPS,
    "philips-1000": replace(PHILIPS, images=(PHILIPS_MAGNITUDE, PHILIPS_MILLIRAD)),
    "ge": GE,
    "ge-hz": replace(GE, images=(*GE_IMAGES, GE_HZ)),
}


def vendor_named(name: str) -> Vendor:
    """An entry of the table. Raises ChiflowError listing the names there are."""
    return choose(VENDORS, name, "vendor")
