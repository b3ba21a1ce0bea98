"""White matter is no isotropic source: directions of fibres, and the field of their
anisotropy.

Each voxel has fibres along two directions n, smooth over space, with shares w that add up to the density of
myelin ρ: bundles where one has all, crossings elsewhere. Their susceptibility is a tensor, whose isotropic part
is in χ; the rest is

    X = Δ Σ w (n nᵀ − 1/3)                                   Δ = χ∥ − χ⊥ of the voxel's tensor, 14 to 19 ppb
    f = ⅓ b·X b − F⁻¹ (k·b) (k·F X b) / |k|²

References: Liu 2010 (10.1002/mrm.22482) for the tensor, Wharton and Bowtell 2015 (10.1002/mrm.25189) for its
size beside that of the water's pools.
"""

from dataclasses import dataclass

import numpy as np
import torch

from chiflow.core.fourier import inverse, k_grid, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.phantom import waves
from chiflow.phantom.waves import Waves, draw_waves

PADDING = 1.5
TURN_MM, SHARE_MM, DENSITY_MM = (28.0, 90.0), (20.0, 60.0), (12.0, 40.0)  # wavelengths
SHARPNESS, DENSITY_SPREAD = 3.0, 0.2


@dataclass(frozen=True)
class Fibres:
    """Two unit directions (2, 3, X, Y, Z) in voxel axes and their shares (2, X, Y, Z), which add up to the
    density of myelin.
    """

    directions: torch.Tensor
    shares: torch.Tensor


@dataclass(frozen=True)
class FibreWaves:
    """What a head's fibres follow: three components of each of two directions, the share of the first, the
    log of their density.
    """

    directions: tuple[Waves, ...]
    share: Waves
    density: Waves


def draw_fibres(rng: np.random.Generator) -> FibreWaves:
    """The fibres of a head."""
    directions = tuple(draw_waves(rng, 24, *TURN_MM) for _ in range(6))
    return FibreWaves(directions, draw_waves(rng, 32, *SHARE_MM), draw_waves(rng, 32, *DENSITY_MM))


def fibres_on_grid(drawn: FibreWaves, white: np.ndarray, affine: np.ndarray, to_head: np.ndarray) -> Fibres:
    """Fibres of a white matter share (X, Y, Z) on a grid. affine : voxel to scanner coordinates, to_head :
    scanner to head coordinates, mm.
    """
    see = lambda one: waves.on_grid(one, to_head @ affine, white.shape)
    turned = np.linalg.inv(to_head[:3, :3] @ (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)))  # head to voxel axes
    directions = torch.empty((2, 3, *white.shape))
    for number in range(2):
        in_head = [torch.from_numpy(see(one)) for one in drawn.directions[3 * number : 3 * number + 3]]
        for axis in range(3):
            directions[number, axis] = sum(float(turned[axis, a]) * part for a, part in enumerate(in_head))
        directions[number] /= directions[number].norm(dim=0).clamp(min=1e-6)
    density = torch.from_numpy(white * np.exp(DENSITY_SPREAD * see(drawn.density)))
    first = torch.sigmoid(SHARPNESS * torch.from_numpy(see(drawn.share)))
    return Fibres(directions, torch.stack([density * first, density * (1 - first)]))


def anisotropic_field(fibres: Fibres, geometry: Geometry, difference_ppm: float) -> torch.Tensor:
    """f (X, Y, Z) in ppm; difference_ppm : Δ."""
    b = torch.tensor(geometry.b0)
    along = torch.einsum("naxyz,a->nxyz", fibres.directions, b)
    source = torch.einsum("nxyz,naxyz->axyz", fibres.shares * along, fibres.directions) - b[:, None, None, None] * fibres.shares.sum(0) / 3
    source = difference_ppm * source
    padded = padded_shape(geometry.shape, PADDING)
    k = k_grid(padded, geometry.voxel_size)
    kb = sum(axis * part for axis, part in zip(k, geometry.b0))
    flow = sum(axis * transform(part, padded) for axis, part in zip(k, source))
    square = sum(axis**2 for axis in k).clamp(min=1e-12)
    return torch.einsum("axyz,a->xyz", source, b) / 3 - inverse(kb * flow / square, padded, geometry.shape)
