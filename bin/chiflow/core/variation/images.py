"""What a magnitude image can tell of χ: edges, never values.

The guide is a standardised magnitude (guide.py). The images that it explains are

    S c = Σ_b m_b(guide) c_b(x)

m_b tents around B grey values, so that Σ_b m_b = 1, and c_b smooth: given on control points 24 mm apart, linear between them. A tissue of one grey
value can have any χ, that changes slowly over the brain; S c has the guide's edges and no other. This is a bilateral grid.

Reference: Chen 2007 (10.1145/1276377.1276506) for the grid.
"""

import math

import torch

from chiflow.core.geometry import Geometry

GREY_VALUES = 10
LEAST_DISTANCE = 0.15  # of grey values, in standard deviations
CONTROL_MM = 24.0
FEW = 10.0  # voxels: what fewer see moves little
PART = 400_000  # numbers handled at a time: they stay in the cache


class GuideImages:
    """S and its adjoint for a guide on a mask; c : (B, I, J, K), 0 where a control point has no voxel near it."""

    def __init__(self, guide: torch.Tensor, mask: torch.Tensor, geometry: Geometry):
        values = grey_values(guide[mask > 0])
        place = torch.bucketize(guide, values).clamp(1, max(len(values) - 1, 1)) - 1
        tents = torch.zeros((len(values), *guide.shape), device=guide.device)
        if len(values) > 1:
            share = ((guide - values[place]) / (values[place + 1] - values[place])).clamp(0, 1)
            tents.scatter_(0, place[None], 1 - share[None]).scatter_(0, place[None] + 1, share[None])
        else:
            tents += 1
        self.tents = (tents * mask).transpose(0, 1).contiguous()
        self.axes = [linear(n, CONTROL_MM / v).to(guide.device) for n, v in zip(guide.shape, geometry.voxel_size)]
        self.part = max(PART // (self.tents[0].numel()), 1)
        counts = self.adjoint((mask > 0).float())
        self.scale = torch.where(counts > 0, (counts + FEW).rsqrt(), 0)

    def forward(self, c: torch.Tensor) -> torch.Tensor:
        """S c (X, Y, Z)."""
        x, y, z = self.axes
        along = torch.einsum("xi,bijk->xbjk", x, c)
        parts = [(tents * (y @ rows @ z.T)).sum(1) for tents, rows in zip(self.tents.split(self.part), along.split(self.part))]
        return torch.cat(parts)

    def adjoint(self, volume: torch.Tensor) -> torch.Tensor:
        """Sᵀ of a volume (X, Y, Z), (B, I, J, K)."""
        x, y, z = self.axes
        parts = [y.T @ (tents * part[:, None]) @ z for tents, part in zip(self.tents.split(self.part), volume.split(self.part))]
        return torch.einsum("xi,xbjk->bijk", x, torch.cat(parts))

    def image(self, scaled: torch.Tensor) -> torch.Tensor:
        """S c (X, Y, Z) of c in units of `scale`, flat."""
        return self.forward(self.scale * scaled.reshape(self.scale.shape))

    def pulled(self, volume: torch.Tensor) -> torch.Tensor:
        """The adjoint of `image`."""
        return (self.scale * self.adjoint(volume)).flatten()


def grey_values(guide: torch.Tensor) -> torch.Tensor:
    """Up to GREY_VALUES quantiles of the guide in the mask (N,), no two closer than LEAST_DISTANCE."""
    ranked = guide.sort().values
    kept = []
    for share in torch.linspace(0.01, 0.99, GREY_VALUES).tolist():
        value = float(ranked[int(share * (len(ranked) - 1))])
        if not kept or value - kept[-1] > LEAST_DISTANCE:
            kept.append(value)
    return torch.tensor(kept, device=guide.device)


def linear(voxels: int, spacing: float) -> torch.Tensor:
    """Weights (voxels, control points) of linear interpolation between control points about `spacing` voxels apart."""
    points = max(math.ceil(voxels / spacing), 1) + 1
    place = torch.arange(voxels) / max(voxels - 1, 1) * (points - 1)
    return (1 - (place[:, None] - torch.arange(points)).abs()).clamp(min=0)
