"""Finite differences on the voxel grid.

    (∇x)_a = (x shifted by one voxel along a − x) · v̄ / v_a,     v̄ = (v1 v2 v3)^⅓

0 at the far border. Scaling by the voxel size makes the gradient one of space, not of voxels; v̄ keeps it in the unit of x.
"""

import torch


def scales(voxel_size: tuple[float, ...]) -> list[float]:
    """v̄ / v_a for each axis."""
    mean = (voxel_size[0] * voxel_size[1] * voxel_size[2]) ** (1 / 3)
    return [mean / v for v in voxel_size]


def gradient(x: torch.Tensor, voxel_size: tuple[float, ...]) -> torch.Tensor:
    """∇x : (3, X, Y, Z) of x : (X, Y, Z)."""
    result = torch.zeros((3, *x.shape), dtype=x.dtype, device=x.device)
    for axis, scale in enumerate(scales(voxel_size)):
        result[axis].narrow(axis, 0, x.shape[axis] - 1).copy_(torch.diff(x, dim=axis) * scale)
    return result


def gradient_adjoint(g: torch.Tensor, voxel_size: tuple[float, ...]) -> torch.Tensor:
    """∇ᵀg : (X, Y, Z) of g : (3, X, Y, Z)."""
    result = torch.zeros_like(g[0])
    for axis, scale in enumerate(scales(voxel_size)):
        size = g.shape[axis + 1]
        steps = g[axis].narrow(axis, 0, size - 1) * scale
        result.narrow(axis, 0, size - 1).sub_(steps)
        result.narrow(axis, 1, size - 1).add_(steps)
    return result
