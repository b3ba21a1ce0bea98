"""Susceptibility in the mask and sources around it in one problem, and the ADMM that several inversions share.

    min over χ, c   ½ ‖W (D χ − f)‖² + λ ‖M ∇(χ − S c)‖₁ + ρ/2 ‖χ‖² outside the mask

W and M are 0 outside the mask. χ is free outside it on a grid with room around, so that sources there take what is harmonic in the mask; where the
field has nothing of that kind (`closed`) χ is 0 there. S c are the images that a magnitude explains (images.py). M ∇(χ − S c) is split off, and the step of
χ and c together is made by conjugate gradients, c in units of (number of voxels)^-½.
"""

import torch

from chiflow.core.dipole import dipole_kernel
from chiflow.core.fourier import inverse, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.core.gradient import gradient, gradient_adjoint
from chiflow.core.solvers import conjugate_gradient, soft_threshold
from chiflow.core.variation.images import GuideImages

PADDING = 1.25  # room for sources around the mask; the grid is periodic, so it lies on all sides
FULL_BOX, FULL_PADDING = 0.6, 1.5  # a mask that fills its box, a crop, reaches its periodic copy: NRMSE 27 % at 1.25, 13 % at 1.5, 12 % at 2
INNER_ITERATIONS = 6
LEAST_CHANGE = 0.005  # of χ in the mask in one iteration


def padding_for(mask: torch.Tensor) -> float:
    """Padding for a mask (X, Y, Z) in its box."""
    return FULL_PADDING if float(mask.float().mean()) > FULL_BOX else PADDING


class SourceProblem:
    """The masked data term of sources inside and outside the mask, on a periodic grid with room around it, and ∇ within the mask.

    inside : the mask, float. reliability : W as given. squared : W² as used. field : f. All tensors have the shape of the grid, the volume in its low corner.
    """

    def __init__(self, field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, padding: float):
        self.voxel_size, self.kept = geometry.voxel_size, tuple(slice(n) for n in field.shape)
        self.shape = padded_shape(geometry.shape, padding)
        self.dipole = dipole_kernel(geometry, self.shape, field.device)
        self.inside = self.placed(mask.float())
        self.reliability = self.inside if weight is None else self.placed(weight * mask)
        self.weigh(self.reliability)
        self.field = self.placed(field)
        self.both = torch.stack([self.inside * torch.roll(self.inside, -1, axis) for axis in range(3)])

    def placed(self, volume: torch.Tensor) -> torch.Tensor:
        """The volume (X, Y, Z) on the grid."""
        result = torch.zeros(self.shape, device=volume.device)
        result[self.kept] = volume
        return result

    def weigh(self, weight: torch.Tensor) -> None:
        """Take other weights W."""
        self.squared = weight**2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """D x in the volume, 0 around it."""
        return self.placed(self._seen(x))

    def adjoint(self, field: torch.Tensor) -> torch.Tensor:
        """Dᵀ of a field that is 0 around the volume."""
        return inverse(self.dipole * transform(field[self.kept], self.shape), self.shape, self.shape)

    def normal(self, x: torch.Tensor, squared: torch.Tensor) -> torch.Tensor:
        """Dᵀ W² D x."""
        return inverse(self.dipole * transform(squared[self.kept] * self._seen(x), self.shape), self.shape, self.shape)

    def _seen(self, x: torch.Tensor) -> torch.Tensor:
        return inverse(self.dipole * transform(x, self.shape), self.shape, tuple(part.stop for part in self.kept))

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """M ∇x."""
        return self.both * gradient(x, self.voxel_size)

    def slope_adjoint(self, g: torch.Tensor) -> torch.Tensor:
        """∇ᵀM g."""
        return gradient_adjoint(self.both * g, self.voxel_size)

    def fitted(self, where: torch.Tensor | float, start: torch.Tensor, iterations: int) -> torch.Tensor:
        """χ after conjugate gradient steps on the data term with sources where `where` is 1."""
        normal = lambda x: where * self.normal(x, self.squared)
        right = where * self.adjoint(self.squared * (self.field - self.forward(start)))
        return start + conjugate_gradient(normal, right, torch.zeros_like(start), iterations)[0]

    def power(self, values: torch.Tensor) -> float:
        """Weighted mean square."""
        return float((self.squared * values**2).sum() / self.squared.sum().clamp(min=1e-12))


class SourceSearch:
    """The state of ADMM: sources on the problem's grid, M ∇ of them split off, and the scaled dual; with a guide, c of what it explains.

    step : λ/ρ in ppm. closed : no sources outside the mask. inner : conjugate gradient steps of one iteration. relaxation : of ADMM, from 1 to 1.8.
    rounding : slopes in ppm below which the penalty is quadratic, Huber's function in place of | |.
    """

    def __init__(self, problem: SourceProblem, chi: torch.Tensor, step: float, images: GuideImages | None = None, *, closed: bool = False,
                 inner: int = INNER_ITERATIONS, relaxation: float = 1.0, rounding: float = 0.0):
        self.problem, self.step, self.images, self.inner, self.relaxation, self.rounding = problem, step, images, inner, relaxation, rounding
        self.where = problem.inside if closed else torch.ones_like(problem.inside)
        self.unknown = chi.flatten() if images is None else torch.cat([chi.flatten(), torch.zeros(images.scale.numel(), device=chi.device)])
        self.split = problem.slope(chi)
        self.dual = torch.zeros_like(problem.both)

    @property
    def chi(self) -> torch.Tensor:
        """All sources and S c, on the grid."""
        return sum(self._parts(self.unknown))

    @property
    def explained(self) -> torch.Tensor:
        """S c on the grid."""
        return self._parts(self.unknown)[1]

    def iterate(self, strength: float, squared: torch.Tensor, ridge: float = 0.0) -> bool:
        """One step with λ = strength (ppm), W² = squared and ridge ‖χ‖² outside the mask; whether χ in the mask has settled."""
        problem, penalty, free = self.problem, strength / self.step, ridge * (1 - self.problem.inside)
        rest, explained = self._parts(self.unknown)
        before, slope = rest + explained, problem.slope(rest)
        moved = self.relaxation * slope + (1 - self.relaxation) * self.split + self.dual
        self.split = soft_threshold(moved, self.step, self.rounding)
        self.dual = moved - self.split

        def normal(unknown: torch.Tensor) -> torch.Tensor:
            x, s = self._parts(unknown)
            return self._spread(problem.normal(x + s, squared), penalty * problem.slope_adjoint(problem.slope(x)) + free * x)

        left = problem.adjoint(squared * (problem.field - problem.forward(before)))
        right = self._spread(left, penalty * problem.slope_adjoint(self.split - self.dual - slope) - free * rest)
        self.unknown, _ = conjugate_gradient(normal, right, self.unknown, self.inner, residual=right)
        after = self.chi
        return bool((problem.inside * (after - before)).norm() <= LEAST_CHANGE * (problem.inside * after).norm())

    def _parts(self, unknown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sources = unknown[: self.problem.inside.numel()].reshape(self.problem.shape)
        if self.images is None:
            return sources, torch.zeros_like(sources)
        return sources, self.problem.placed(self.images.image(unknown[sources.numel() :]))

    def _spread(self, pulled: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
        """(sources, c) part of a gradient in χ, with a further one in the sources alone."""
        sources = (self.where * (pulled + rest)).flatten()
        return sources if self.images is None else torch.cat([sources, self.images.pulled(pulled[self.problem.kept])])
