"""NDI, nonlinear dipole inversion: the fit is made to the complex signal, which a wrong field cannot pull far.

    min over χ   1/(2 s²) ‖W (exp(i s D χ) − exp(i s f))‖² + λ/2 ‖χ‖²,      s = 0.2 / rms f,      λ = 0.089 σ² / max(rms² f − σ², 0.1 rms² f)

    gradient = D W² sin(s (D χ − f)) / s + λ χ,      σ² = σ_noise² + (0.15 rms f)²,      0.089 = mean of D²

s in rad/ppm stands for 2π f₀ TE: the phase of the field at an echo where its root mean square is 0.2 rad, 16 ms at 3 T and 10 ppb. Where the
residual is small sin(s r) / s = r; a residual above π / 2s, 8 rms f, pulls less the larger it is. Conjugate gradients (Polak–Ribière, exact step of
the linearised term) stop when χ changes little, before the cone of D = 0 fills with noise. λ is what the Wiener filter has for a white χ.
All rules scale with the field, so χ is homogeneous in (f, σ).

Reference: Polak 2020 (10.1002/nbm.4271).
"""

import torch

from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress
from chiflow.core.variation.misfit import MEAN_D2
from chiflow.invert.problem import RIM, MaskedProblem
from chiflow.invert.result import Susceptibility

PHASE_RAD = 0.2
MODEL_ERROR = 0.15
ITERATIONS = 60
LEAST_CHANGE = 0.01  # of χ in one iteration


def ndi(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
        magnitude: torch.Tensor | None = None, *, ridge: float | None = None, phase_rad: float = PHASE_RAD,
        iterations: int = ITERATIONS) -> Susceptibility:
    """χ in ppm with λ.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field. ridge : λ, by the rule when None.
    phase_rad : s · rms f. iterations : at most. `magnitude` is not used.
    """
    problem = MaskedProblem(field, mask, geometry, weight)
    sigma2 = sigma_ppm**2 + MODEL_ERROR**2 * problem.power
    if ridge is None:
        ridge = MEAN_D2 * sigma2 / max(problem.power - sigma2, 0.1 * problem.power, 1e-20)
    scale = phase_rad / max(problem.power, 1e-20) ** 0.5
    chi, residual, used = descended(problem, scale, ridge, iterations)
    left = float((problem.squared * residual**2).sum() / problem.squared.sum().clamp(min=1e-12)) ** 0.5
    return Susceptibility(chi[RIM] * mask, {"Lambda": ridge, "ScaleRadPerPpm": scale, "Iterations": used, "ResidualPpm": left})


def descended(problem: MaskedProblem, scale: float, ridge: float, iterations: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    """χ and f − D χ in the rim, and the iterations it took; scale : s in rad/ppm."""
    chi, residual = torch.zeros_like(problem.field), problem.field
    descent = direction = problem.inside * problem.forward(problem.squared * torch.sin(scale * residual) / scale)
    for used in progress(range(1, iterations + 1), "NDI"):
        image = problem.forward(direction)
        curvature = (problem.squared * image**2).sum() + ridge * (direction**2).sum()
        step = (descent * direction).sum() / curvature.clamp(min=1e-30)
        chi, residual = chi + step * direction, residual - step * image
        if (step * direction).norm() <= LEAST_CHANGE * chi.norm():
            break
        previous = descent
        descent = problem.inside * problem.forward(problem.squared * torch.sin(scale * residual) / scale) - ridge * chi
        turned = (descent * (descent - previous)).sum() / (previous**2).sum().clamp(min=1e-30)
        direction = descent + turned.clamp(min=0) * direction
    return chi, residual, used
