"""The learned inversion: a network (corrector.py) corrects structure and texture (decomposition.py), and says how far off the result may be.

The map is the mean over flips of the axes and of the sign, each turned back. Uncertainty of a voxel, as a standard deviation:

    s = c √(ū² + v) / 1.645          ū mean of u over the members, v their variance, c of the card

so that χ ± 1.645 s holds the true χ in 90 % of the voxels of held-out heads. Where the scan is unlike the training (guard.py) the map stays as the
iterative inversion found it, with that one's uncertainty, which the record says. A field that is explained to within a seventh of its size is none of a
scan in vivo: it has edges alone, and guided TV (gtv.py) is the inversion for that.
"""

from dataclasses import replace
from pathlib import Path

import torch

from chiflow.core.contracts import Check, worst
from chiflow.core.dipole import DipoleOperator
from chiflow.core.geometry import Geometry
from chiflow.core.progress import progress
from chiflow.core.ranges import lowered, reasons
from chiflow.core.variation.remainder import with_remainder
from chiflow.core.weights import load_network
from chiflow.invert.corrector import Corrected, Corrector
from chiflow.invert.guard import checks, figures_after, figures_before
from chiflow.invert.gtv import gtv
from chiflow.invert.ictv import ictv
from chiflow.invert.result import QUANTILE_OF_NORMAL, Susceptibility
from chiflow.invert.start import Start, started, turned

WEIGHTS = Path(__file__).resolve().parents[3] / "weights" / "inversion.safetensors"
MEMBERS = (((), 1.0), ((0, 1, 2), -1.0))  # axes that are flipped, sign
FALLBACK, FALLBACK_CLEAN = "ictv", "gtv"
CLEAN_SHARE = 0.15  # misfit over rms f: 0.12 to 0.14 on heads without texture, where NRMSE is 27 to 29 % by guided TV and 42 % by ICTV; 0.42 in vivo


def net(field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None = None, sigma_ppm: float = 1e-3,
        magnitude: torch.Tensor | None = None, *, weights: Path = WEIGHTS, guard: bool = True) -> Susceptibility:
    """χ in ppm and its uncertainty.

    field : (X, Y, Z) ppm. mask : (X, Y, Z) bool. weight : (X, Y, Z) W. sigma_ppm : noise of the field. magnitude : (X, Y, Z) any unit, seen by the
    network, or None. weights : of the network. guard : leave the network out where the scan is unlike its training.
    Raises ChiflowError for weights that are refused.
    """
    network, card = loaded(weights, field.device)
    start = started(field, mask, geometry, weight, sigma_ppm, magnitude)
    figures = figures_before(start)
    iterative = lambda: without_network(start, field, mask, geometry, weight, sigma_ppm, magnitude)
    if guard and worst(before := checks(figures, card["Ranges"], CLEAN_SHARE)) == "fail":
        return fallen_back(iterative(), before)
    chi, u = ensemble(network, start)
    residual = start.volume("field") - DipoleOperator(geometry, device=field.device).forward(chi)
    after = checks(figures | figures_after(residual, start), card["Ranges"], CLEAN_SHARE) if guard else []
    if guard and worst(after) == "fail":
        return fallen_back(iterative(), after)
    unit = start.rms_ppm
    parameters = {"Weights": weights.name, "Sha256": card["Sha256"], "BeginsFrom": FALLBACK, "Members": len(MEMBERS), "Guided": magnitude is not None}
    uncertainty = card["Calibration"] * u / QUANTILE_OF_NORMAL * unit
    return Susceptibility(chi * unit, parameters, None, uncertainty, checks=after, start=start.volume("chi") * unit)


def loaded(weights: Path, device: torch.device) -> tuple[Corrector, dict]:
    """The network of a weights file and its card."""
    return load_network(Corrector, weights, device)


@torch.no_grad()
def ensemble(network: Corrector, start: Start) -> tuple[torch.Tensor, torch.Tensor]:
    """χ and half-width of its 90 % interval before calibration, (X, Y, Z) in units of the field's rms."""
    found = [turned_back(network(turned(start, flips, sign)), flips, sign) for flips, sign in progress(MEMBERS, "Network")]
    chi, u = (torch.stack([getattr(one, name) for one in found]) for name in ("chi", "u"))
    return chi.mean(0), (u.mean(0) ** 2 + chi.var(0, correction=0)).sqrt()


def turned_back(found: Corrected, flips: tuple[int, ...], sign: float) -> Corrected:
    """The result of the scan that was turned."""
    return Corrected(sign * found.chi.flip(flips), found.u.flip(flips))


def without_network(start: Start, field: torch.Tensor, mask: torch.Tensor, geometry: Geometry, weight: torch.Tensor | None, sigma_ppm: float,
                    magnitude: torch.Tensor | None) -> Susceptibility:
    """The map of the iterative inversion that suits the field; the other arguments are those of `net`."""
    if start.misfit_share >= CLEAN_SHARE:
        found, name = ictv(field, mask, geometry, weight, sigma_ppm), FALLBACK
    else:
        doubted, sigma, least = with_remainder(field, mask, geometry, mask.float() if weight is None else weight, sigma_ppm)
        found, name = gtv(field, mask, geometry, doubted, sigma, magnitude, least_sigma_ppm=least), FALLBACK_CLEAN
    return replace(found, parameters=found.parameters | {"Fallback": name})


def fallen_back(found: Susceptibility, judged: list[Check]) -> Susceptibility:
    """The map of the iterative inversion; figures that failed say why the network did not correct it."""
    message = f"the network is not used, {found.parameters['Fallback']} is: {reasons(judged)}"
    return replace(found, warnings=[message], checks=lowered(judged))
