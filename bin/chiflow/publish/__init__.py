"""BIDS derivatives of one run.

Every map goes to sub-*/[ses-*/]anat/<id>_<entities and suffix>.nii.gz with a JSON sidecar: units, what it is, and the record of every
stage that had a hand in it, with the verdict on the field map and every warning on top; <id>_provenance.json tells how all came about.

BIDS has no suffix for susceptibility-weighted images yet (extension proposal 4 rests); swi and minIP are what published data sets use.
"""

from dataclasses import dataclass
from pathlib import Path

import chiflow
from chiflow.core.bids import entities, require_run_id
from chiflow.core.contracts import Acquisition, Record, record_path, write_json
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import load, save
from chiflow.publish.provenance import provenance

BIDS_VERSION = "1.10.0"
GATE = "gate.nii"  # its record is gate.json; no image lies beside it
MAPPED = ("combined.nii", "unwrapped.nii", "field.nii")
FIELD_STAGES = (*MAPPED, GATE)
MASK_STAGES = (*MAPPED, "mask.nii", GATE)
LOCAL_STAGES = (*MASK_STAGES, "local.nii")
CHI_STAGES = (*LOCAL_STAGES, "chi.nii")
RELAX_STAGES = ("mask.nii", GATE, "r2star.nii")
SWI_STAGES = ("combined.nii", "unwrapped.nii", "mask.nii", GATE, "swi.nii")
ALL_STAGES = (*CHI_STAGES, "r2star.nii", "swi.nii")


@dataclass(frozen=True)
class Derivative:
    """A published map: its BIDS ending, unit, meaning, and the outputs whose records tell how it was made."""

    ending: str
    units: str
    description: str
    history: tuple[str, ...]

    @property
    def maker(self) -> tuple[str, ...]:
        """The output whose record is that of the stage that made the map."""
        return tuple(name for name in self.history if name != GATE)[-1:]


DERIVATIVES = {
    "chi.nii": Derivative("Chimap", "ppm", "Magnetic susceptibility", CHI_STAGES),
    "residual.nii": Derivative("desc-residual_fieldmap", "ppm", "Field predicted by the susceptibility map minus the field that was inverted", CHI_STAGES),
    "ratio.nii": Derivative("desc-residualratio_fieldmap", "arbitrary", "The residual over the noise of the field in each voxel", CHI_STAGES),
    "uncertainty.nii": Derivative("desc-uncertainty_Chimap", "ppm", "Standard deviation of the susceptibility map: ± 1.645 of it is a 90 % interval", CHI_STAGES),
    "local.nii": Derivative("desc-local_fieldmap", "ppm", "Local field: the total field without the background field", LOCAL_STAGES),
    "field.nii": Derivative("desc-total_fieldmap", "Hz", "Total field", FIELD_STAGES),
    "noise.nii": Derivative("desc-noise_fieldmap", "Hz", "Standard deviation of the total field", FIELD_STAGES),
    "quality.nii": Derivative("desc-quality_fieldmap", "arbitrary", "Phase quality: 1 minus the relative residual of the echo fit", FIELD_STAGES),
    "brain.nii": Derivative("desc-brain_mask", "arbitrary", "Brain extraction", MASK_STAGES),
    "mask.nii": Derivative("desc-field_mask", "arbitrary", "Where the field is reliable: brain with phase quality, without its rim", MASK_STAGES),
    "eroded.nii": Derivative("desc-chi_mask", "arbitrary", "Where the local field and the susceptibility map hold", LOCAL_STAGES),
    "r2star.nii": Derivative("R2starmap", "1/s", "Effective transverse relaxation rate", RELAX_STAGES),
    "t2star.nii": Derivative("T2starmap", "s", "Effective transverse relaxation time", RELAX_STAGES),
    "s0.nii": Derivative("S0map", "arbitrary", "Signal at echo time 0", RELAX_STAGES),
    "swi.nii": Derivative("swi", "arbitrary", "Susceptibility-weighted image: veins and iron are dark", SWI_STAGES),
    "minip.nii": Derivative("minIP", "arbitrary", "Minimum-intensity projection of the susceptibility-weighted image over a slab", SWI_STAGES),
    "combined_magnitude.nii": Derivative("part-mag_desc-combined_MEGRE", "arbitrary", "Magnitude of all echoes, weighted for T2* contrast", (GATE, "swi.nii")),
}


def publish(maps: Path, acquisition: Acquisition, out: Path, pipeline: dict | None = None) -> list[Path]:
    """Write the derivatives of the maps in a folder below `out`, and their provenance; returns the images written.

    `pipeline` is what is known of the pipeline around the stages: engine, parameters, images. Raises ChiflowError when the run's id is not a BIDS one or the χ map is missing.
    """
    run = acquisition.id or ""
    require_run_id(run)
    if not (maps / "chi.nii").is_file():
        raise ChiflowError(f"{maps / 'chi.nii'}: no such file")
    named = entities(run)
    folder = out / f"sub-{named['sub']}" / (f"ses-{named['ses']}" if "ses" in named else "") / "anat"
    written = {}
    for name, derivative in DERIVATIVES.items():
        if (maps / name).is_file():
            image = load(maps / name)
            target = folder / f"{run}_{derivative.ending}.nii.gz"
            save(target, image.data > 0 if derivative.ending.endswith("mask") else image.data, image)
            write_json(record_path(target), sidecar(records_of(maps, derivative.history), derivative, acquisition))
            written[target] = records_of(maps, derivative.maker)[0].stage
    content = provenance(acquisition, records_of(maps, ALL_STAGES), written, out, pipeline or {})
    write_json(folder / f"{run}_provenance.json", content)
    write_json(out / "dataset_description.json", description())
    return list(written)


def records_of(maps: Path, names: tuple[str, ...]) -> list[Record]:
    """The records beside these outputs, as far as there are any."""
    return [Record.read(record_path(maps / name)) for name in names if record_path(maps / name).is_file()]


def sidecar(records: list[Record], derivative: Derivative, acquisition: Acquisition) -> dict:
    """The JSON beside a map: what it is, how the run was acquired, and the record of every stage behind it."""
    acquired = acquisition.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"made", "converted"})
    acquired["FrequencySource"] = acquisition.frequency_source
    content = {
        "Description": derivative.description,
        "Units": derivative.units,
        "Reference": next((r.parameters["Reference"] for r in records if "Reference" in r.parameters), None),
        "Verdict": next((r.figures.get("Verdict") for r in records if r.stage == "gate"), None),
        "Warnings": list(dict.fromkeys([*acquisition.warnings, *(warning for r in records for warning in r.warnings)])) or None,
        "Acquisition": acquired,
        "Processing": [r.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"made": {"host"}}) for r in records],
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
