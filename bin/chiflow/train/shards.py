"""Training samples kept on disk, each with what the network starts from, since both cost more than a training step.

A shard is a file of samples as float16 in units of the field's rms. Shard n depends on the seed and n alone, so any process can make any
shard, and a file that is there is not made again.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from chiflow.core.box import mask_box
from chiflow.core.geometry import Geometry
from chiflow.invert.start import Start, started, turned
from chiflow.simulate.anatomy import INDEX, LabelHead
from chiflow.simulate.realistic import RealRecipe, drawn_real, made_real

SIZE = 8
ATTEMPTS = 20
LEAST_VOXELS, LEAST_CHI_PPM = 2000, 1e-4
NUCLEI = ("pallidum", "putamen", "caudate", "red_nucleus", "substantia_nigra", "dentate")


def shard_path(folder: Path, seed: int, number: int) -> Path:
    """Where a shard is, or will be."""
    return folder / f"shard_{seed}_{number:04d}.pt"


def shard(folder: Path, seed: int, number: int, heads: list[LabelHead], size: int = SIZE) -> Path:
    """The file of a shard of `size` samples, made when it is not there."""
    path = shard_path(folder, seed, number)
    if not path.is_file():
        samples = [sample(seed, number * size + index, heads) for index in range(size)]
        torch.save(samples, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return path


def recipe_of(seed: int, number: int, attempt: int, heads: int) -> RealRecipe:
    """The recipe of a sample; one that is too empty is drawn again."""
    return drawn_real(np.random.default_rng([seed, number, attempt]), heads)


def sample(seed: int, number: int, heads: list[LabelHead]) -> dict:
    """Start, true χ and deep grey nuclei of a sample. Raises ValueError when none of many attempts has enough tissue."""
    for attempt in range(ATTEMPTS):
        made = made_real(recipe_of(seed, number, attempt, len(heads)), heads)
        if made.mask.sum() >= LEAST_VOXELS and made.chi[made.mask].std() > LEAST_CHI_PPM:
            break
    else:
        raise ValueError(f"sample {number} of seed {seed}: no tissue in {ATTEMPTS} attempts")
    box, geometry = mask_box(made.mask.numpy(), made.geometry)
    cut = lambda volume: volume[box].contiguous()
    mask = cut(made.mask)
    start = started(cut(made.field), mask, geometry, cut(made.weight), made.sigma_ppm, cut(made.magnitude))
    nuclei = torch.isin(cut(made.kinds), torch.tensor([INDEX[name] for name in NUCLEI])) if heads else torch.zeros_like(mask)
    return {"volumes": start.volumes.half(), "truth": (cut(made.chi) / start.rms_ppm).half(), "nuclei": nuclei,
            "geometry": (geometry.shape, geometry.voxel_size, geometry.b0), "rms_ppm": start.rms_ppm, "misfit_share": start.misfit_share}


def restored(content: dict, device: torch.device | str = "cpu", part: tuple[slice, ...] = (slice(None),) * 3) -> tuple[Start, torch.Tensor, torch.Tensor]:
    """The network's input, the true χ in units of the field's rms, and the nuclei (float), of a part of a sample, on a device."""
    volumes = content["volumes"][(slice(None), *part)].to(device).float()
    _, voxel_size, b0 = content["geometry"]
    start = Start(Geometry(volumes.shape[1:], voxel_size, b0), volumes, *(content[name] for name in ("rms_ppm", "misfit_share")))
    return start, content["truth"][part].to(device).float(), content["nuclei"][part].to(device).float()


def turned_at_random(start: Start, truth: torch.Tensor, nuclei: torch.Tensor, rng: np.random.Generator) -> tuple[Start, torch.Tensor, torch.Tensor]:
    """Axes in another order, flipped, the sign of everything or of the guide changed: all of it exact, the start included."""
    order = tuple(int(a) for a in rng.permutation(3))
    flips = tuple(int(a) for a in np.flatnonzero(rng.random(3) < 0.5))
    sign, contrast = (float(s) for s in rng.choice([-1.0, 1.0], 2))
    move = lambda volume: volume.permute(order).flip(flips)
    other = turned(start, flips, sign, order, contrast)
    return replace(other, volumes=other.volumes.contiguous()), sign * move(truth), move(nuclei)
