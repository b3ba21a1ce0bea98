"""Solvers on callables and tensors: they know no physics."""

from collections.abc import Callable, Iterator

import torch

Operator = Callable[[torch.Tensor], torch.Tensor]


def conjugate_gradient(normal: Operator, right: torch.Tensor, start: torch.Tensor, iterations: int, tolerance: float = 0.0,
                       residual: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """x with normal(x) ≈ right for a symmetric positive `normal`, and its residual right − normal(x).

    Stops after `iterations`, or when |residual| ≤ tolerance · |right|. residual : of the start, when it is known already.
    """
    *_, last = conjugate_gradient_steps(normal, right, start, iterations, tolerance, residual)
    return last


def conjugate_gradient_steps(normal: Operator, right: torch.Tensor, start: torch.Tensor, iterations: int, tolerance: float = 0.0,
                             residual: torch.Tensor | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The start and then the iterates of conjugate_gradient with their residuals, one by one, for progress bars."""
    x = start
    if residual is None:
        residual = right - normal(x) if torch.any(x) else right
    direction, energy = residual, torch.sum(residual**2)
    bound = tolerance**2 * torch.sum(right**2)
    yield x, residual
    for _ in range(iterations):
        if energy <= bound or energy == 0:
            return
        image = normal(direction)
        step = energy / torch.sum(direction * image)
        x = x + step * direction
        residual = residual - step * image
        previous, energy = energy, torch.sum(residual**2)
        direction = residual + (energy / previous) * direction
        yield x, residual


def soft_threshold(values: torch.Tensor, threshold: float, rounding: float = 0.0) -> torch.Tensor:
    """Proximal step of threshold · |values|₁; with a rounding of Huber's function, |v| − rounding / 2, and v² / (2 rounding) where |v| < rounding."""
    return values - torch.clamp(values * (threshold / (threshold + rounding)) if rounding else values, -threshold, threshold)
