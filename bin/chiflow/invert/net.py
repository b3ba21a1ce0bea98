"""The learned inversion: an unrolled network (unrolled.py) from the start that guided TV makes (prepared.py), with its uncertainty.

The map is the start and half of what the network adds to it, in the mean over flips of the axes and of the sign, each turned back: all of it is up to
5 % worse at low noise, and nowhere more than 1 % better (four heads of the training). Uncertainty of a voxel, as a standard deviation:

    s = c √(ū² + v) / 1.645          ū mean of u over the members, v their variance, c of the card for exact fields or for others

so that χ ± 1.645 s holds the true χ in 90 % of the voxels of held-out heads. Where the scan is unlike the training (guard.py) another method takes
over, which the record says.
"""

from pathlib import Path

import torch

from chiflow.core.contracts import Check, worst
from chiflow.core.dipole import DipoleOperator
from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress
from chiflow.core.ranges import lowered, reasons
from chiflow.core.weights import load_network
from chiflow.invert.fansi import fansi
from chiflow.invert.guard import checks, figures_after, figures_before
from chiflow.invert.prepared import Prepared, prepared, turned
from chiflow.invert.result import QUANTILE_OF_NORMAL, Susceptibility
from chiflow.invert.unrolled import Solution, Unrolled

WEIGHTS = Path(__file__).resolve().parents[3] / "weights" / "inversion.safetensors"
MEMBERS = (((), 1.0), ((0, 1, 2), -1.0), ((0,), 1.0))  # axes that are flipped, sign
SHARE = 0.5  # of the network's correction that is taken
KINDS = {True: "Exact", False: "Remainder"}  # of fields, by Prepared.closed


def net(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
        magnitude: torch.Tensor | None = None, *, least_sigma_ppm: float = 0.0, weights: Path = WEIGHTS, guard: bool = True) -> Susceptibility:
    """χ in ppm and its uncertainty.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field. magnitude : (X, Y, Z) any unit, whose edges
    guide. least_sigma_ppm : of the errors that no misfit shows (core/variation/remainder.py). weights : of the network. guard : fall back to FANSI
    where the scan is unlike the training. Raises ChiflowError for weights that are refused.
    """
    network, card = loaded(weights, field.device)
    start = prepared(field, mask, geometry, weight, sigma_ppm, magnitude, least_sigma_ppm)
    figures = figures_before(start, sigma_ppm)
    fallback = lambda found: fallen_back(fansi(field, mask, geometry, weight, sigma_ppm, magnitude), found)
    if guard and worst(before := checks(figures, card["Ranges"])) == "fail":
        return fallback(before)
    chi, u, harmonic = ensemble(network, start)
    figures |= figures_after(start.field - harmonic - DipoleOperator(geometry, device=field.device).forward(chi), start)
    if guard and worst(after := checks(figures, card["Ranges"])) == "fail":
        return fallback(after)
    scale = start.rms_ppm
    parameters = {"Weights": weights.name, "Sha256": card["Sha256"], "BeginsFrom": "gtv", "Members": len(MEMBERS), "Guided": magnitude is not None, "SigmaPpm": start.sigma * scale}
    uncertainty = card["Calibration"][KINDS[start.closed]] * u / QUANTILE_OF_NORMAL * scale
    return Susceptibility(chi * scale, parameters, (start.harmonic + harmonic) * scale, uncertainty, checks=after if guard else [], start=start.start * scale)


def loaded(weights: Path, device: torch.device) -> tuple[Unrolled, dict]:
    """The network of a weights file and its card."""
    return load_network(Unrolled, weights, device)


@torch.no_grad()
def ensemble(network: Unrolled, start: Prepared) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """χ, half-width of its 90 % interval and harmonic field, all (X, Y, Z) in units of the field's rms."""
    found = [turned_back(network(turned(start, flips, sign)), flips, sign) for flips, sign in progress(MEMBERS, "Network")]
    chi, u, harmonic = (torch.stack([getattr(f, name) for f in found]) for name in ("chi", "u", "harmonic"))
    return torch.lerp(start.start, chi.mean(0), SHARE), (u.mean(0) ** 2 + chi.var(0, correction=0)).sqrt(), SHARE * harmonic.mean(0)


def turned_back(solution: Solution, flips: tuple[int, ...], sign: float) -> Solution:
    """The solution of the scan that was turned."""
    return Solution([], sign * solution.chi.flip(flips), solution.u.flip(flips), sign * solution.harmonic.flip(flips))


def fallen_back(found: Susceptibility, judged: list[Check]) -> Susceptibility:
    """What FANSI found; figures that failed say why the network is not used."""
    message = f"the network is not used, FANSI takes over: {reasons(judged)}"
    return Susceptibility(found.chi, found.parameters | {"Fallback": "fansi"}, found.background, None, [message], lowered(judged))
