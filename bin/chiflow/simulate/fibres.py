"""White matter is no isotropic source: what its fibres add to the field of χ.

Each voxel of white matter has fibres along two directions n, smooth over space, with shares w and 1 − w: bundles where one has all, crossings
elsewhere. Their susceptibility is a tensor, whose isotropic part is in χ; the rest is

    X = Δ ρ Σ w (n nᵀ − 1/3)                                   ρ density of myelin, Δ = χ∥ − χ⊥
    f = ⅓ b·X b − F⁻¹ (k·b) (k·F X b) / |k|²

Water in the axon, between the sheaths and outside has frequencies of its own, so the field that a line fitted over the echoes finds is shifted:

    δ = −A ρ Σ w (sin²θ − s),      θ between n and b

References: Liu 2010 (10.1002/mrm.22482) for the tensor, Wharton and Bowtell 2012 (10.1073/pnas.1211075109) for the shift.
"""

import numpy as np
import torch

from chiflow.core.geometry import Geometry
from chiflow.phantom.fibres import Fibres
from chiflow.simulate.texture import wave

TURN_MM, SHARE_MM = 14.0, 10.0  # over which fibres turn, and bundles begin and end


def drawn_fibres(rng: np.random.Generator, white: torch.Tensor, geometry: Geometry) -> Fibres:
    """Fibres of a white matter share (X, Y, Z)."""
    shape, size = geometry.shape, geometry.voxel_size
    directions = torch.stack([torch.stack([wave(rng, shape, size, TURN_MM) for _ in range(3)]) for _ in range(2)])
    directions = directions / directions.norm(dim=1, keepdim=True).clamp(min=1e-6)
    density = white * torch.exp(0.25 * wave(rng, shape, size, 8.0))
    first = torch.sigmoid(3 * wave(rng, shape, size, SHARE_MM))
    return Fibres(directions, torch.stack([density * first, density * (1 - first)]))


def pools_shift(fibres: Fibres, geometry: Geometry, size_ppm: float, zero: float) -> torch.Tensor:
    """δ (X, Y, Z) in ppm; size_ppm : A, zero : s, the sin²θ at which the pools agree."""
    along = torch.einsum("naxyz,a->nxyz", fibres.directions, torch.tensor(geometry.b0))
    return -size_ppm * (fibres.shares * (1 - along**2 - zero)).sum(0)
