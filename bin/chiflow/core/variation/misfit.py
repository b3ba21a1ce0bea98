"""How large the error of a field is and which voxels carry it, seen in what χ leaves unexplained.

    e = W (D χ − f)
    W ← W₀ min(1, 3 ẽ / |e|),              ẽ = 1.4826 median |e|
    σ = rms e / (0.70 (λ / 0.045 σ)^0.42)
    λ = (0.03 + 0.08 σ / rms f) σ

With TV at λ the misfit of a field with white noise σ is that share of σ, whatever the noise (measured within 3 % for σ from 0.05 to 1 rms f), and
this λ is within 3 % of the best in NRMSE. Solved for σ a few times on the way, σ is that of the misfit: noise and what the model does not know
(remains of the background, anisotropy, motion, veins thinner than a voxel), and a noise map that is wrong by a factor of two either way changes
NRMSE by less than 1 %.

Reference: Liu 2013 (10.1002/mrm.24272) for the weights.
"""

import torch

LAMBDA_AT_NO_NOISE, LAMBDA_PER_NOISE = 0.03, 0.08
MISFIT_SHARE, MISFIT_LAMBDA, MISFIT_POWER = 0.70, 0.045, 0.42
OUTLIER = 3.0
LEAST_SIGMA = 1e-3  # in units of rms f
MAD_TO_SIGMA = 1.4826
MEAN_D2 = 0.089  # mean of D² over all directions


def within(sigma_ppm: float, rms_ppm: float) -> float:
    """σ in ppm, not below 0.1 % of the field's root mean square and not above it."""
    return min(max(sigma_ppm, LEAST_SIGMA * rms_ppm, 1e-12), max(rms_ppm, 1e-12))


def lambda_for(sigma_ppm: float, rms_ppm: float) -> float:
    """λ in ppm for a field with the error σ and the root mean square given, in ppm."""
    return (LAMBDA_AT_NO_NOISE + LAMBDA_PER_NOISE * sigma_ppm / max(rms_ppm, 1e-12)) * sigma_ppm


def refine(problem, chi: torch.Tensor, sigma_ppm: float, rms_ppm: float, lambda_ppm: float, least_ppm: float = 0.0) -> float:
    """σ in ppm, not below least_ppm, from the misfit of χ, which was found with λ; weighs the voxels of a MaskedProblem or SourceProblem by how well they fit."""
    misfit = problem.forward(chi) - problem.field
    told = problem.reliability
    error = (told * misfit).abs()
    typical = MAD_TO_SIGMA * error[told > 0].median()
    problem.weigh(told * (OUTLIER * typical / error.clamp(min=1e-20)).clamp(max=1))
    left = float((problem.squared * misfit**2)[told > 0].mean() ** 0.5)
    share = MISFIT_SHARE * (lambda_ppm / sigma_ppm / MISFIT_LAMBDA) ** MISFIT_POWER
    return within(max(left / share, least_ppm), rms_ppm)


def ridge_for(sigma2: float, power: float) -> float:
    """λ0 = 1e-3 + 0.089 σ² / max(var f − σ², 0.1 var f) for an error variance σ² and var f = power, in ppm²."""
    return 1e-3 + MEAN_D2 * sigma2 / max(power - sigma2, 0.1 * power, 1e-20)
