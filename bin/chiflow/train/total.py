"""Training of the network of the total field (core/total/): its samples, their turns, and its loss.

    loss = g(local) + 0.3 g(χ) + 0.2 (the same of the earlier steps),      g(v) = log ‖v_K − v‖₁/‖v₀ − v‖₁ + ½ log ‖v_K − v‖₂/‖v₀ − v‖₂

in the mask, its rim included, without means. v₀ is the fit where the network starts, so every sample counts by what is gained on it.
"""

import math

import numpy as np
import torch

from chiflow.core.box import mask_box
from chiflow.core.geometry import Geometry
from chiflow.core.total.net import TotalNet, TotalSolution
from chiflow.core.total.start import DEPTH_MM, TotalStart, local_field, middle_of, outside_of, placed
from chiflow.core.total.scale import turned
from chiflow.core.total.trained import figures
from chiflow.core.total.rounds import total_start
from chiflow.simulate.anatomy import LabelHead
from chiflow.simulate.total import HeadTensor, drawn_total, made_total

HALVES = ("mask", "weight", "outer", "deviation", "depth", "guide")
WHOLES = ("field", "sources", "prior")
TRUTHS = ("chi", "local")
ATTEMPTS = 20
FEWEST_VOXELS = 1000
FARTHEST = 1.5  # times ‖local‖: a sample whose start is farther away than that teaches nothing
EASIER_BELOW = ("RelativeNoise", "BackgroundToLocal")
OF_CHI, EARLIER = 0.3, 0.2
DEPTHS_MM = (0.0, 3.0, 5.0, 8.0, 12.0, 18.0, 30.0)  # bounds of bins; what lies deeper counts to the last


def sample(seed: int, number: int, heads: list[LabelHead], tensors: list[HeadTensor]) -> dict:
    """Start and truth of a sample; drawn again while the fit fails on it."""
    for attempt in range(ATTEMPTS):
        recipe = drawn_total(np.random.default_rng([seed, number, attempt]), len(heads))
        drawn = made_total(recipe, heads, tensors)
        made = drawn.sample
        if made.mask.sum() < FEWEST_VOXELS or made.chi[made.mask].std() < 1e-4:
            continue
        magnitude = made.magnitude if recipe.anatomy.guide_noise is not None else None
        box, geometry = mask_box(made.mask.numpy(), made.geometry)
        cut = lambda volume: None if volume is None else volume[box].contiguous()
        start = total_start(cut(made.field), cut(made.mask), geometry, cut(made.weight), made.sigma_ppm, cut(magnitude))
        middle, wide = middle_of(geometry)
        truth = {"chi": placed(cut(made.chi), middle, wide.shape) / start.rms_ppm, "local": placed(cut(drawn.local), middle, wide.shape) / start.rms_ppm}
        first, inside = local_field(start.sources, start), start.mask > 0
        if without_mean((first - truth["local"])[inside]).norm() < FARTHEST * without_mean(truth["local"][inside]).norm():
            break
    volumes = {name: getattr(start, name).half() for name in HALVES} | {name: getattr(start, name) for name in WHOLES}
    numbers = {"geometry": (wide.shape, wide.voxel_size, wide.b0), "sigma": start.sigma, "rms_ppm": start.rms_ppm}
    return volumes | numbers | {name: value.half() for name, value in truth.items()}


def restored(content: dict, device: torch.device | str = "cpu") -> tuple[TotalStart, dict[str, torch.Tensor]]:
    """The network's input and the true χ and local field on a device, in units of the local field's rms."""
    volumes = {name: content[name].to(device).float() for name in HALVES + WHOLES}
    numbers = {name: content[name] for name in ("sigma", "rms_ppm")}
    return TotalStart(Geometry(*content["geometry"]), **volumes, **numbers), {name: content[name].to(device).float() for name in TRUTHS}


def turned_at_random(start: TotalStart, truth: dict, rng: np.random.Generator) -> tuple[TotalStart, dict]:
    """A turn drawn at random: all of it exact, the fit included."""
    order = tuple(int(a) for a in rng.permutation(3))
    flips = tuple(int(a) for a in np.flatnonzero(rng.random(3) < 0.5))
    sign, contrast = (float(s) for s in rng.choice([-1.0, 1.0], 2))
    return turned(start, order, flips, sign, contrast), {name: sign * value.permute(order).flip(flips) for name, value in truth.items()}


def errors_of(sources: torch.Tensor, local: torch.Tensor, start: TotalStart, truth: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Errors (N,) in the mask of the local field and of χ_in, without means."""
    inside = start.mask > 0
    return without_mean((local - truth["local"])[inside]), without_mean((sources - outside_of(sources, start) - truth["chi"])[inside])


def loss_of(found: TotalSolution, start: TotalStart, truth: dict) -> torch.Tensor:
    """The loss above."""
    before = errors_of(start.sources, local_field(start.sources, start), start, truth)
    gains = []
    for sources, local in zip(found.sources, found.local):
        now = errors_of(sources, local, start, truth)
        gains.append(gain(now[0], before[0]) + OF_CHI * gain(now[1], before[1]))
    return gains[-1] + EARLIER * sum(gains[:-1])


def without_mean(values: torch.Tensor) -> torch.Tensor:
    """Values (N,) less their mean."""
    return values - values.mean()


def gain(error: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """log of the error over that of the start, by both norms."""
    return torch.log(error.abs().mean() / before.abs().mean()) + 0.5 * torch.log(error.norm() / before.norm())


@torch.no_grad()
def validated(network: TotalNet, contents: list[dict]) -> dict[str, float | None]:
    """Error of the network over that of its start (geometric means): of the local field with and without a guide, and of χ."""
    ratios = {"guided_over_start": [], "unguided_over_start": [], "chi_over_start": []}
    for content in contents:
        start, truth = restored(content, next(network.parameters()).device)
        found = network(start)
        before = errors_of(start.sources, local_field(start.sources, start), start, truth)
        now = errors_of(found.sources[-1], found.local[-1], start, truth)
        local, chi = (float(torch.log(a.norm() / b.norm())) for a, b in zip(now, before))
        ratios["guided_over_start" if start.guide.any() else "unguided_over_start"].append(local)
        ratios["chi_over_start"].append(chi)
    return {name: math.exp(np.mean(values)) if values else None for name, values in ratios.items()}


def ranges(contents: list[dict]) -> dict[str, list[float]]:
    """Lower and upper bound (percentiles 1 and 99) of each figure of the samples (core/total/trained.py); less noise and less background are only easier."""
    rows = [figures(restored(content)[0]) for content in contents]
    bounds = {name: [float(f"{np.percentile([row[name] for row in rows], q):.4g}") for q in (1, 99)] for name in rows[0]}
    return {name: [0.0, high] if name in EASIER_BELOW else [low, high] for name, (low, high) in bounds.items()}


@torch.no_grad()
def half_widths(network: TotalNet, contents: list[dict]) -> dict[str, list[float]]:
    """What 90 % of the errors of χ and of the local field stay below by the depth in the mask, in units of the local field's rms; every sample counts alike."""
    rows = []
    for content in contents:
        start, truth = restored(content, next(network.parameters()).device)
        found, inside = network(start), start.mask > 0
        errors = torch.stack(errors_of(found.sources[-1], found.local[-1], start, truth)[::-1]).abs()
        depth = -DEPTH_MM * start.depth[inside].log()
        bands = [errors[:, (depth > low) & (depth <= high)] for low, high in zip(DEPTHS_MM, (*DEPTHS_MM[1:-1], math.inf))]
        rows.append([[float(e.quantile(0.9)) if len(e) else math.nan for e in band] for band in bands])
    means = np.ma.masked_invalid(rows).mean(axis=0)  # of a depth that no mask has there is nothing to say
    known = [(*(float(f"{value:.3g}") for value in mean), (low + high) / 2) for mean, low, high in zip(means, DEPTHS_MM, DEPTHS_MM[1:]) if not np.ma.is_masked(mean)]
    return dict(zip(("OfChi", "OfLocal", "DepthMm"), map(list, zip(*known))))
