"""What the network sees of a scan: the field, and maps of χ that need no learning, each in units of the field's root mean square.

    chi         structure and texture (decomposition.py), which the network corrects           structure   s − χ
    sharp       D / (D² + 0.001 (1 + κ²)) f − χ: all detail, and all noise            field       f
    unseen      0.02 / (D² + 0.02) χ: what the field hardly shows of χ
    misfit      f − D χ                                                               pulled      D W² (f − D χ)
    noise       0.02 / W                                                              level       misfit of χ, one number
    guide       magnitude, standardised                                               mask, rim   exp(−depth / 5 mm)

How large the noise is the network learns from the misfit alone: told that σ is large it takes the misfit for white noise, and trusts the rest of the field
more than one in vivo deserves. The kernel D of the scan's own voxels and B0 made all of them, so the network need not know a kernel. χ of the network times the unit is χ in ppm:
(c f, c σ) gives c χ, whatever the network is.
"""

from dataclasses import dataclass, replace

import torch

from chiflow.core.depth import depth_mm
from chiflow.core.dipole import DipoleOperator
from chiflow.core.fourier import filtered, k_grid
from chiflow.core.geometry import Geometry
from chiflow.core.variation.guide import standardised
from chiflow.invert.decomposition import MARGIN_MM, PADDING, decomposed

SHARP, UNSEEN = 0.001, 0.02
NOISE_SHARE = 0.02
RIM_MM = 5.0
SCALES = {"chi": 1 / 3, "structure": 1 / 2, "sharp": 1 / 3, "unseen": 1 / 2, "field": 1.0, "misfit": 2.0, "pulled": 8.0, "noise": 2.0, "guide": 0.5, "mask": 1.0, "rim": 1.0,
          "level": 2.0}  # so that each is about 1
NAMES = tuple(SCALES)
SIGNED = ("chi", "structure", "sharp", "unseen", "field", "misfit", "pulled")


@dataclass(frozen=True)
class Start:
    """volumes (NAMES, X, Y, Z) as scaled, on the volume of the mask; rms_ppm : the unit; misfit_share : of χ, over rms f."""

    geometry: Geometry
    volumes: torch.Tensor
    rms_ppm: float
    misfit_share: float

    def volume(self, name: str) -> torch.Tensor:
        """A volume (X, Y, Z) of NAMES in its own unit."""
        return self.volumes[NAMES.index(name)] / SCALES[name]

    @property
    def mask(self) -> torch.Tensor:
        """The mask (X, Y, Z), float."""
        return self.volumes[NAMES.index("mask")]


def started(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float,
            magnitude: torch.Tensor | None) -> Start:
    """The start for a field (ppm), a mask (bool), W and a magnitude in any unit, or None; tensors (X, Y, Z)."""
    inside = mask.float()
    weight = inside if weight is None else weight * inside
    found = decomposed(field, mask, geometry, weight, sigma_ppm)
    unit = field * inside / found.rms_ppm
    dipole = DipoleOperator(geometry, PADDING, field.device, MARGIN_MM)
    kappa_squared = (2 * torch.pi) ** 2 * sum(k**2 for k in k_grid(dipole.padded, geometry.voxel_size, field.device))
    sharp = filtered(unit, dipole.kernel / (dipole.kernel**2 + SHARP * (1 + kappa_squared)), dipole.padded) * inside
    unseen = filtered(found.chi, UNSEEN / (dipole.kernel**2 + UNSEEN), dipole.padded) * inside
    guided = magnitude is not None and bool(magnitude.any())
    volumes = {
        "chi": found.chi, "structure": found.structure - found.chi, "sharp": sharp - found.chi, "unseen": unseen, "field": unit, "misfit": found.misfit,
        "pulled": dipole.adjoint(weight.clamp(max=2) ** 2 * found.misfit) * inside, "noise": NOISE_SHARE / weight.clamp(min=0.1) * inside,
        "guide": standardised(magnitude, mask, geometry) * inside if guided else torch.zeros_like(unit), "mask": inside,
        "rim": torch.exp(-depth_mm(mask, geometry) / RIM_MM) * inside, "level": found.misfit_share * inside,
    }
    return Start(geometry, torch.stack([SCALES[name] * volumes[name] for name in NAMES]), found.rms_ppm, found.misfit_share)


def turned(start: Start, flips: tuple[int, ...] = (), sign: float = 1.0, order: tuple[int, int, int] = (0, 1, 2), contrast: float = 1.0) -> Start:
    """The same scan with its axes in another order, then some of them flipped, and the sign of field and χ, and of the guide, changed."""
    signs = torch.tensor([sign if name in SIGNED else contrast if name == "guide" else 1.0 for name in NAMES], device=start.volumes.device)
    volumes = start.volumes.permute(0, *(axis + 1 for axis in order)).flip(tuple(axis + 1 for axis in flips))
    return replace(start, geometry=start.geometry.turned(order, flips), volumes=volumes * signs[:, None, None, None])
