"""How far the zero-filled field can be divided by the dipole kernel, read from the field alone: generalised cross-validation.

A division that is damped where q = D²/L is small leaves of each sample of the spectrum the share r:

    χ = F⁻¹ [ D / (D² + λ L) F f ],      r = λ / (q + λ),      λ = argmin Σ r² |F f|² / (Σ r)²

White noise fills the samples near the cone of D = 0, and so do the zeros outside the mask and what is left of the background: λ grows with
all of them. It depends on the field by ratios only, so it is homogeneous. The sums run over bins of log q.

Reference: Golub 1979 (10.1080/00401706.1979.10489751).
"""

import torch

LEAST_RATIO, LARGEST_RATIO = -8.0, 3.0  # log₁₀ q
LEAST_LAMBDA, LARGEST_LAMBDA = -5.0, 1.0  # log₁₀ λ
PER_DECADE = 40


def multiplicity(shape: tuple[int, ...], device=None) -> torch.Tensor:
    """How many samples of the whole spectrum of a grid each sample (Z/2 + 1,) of its half stands for."""
    twice = torch.full((shape[2] // 2 + 1,), 2.0, device=device)
    twice[0] = 1
    if shape[2] % 2 == 0:
        twice[-1] = 1
    return twice


def cross_validated(spectrum: torch.Tensor, ratio: torch.Tensor, shape: tuple[int, ...]) -> float:
    """λ of a half spectrum F f on a grid of `shape`, in the unit of ratio: q, same shape. The mean of the field says nothing and is left out."""
    count = multiplicity(shape, spectrum.device).expand(ratio.shape).clone()
    count[0, 0, 0] = 0
    steps = int((LARGEST_RATIO - LEAST_RATIO) * PER_DECADE)
    bins = ((torch.log10(ratio.clamp(min=1e-30)) - LEAST_RATIO) * PER_DECADE).clamp_(0, steps).long().flatten()
    summed = lambda values: torch.bincount(bins, values.flatten().double(), steps + 1)
    power, number = summed(count * (spectrum.real**2 + spectrum.imag**2)), summed(count)
    centre = 10 ** ((torch.arange(steps + 1, device=bins.device).double() + 0.5) / PER_DECADE + LEAST_RATIO)
    exponents = torch.arange(int((LARGEST_LAMBDA - LEAST_LAMBDA) * PER_DECADE) + 1, device=bins.device).double() / PER_DECADE + LEAST_LAMBDA
    share = 1 / (1 + centre / 10 ** exponents[:, None])
    score = (share**2 @ power) / (share @ number) ** 2
    return float(10 ** (LEAST_LAMBDA + _lowest(score) / PER_DECADE))


def _lowest(values: torch.Tensor) -> float:
    """Index of the least of some values, between samples by a parabola through the neighbours."""
    at = int(values.argmin())
    if not 0 < at < len(values) - 1:
        return float(at)
    before, here, after = values[at - 1 : at + 2].tolist()
    bend = before - 2 * here + after
    return at + (before - after) / (2 * bend) if bend > 0 else float(at)
