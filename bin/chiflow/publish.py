"""BIDS derivatives of one run.

Every map goes to sub-*/[ses-*/]anat/<id>_<entities and suffix>.nii.gz with a JSON sidecar: units, what it is, and the record of every
stage that had a hand in it.
"""

from dataclasses import dataclass
from pathlib import Path

import chiflow
from chiflow.core.bids import entities, require_run_id
from chiflow.core.contracts import Acquisition, Record, record_path, write_json
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import load, save

BIDS_VERSION = "1.10.0"
FIELD_STAGES = ("combined.nii", "unwrapped.nii", "field.nii")
LOCAL_STAGES = (*FIELD_STAGES, "mask.nii", "local.nii")


@dataclass(frozen=True)
class Derivative:
    """A published map: its BIDS ending, unit, meaning, and the outputs whose records tell how it was made."""

    ending: str
    units: str
    description: str
    history: tuple[str, ...]


DERIVATIVES = {
    "chi.nii": Derivative("Chimap", "ppm", "Magnetic susceptibility", (*LOCAL_STAGES, "chi.nii")),
    "residual.nii": Derivative("desc-residual_fieldmap", "ppm", "Field predicted by the susceptibility map minus the local field", (*LOCAL_STAGES, "chi.nii")),
    "local.nii": Derivative("desc-local_fieldmap", "ppm", "Local field: the total field without the background field", LOCAL_STAGES),
    "field.nii": Derivative("desc-total_fieldmap", "Hz", "Total field", FIELD_STAGES),
    "noise.nii": Derivative("desc-noise_fieldmap", "Hz", "Standard deviation of the total field", FIELD_STAGES),
    "quality.nii": Derivative("desc-quality_fieldmap", "arbitrary", "Phase quality: 1 minus the relative residual of the echo fit", FIELD_STAGES),
    "mask.nii": Derivative("desc-brain_mask", "arbitrary", "Brain mask with phase quality", (*FIELD_STAGES, "mask.nii")),
    "eroded.nii": Derivative("desc-chi_mask", "arbitrary", "Where the local field and the susceptibility map hold", LOCAL_STAGES),
    "r2star.nii": Derivative("R2starmap", "1/s", "Effective transverse relaxation rate", ("mask.nii", "r2star.nii")),
    "t2star.nii": Derivative("T2starmap", "s", "Effective transverse relaxation time", ("mask.nii", "r2star.nii")),
}


def publish(maps: Path, acquisition: Acquisition, out: Path) -> list[Path]:
    """Write the derivatives of the maps in a folder below `out`; returns the images written.

    Raises ChiflowError when the run's id is not a BIDS one or the χ map is missing.
    """
    run = acquisition.id or ""
    require_run_id(run)
    if not (maps / "chi.nii").is_file():
        raise ChiflowError(f"{maps / 'chi.nii'}: no such file")
    named = entities(run)
    folder = out / f"sub-{named['sub']}" / (f"ses-{named['ses']}" if "ses" in named else "") / "anat"
    written = []
    for name, derivative in DERIVATIVES.items():
        if (maps / name).is_file():
            image = load(maps / name)
            target = folder / f"{run}_{derivative.ending}.nii.gz"
            save(target, image.data > 0 if derivative.ending.endswith("mask") else image.data, image)
            write_json(record_path(target), sidecar(maps, derivative, acquisition))
            written.append(target)
    write_json(out / "dataset_description.json", description())
    return written


def sidecar(maps: Path, derivative: Derivative, acquisition: Acquisition) -> dict:
    """The JSON beside a map: what it is, how the run was acquired, and the record of every stage behind it."""
    records = [Record.read(record_path(maps / name)) for name in derivative.history if record_path(maps / name).is_file()]
    acquired = acquisition.model_dump(mode="json", by_alias=True, exclude_none=True)
    acquired["FrequencySource"] = acquisition.frequency_source
    content = {
        "Description": derivative.description,
        "Units": derivative.units,
        "Reference": next((r.parameters["Reference"] for r in records if "Reference" in r.parameters), None),
        "Acquisition": acquired,
        "Processing": [r.model_dump(mode="json", by_alias=True, exclude_none=True) for r in records],
    }
    return {key: value for key, value in content.items() if value is not None}


def description() -> dict:
    """dataset_description.json of the derivatives."""
    return {
        "Name": "Quantitative susceptibility maps",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "chiflow", "Version": chiflow.__version__}],
    }
