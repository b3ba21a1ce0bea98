"""Samples in a folder: sub-sim0001 and on, each with what an inversion reads, the truth, and the recipe that makes it again."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import Field

import chiflow
from chiflow.core.contracts import Acquisition, Contract, software_versions, write_json
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import Image, save
from chiflow.core.progress import progress
from chiflow.simulate.anatomy import LabelHead, label_maps, read_head
from chiflow.simulate.recipe import Recipe, drawn
from chiflow.simulate.sample import Sample, made
from chiflow.simulate.surroundings import background_field, read_surroundings
from chiflow.simulate.whole import ECHO_TIME_S, whole_recipe

FIELD_STRENGTH_T = 3.0
DESCRIPTION = {"Name": "Simulated samples of susceptibility and field", "BIDSVersion": "1.9.0", "DatasetType": "derivative"}


class RecordedRecipe(Contract):
    """recipe.json: a recipe, the name of its label map and the sha256 of its kinds of tissue (none for random shapes)."""

    recipe: Recipe
    label_map: str | None = None
    label_map_sha256: str | None = Field(None, alias="LabelMapSHA256")
    software: dict[str, str] = Field(default_factory=software_versions)

    def write(self, path: Path) -> None:
        """Write every field, those that are None as null."""
        write_json(path, self.model_dump(mode="json", by_alias=True))


@lru_cache(maxsize=2)
def head_of(path: Path) -> LabelHead:
    """The label map of a file, kept while samples in a row ask for it."""
    return read_head(path)


def digest(head: LabelHead) -> str:
    """sha256 of the kinds of a label map and of their shape."""
    return hashlib.sha256(str(head.kinds.shape).encode() + head.kinds.tobytes()).hexdigest()


def recorded(recipe: Recipe, path: Path | None) -> RecordedRecipe:
    """The record of a recipe and its label map."""
    if recipe.head is None:
        return RecordedRecipe(recipe=recipe)
    return RecordedRecipe(recipe=recipe, label_map=path.name, label_map_sha256=digest(head_of(path)))


def training_records(labels: Path | None, number: int, seed: int) -> Iterator[RecordedRecipe]:
    """Samples as a network is trained on: of label maps and of random shapes, of random shapes alone without a folder."""
    paths = label_maps(labels) if labels else []
    for index in range(number):
        recipe = drawn(np.random.default_rng([seed, index, 0]), len(paths))
        yield recorded(recipe, None if recipe.head is None else paths[recipe.head])


def whole_records(labels: Path | None, number: int, seed: int, voxel_size: tuple[float, ...], b0: tuple[float, ...],
                  **options) -> Iterator[RecordedRecipe]:
    """Whole heads with typical tissue, one label map after the other; options as in `whole_recipe`."""
    if labels is None:
        raise ChiflowError("whole heads need label maps: give their folder with --labels")
    if min(voxel_size) <= 0 or not np.linalg.norm(b0) > 0:
        raise ChiflowError(f"voxels of {voxel_size} mm and B0 along {b0}: sizes above 0 and a direction are wanted")
    paths = label_maps(labels)
    for index in range(number):
        path = paths[index % len(paths)]
        yield recorded(whole_recipe(head_of(path), voxel_size, b0, seed + index, number=index % len(paths), **options), path)


def read_record(path: Path) -> RecordedRecipe:
    """A recipe.json. Raises ChiflowError naming the file and the key that is wrong."""
    return RecordedRecipe.read(path)


def label_map_of(record: RecordedRecipe, labels: Path | None) -> Path | None:
    """The file of a record's label map, none for random shapes. Raises ChiflowError when it is not in the folder, or is another map."""
    if record.recipe.head is None:
        return None
    if labels is None or not record.label_map:
        raise ChiflowError(f"the recipe is of label map {record.label_map}: give its folder with --labels")
    path = Path(labels) / record.label_map
    if record.label_map_sha256 and digest(head_of(path)) != record.label_map_sha256:
        raise ChiflowError(f"{path}: not the label map that the recipe was made with (its tissue has another sha256)")
    return path


def sample_of(record: RecordedRecipe, path: Path | None) -> Sample:
    """The sample of a record, with the label map in a file."""
    return made(record.recipe if path is None else replace(record.recipe, head=0), [head_of(path)] if path else [])


def write_samples(records: Iterator[RecordedRecipe], labels: Path | None, out: Path, background: bool = False) -> None:
    """Make and write the samples of records; with `background` also their total field. Raises ChiflowError for what cannot be made."""
    for index, record in enumerate(progress(records, "samples")):
        folder, path = Path(out) / f"sub-sim{index + 1:04d}", label_map_of(record, labels)
        total = None
        if background and path is None:
            raise ChiflowError("a background field needs the label map of a whole head: use --whole and --labels")
        sample = sample_of(record, path)
        if background:
            total = (sample.field + background_field(read_surroundings(path), head_of(path), record.recipe)) * sample.mask
        write_sample(sample, folder, {} if total is None else {"total": total})
        record.write(folder / "recipe.json")
    write_json(Path(out) / "dataset_description.json", DESCRIPTION | {"GeneratedBy": [{"Name": "chiflow", "Version": chiflow.__version__}]})


def write_sample(sample: Sample, folder: Path, more: dict) -> None:
    """Write the volumes of a sample, and more of them by name, as <name>.nii.gz, and acquisition.json."""
    noise = (sample.sigma_ppm / sample.weight.clamp(min=1e-6)) * sample.mask
    volumes = {name: getattr(sample, name) for name in ("field", "mask", "weight", "magnitude", "chi", "local", "kinds")} | {"noise": noise} | more
    like = Image(sample.mask.numpy(), affine_of(sample), Path())
    for name, volume in volumes.items():
        if name != "magnitude" or volume.any():
            save(folder / f"{name}.nii.gz", volume.numpy(), like)
    Acquisition(id=folder.name, echo_times_s=[ECHO_TIME_S], magnetic_field_strength_t=FIELD_STRENGTH_T,
                b0_direction=sample.geometry.b0).write(folder / "acquisition.json")


def affine_of(sample: Sample) -> np.ndarray:
    """Voxels to scanner (4, 4) in mm with the middle of the box at 0: the shortest turn R that puts B0 along z, R b = (0, 0, 1)."""
    b = np.array(sample.geometry.b0)
    cross, along = np.cross(b, (0, 0, 1)), b[2]
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    turn = np.diag([1.0, -1.0, -1.0]) if along < -1 + 1e-9 else np.eye(3) + skew + skew @ skew / (1 + along)
    affine = np.eye(4)
    affine[:3, :3] = turn * sample.geometry.voxel_size
    affine[:3, 3] = -affine[:3, :3] @ (np.array(sample.geometry.shape) - 1) / 2
    return affine
