"""Training samples kept on disk, each with the start of the network (guided TV), since both cost more than a training step.

A shard is a file of samples as float16 in units of the field's rms. Shard n depends on the seed and n alone, so any process can make any
shard, and a file that is there is not made again.
"""

from pathlib import Path

import numpy as np
import torch

from chiflow.core.box import mask_box
from chiflow.core.geometry import Geometry
from chiflow.core.variation.guided import Rules
from chiflow.invert.prepared import Prepared, prepared, turned
from chiflow.core.variation.remainder import with_remainder
from chiflow.core.variation.sources import PADDING
from chiflow.simulate.anatomy import LabelHead
from chiflow.simulate.recipe import drawn
from chiflow.simulate.sample import made

SIZE = 64
VOLUMES = ("field", "mask", "weight", "ridge", "start", "explained", "guide")
ATTEMPTS = 20
EASY = Rules(12, 2.0, 0.0, PADDING)  # of the start: quick, and leaves the network the more to do
FARTHEST = 3.0  # times ‖χ‖: a sample whose start is farther away than that teaches nothing


def shard_path(folder: Path, seed: int, number: int) -> Path:
    """Where a shard is, or will be."""
    return folder / f"shard_{seed}_{number:04d}.pt"


def shard(folder: Path, seed: int, number: int, heads: list[LabelHead], size: int = SIZE, whole: bool = False) -> Path:
    """The file of a shard of `size` samples, of whole heads or of parts, made when it is not there."""
    path = shard_path(folder, seed, number)
    if not path.is_file():
        samples = [sample(seed, number * size + index, heads, whole) for index in range(size)]
        torch.save(samples, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return path


def sample(seed: int, number: int, heads: list[LabelHead], whole: bool = False) -> dict:
    """Start and truth of a sample; drawn again while guided TV fails on it."""
    for attempt in range(ATTEMPTS):
        recipe = drawn(np.random.default_rng([seed, number, attempt]), len(heads), whole=whole)
        made_of = made(recipe, heads)
        if made_of.chi[made_of.mask].std() < 1e-4:
            continue
        magnitude = made_of.magnitude if recipe.guide_noise is not None else None
        box, geometry = mask_box(made_of.mask.numpy(), made_of.geometry)
        cut = lambda volume: None if volume is None else volume[box].contiguous()
        field, mask, told = cut(made_of.field), cut(made_of.mask), (cut(made_of.weight), made_of.sigma_ppm, 0.0)
        weight, sigma, least = with_remainder(field, mask, geometry, *told[:2]) if recipe.remainder_told else told
        start = prepared(field, mask, geometry, weight, sigma, cut(magnitude), least, EASY)
        truth = cut(made_of.chi) / start.rms_ppm
        if (start.start - truth).norm() < FARTHEST * truth.norm():
            break
    volumes = {name: getattr(start, name).half() for name in VOLUMES} | {"truth": truth.half()}
    geometry = (start.geometry.shape, start.geometry.voxel_size, start.geometry.b0)
    return volumes | {"geometry": geometry, "sigma": start.sigma, "rms_ppm": start.rms_ppm, "closed": start.closed, "voxels": int(start.mask.sum())}


def restored(content: dict, device: torch.device | str = "cpu") -> tuple[Prepared, torch.Tensor]:
    """The network's input and the true χ on a device, both in units of the field's rms."""
    volumes = {name: content[name].to(device).float() for name in VOLUMES}
    numbers = {name: content[name] for name in ("sigma", "rms_ppm", "closed")}
    harmonic = torch.zeros_like(volumes["field"])
    start = Prepared(Geometry(*content["geometry"]), harmonic=harmonic, padding=PADDING, **volumes, **numbers)
    return start, content["truth"].to(device).float()


def turned_at_random(start: Prepared, truth: torch.Tensor, rng: np.random.Generator) -> tuple[Prepared, torch.Tensor]:
    """Axes in another order, flipped, the sign of everything or of the guide changed: all of it exact, guided TV included."""
    order = tuple(int(a) for a in rng.permutation(3))
    flips = tuple(int(a) for a in np.flatnonzero(rng.random(3) < 0.5))
    sign, contrast = (float(s) for s in rng.choice([-1.0, 1.0], 2))
    return turned(start, flips, sign, order, contrast), sign * truth.permute(order).flip(flips)
