"""Solvers on callables and tensors: they know no physics."""

from collections.abc import Callable, Iterator

import torch

Operator = Callable[[torch.Tensor], torch.Tensor]


def conjugate_gradient(normal: Operator, right: torch.Tensor, start: torch.Tensor, iterations: int, tolerance: float = 0.0) -> torch.Tensor:
    """x with normal(x) ≈ right for a symmetric positive `normal`; stops when |right − normal(x)| ≤ tolerance · |right|."""
    *_, x = conjugate_gradient_steps(normal, right, start, iterations, tolerance)
    return x


def conjugate_gradient_steps(normal: Operator, right: torch.Tensor, start: torch.Tensor, iterations: int, tolerance: float = 0.0) -> Iterator[torch.Tensor]:
    """The start and then the iterates of conjugate_gradient, one by one, for progress bars."""
    x = start
    residual = right - normal(x) if torch.any(x) else right.clone()
    direction, energy = residual.clone(), torch.sum(residual**2)
    bound = tolerance**2 * torch.sum(right**2)
    yield x
    for _ in range(iterations):
        if energy <= bound or energy == 0:
            return
        image = normal(direction)
        step = energy / torch.sum(direction * image)
        x = x + step * direction
        residual = residual - step * image
        previous, energy = energy, torch.sum(residual**2)
        direction = residual + (energy / previous) * direction
        yield x


def soft_threshold(values: torch.Tensor, threshold: float) -> torch.Tensor:
    """Proximal step of threshold · |values|₁."""
    return torch.sign(values) * torch.clamp(values.abs() - threshold, min=0)
