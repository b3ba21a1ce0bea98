"""TFI, total field inversion: background and brain in one problem, so that neither takes what belongs to the other.

    min over χ everywhere   ½ ‖W (D χ − f)‖² + λ ‖M ∇χ‖₁,      λ = 0.09 σ,   σ² = σ_noise² + (0.1 rms f_l)²

f is the total field, W and M are 0 outside the mask, χ is free on a grid with room around it. The sources outside are a hundred times
stronger than those inside; with the paper's preconditioner of 30 on them NRMSE is still 58 % after 135 steps (2 mm). Here they go first and
alone (60 steps; f_l = f − D χ_outside then has the size of a local field), then 20 steps on everything, both by conjugate gradients, whose early end
regularises what is outside; then ADMM with M ∇χ split off, penalty ρ = λ / (3 rms f_l). χ is homogeneous in (f, σ).

Reference: Liu 2017 (10.1002/mrm.26331).
"""

import torch

from chiflow.core.dipole import dipole_kernel
from chiflow.core.fourier import inverse, padded_shape, transform
from chiflow.core.geometry import Geometry
from chiflow.core.gradient import gradient, gradient_adjoint
from chiflow.core.progress import progress
from chiflow.core.solvers import conjugate_gradient, soft_threshold
from chiflow.invert.guide import GuideImages
from chiflow.invert.result import Susceptibility

PADDING = 1.25  # room for sources around the mask; the grid is periodic, so it lies on all sides
LAMBDA_PER_SIGMA = 0.09
MODEL_ERROR = 0.1
OUTSIDE_ITERATIONS = 60
START_ITERATIONS = 20
ITERATIONS = 25
INNER_ITERATIONS = 6
STEP_PER_FIELD = 3.0  # λ/ρ in units of the local field's root mean square
LEAST_CHANGE = 0.005  # of χ in the mask in one iteration


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


def tfi(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
        magnitude: torch.Tensor | None = None, *, lambda_ppm: float | None = None, padding: float = PADDING,
        iterations: int = ITERATIONS) -> Susceptibility:
    """χ in ppm with λ, of the total field.

    field : (X, Y, Z) ppm, background not removed. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field. lambda_ppm : λ,
    by the rule when None. padding : of the field of view. iterations : of ADMM, at most. `magnitude` is not used.
    """
    problem = SourceProblem(field, mask, geometry, weight, padding)
    outside = problem.fitted(1 - problem.inside, torch.zeros_like(problem.field), OUTSIDE_ITERATIONS)
    local = problem.power(problem.field - problem.forward(outside))
    sigma2 = sigma_ppm**2 + MODEL_ERROR**2 * local
    strength = LAMBDA_PER_SIGMA * sigma2**0.5 if lambda_ppm is None else lambda_ppm
    start = problem.fitted(1.0, outside, START_ITERATIONS)
    search = SourceSearch(problem, start, STEP_PER_FIELD * max(local, 1e-20) ** 0.5)
    for used in progress(range(1, iterations + 1), "TFI"):
        if search.iterate(strength, problem.squared):
            break
    chi = search.chi
    background = problem.forward((1 - problem.inside) * chi)
    left = problem.power(problem.field - background - problem.forward(problem.inside * chi)) ** 0.5
    parameters = {"LambdaPpm": strength, "SigmaPpm": sigma2**0.5, "Iterations": used, "ResidualPpm": left}
    return Susceptibility(chi[problem.kept] * mask, parameters, background[problem.kept] * mask)


class SourceSearch:
    """The state of ADMM: sources on the problem's grid, M ∇ of them split off, and the scaled dual; with a guide, c of what it explains (guide.py).

    step : λ/ρ in ppm. chi : sources and S c, on the grid.
    """

    def __init__(self, problem: SourceProblem, chi: torch.Tensor, step: float, images: GuideImages | None = None):
        self.problem, self.step, self.images = problem, step, images
        self.unknown = chi.flatten() if images is None else torch.cat([chi.flatten(), torch.zeros(images.scale.numel(), device=chi.device)])
        self.dual = torch.zeros_like(problem.both)

    @property
    def chi(self) -> torch.Tensor:
        """All sources."""
        return sum(self._parts(self.unknown))

    def iterate(self, strength: float, squared: torch.Tensor, ridge: float = 0.0) -> bool:
        """One step with λ = strength (ppm), W² = squared and ridge ‖χ‖² outside the mask; whether χ in the mask has settled."""
        problem, penalty, free = self.problem, strength / self.step, ridge * (1 - self.problem.inside)
        rest, explained = self._parts(self.unknown)
        before, slope = rest + explained, problem.slope(rest)
        moved = slope + self.dual
        split = soft_threshold(moved, self.step)
        self.dual = moved - split

        def normal(unknown: torch.Tensor) -> torch.Tensor:
            x, s = self._parts(unknown)
            return self._spread(problem.normal(x + s, squared), penalty * problem.slope_adjoint(problem.slope(x)) + free * x)

        left = problem.adjoint(squared * (problem.field - problem.forward(before)))
        right = self._spread(left, penalty * problem.slope_adjoint(split - self.dual - slope) - free * rest)
        self.unknown, _ = conjugate_gradient(normal, right, self.unknown, INNER_ITERATIONS, residual=right)
        after = self.chi
        return bool((problem.inside * (after - before)).norm() <= LEAST_CHANGE * (problem.inside * after).norm())

    def _parts(self, unknown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Sources, and S c on the grid."""
        sources = unknown[: self.problem.inside.numel()].reshape(self.problem.shape)
        if self.images is None:
            return sources, 0.0
        return sources, self.problem.placed(self.images.image(unknown[sources.numel() :]))

    def _spread(self, pulled: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
        """(sources, c) part of a gradient in χ, with a further one in the sources alone."""
        if self.images is None:
            return (pulled + rest).flatten()
        return torch.cat([(pulled + rest).flatten(), self.images.pulled(pulled[self.problem.kept])])
