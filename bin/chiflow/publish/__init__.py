"""BIDS derivatives of one run.

Every map goes to sub-*/[ses-*/]{anat,fmap}/<id>_<entities and suffix>.nii.gz with a JSON sidecar: units, what it is, and the record of every
stage that had a hand in it, with the verdict on the field map and every warning on top; <id>_provenance.json tells how all came about.

BIDS has no suffix for susceptibility-weighted images yet (extension proposal 4 rests); swi and minIP are what published data sets use. They, the reports and the
provenance are in .bidsignore. Field maps belong into fmap, and their validator asks for a magnitude beside them.
"""

from dataclasses import dataclass
from pathlib import Path

import chiflow
from chiflow.core.bids import run_folder
from chiflow.core.contracts import Acquisition, Record, record_path, write_json
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import load, save, write_bytes
from chiflow.publish.provenance import provenance

BIDS_VERSION = "1.10.0"
IGNORED = ("*_qsm.*", "*_provenance.json", "*_swi.*", "*_minIP.*", "cohort*", "pipeline_info", "dicom")
README = """Quantitative susceptibility maps

cohort.html is the place to start: all runs with what was judged of them, and a link to the page of each. The maps are in sub-*/[ses-*/]anat, the
susceptibility as *_Chimap.nii.gz in ppm; field maps and the magnitude are in fmap. Beside each image a .json file says what it is, in which unit, and how it
was made; *_provenance.json has the SHA-256 of all that it depends on. pipeline_info has the parameters, the versions of software, and what failed or was set
aside.
"""
GATE = "gate.nii"  # its record is gate.json; no image lies beside it
MAPPED = ("combined.nii", "unwrapped.nii", "field.nii")
FIELD_STAGES = (*MAPPED, GATE)
MASK_STAGES = (*MAPPED, "mask.nii", GATE)
LOCAL_STAGES = (*MASK_STAGES, "local.nii")
CHI_STAGES = (*LOCAL_STAGES, "chi.nii")
RELAX_STAGES = ("mask.nii", GATE, "r2star.nii")
SWI_STAGES = ("combined.nii", "unwrapped.nii", "mask.nii", GATE, "swi.nii")
ALL_STAGES = (*CHI_STAGES, "r2star.nii", "swi.nii", "regions.nii")


@dataclass(frozen=True)
class Derivative:
    """A published map: its BIDS ending, unit, meaning, the outputs whose records tell how it was made, and whether it is of the whole head."""

    ending: str
    units: str
    description: str
    history: tuple[str, ...]
    whole_head: bool = False

    @property
    def folder(self) -> str:
        """The data type of BIDS that the map is of."""
        return "fmap" if self.ending.endswith(("fieldmap", "magnitude")) else "anat"

    @property
    def facts(self) -> dict:
        """What BIDS asks to be said of a map of this kind."""
        return {"Type": "Brain" if "brain" in self.ending else "ROI"} if self.ending.endswith("mask") else {"SkullStripped": not self.whole_head}

    @property
    def maker(self) -> tuple[str, ...]:
        """The output whose record is that of the stage that made the map."""
        return tuple(name for name in self.history if name != GATE)[-1:]


DERIVATIVES = {
    "chi.nii": Derivative("Chimap", "ppm", "Magnetic susceptibility", CHI_STAGES),
    "start.nii": Derivative("desc-iterative_Chimap", "ppm", "Magnetic susceptibility by the iterative inversion that the network begins from", CHI_STAGES),
    "residual.nii": Derivative("desc-residual_fieldmap", "ppm", "Field predicted by the susceptibility map minus the field that was inverted", CHI_STAGES),
    "ratio.nii": Derivative("desc-residualratio_fieldmap", "arbitrary", "The residual over the noise of the field in each voxel", CHI_STAGES),
    "uncertainty.nii": Derivative("desc-uncertainty_Chimap", "ppm", "Standard deviation of the susceptibility map: ± 1.645 of it is a 90 % interval", CHI_STAGES),
    "local.nii": Derivative("desc-local_fieldmap", "ppm", "Local field: the total field without the background field", LOCAL_STAGES),
    "field.nii": Derivative("desc-total_fieldmap", "Hz", "Total field", FIELD_STAGES, True),
    "noise.nii": Derivative("desc-noise_fieldmap", "Hz", "Standard deviation of the total field", FIELD_STAGES, True),
    "quality.nii": Derivative("desc-quality_fieldmap", "arbitrary", "Phase quality: 1 minus the relative residual of the echo fit", FIELD_STAGES, True),
    "brain.nii": Derivative("desc-brain_mask", "arbitrary", "Brain extraction", MASK_STAGES),
    "mask.nii": Derivative("desc-field_mask", "arbitrary", "Where the field is reliable: brain with phase quality, without its rim", MASK_STAGES),
    "eroded.nii": Derivative("desc-chi_mask", "arbitrary", "Where the local field and the susceptibility map hold", LOCAL_STAGES),
    "r2star.nii": Derivative("R2starmap", "1/s", "Effective transverse relaxation rate", RELAX_STAGES),
    "t2star.nii": Derivative("T2starmap", "s", "Effective transverse relaxation time", RELAX_STAGES),
    "s0.nii": Derivative("S0map", "arbitrary", "Signal at echo time 0", RELAX_STAGES),
    "swi.nii": Derivative("swi", "arbitrary", "Susceptibility-weighted image: veins and iron are dark", SWI_STAGES, True),
    "minip.nii": Derivative("minIP", "arbitrary", "Minimum-intensity projection of the susceptibility-weighted image over a slab", SWI_STAGES, True),
    "combined_magnitude.nii": Derivative("magnitude", "arbitrary", "Magnitude of all echoes, weighted for T2* contrast", (GATE, "swi.nii"), True),
}


def publish(maps: Path, acquisition: Acquisition, out: Path, pipeline: dict | None = None) -> list[Path]:
    """Write the derivatives of the maps in a folder below `out`, and their provenance; returns the images written.

    `pipeline` is what is known of the pipeline around the stages: engine, parameters, images. Raises ChiflowError when the run's id is not a BIDS one or the χ map is missing.
    """
    run = acquisition.id or ""
    folder = out / run_folder(run)
    if not (maps / "chi.nii").is_file():
        raise ChiflowError(f"{maps / 'chi.nii'}: no such file")
    written = {}
    for name, derivative in DERIVATIVES.items():
        if (maps / name).is_file():
            image = load(maps / name)
            target = folder / derivative.folder / f"{run}_{derivative.ending}.nii.gz"
            save(target, image.data > 0 if derivative.ending.endswith("mask") else image.data, image)
            write_json(record_path(target), sidecar(records_of(maps, derivative.history), derivative, acquisition))
            written[target] = records_of(maps, derivative.maker)[0].stage
    content = provenance(acquisition, records_of(maps, ALL_STAGES), written, out, pipeline or {})
    write_json(folder / "anat" / f"{run}_provenance.json", content)
    write_dataset(out)
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
        **derivative.facts,
        "Reference": next((r.parameters["Reference"] for r in records if "Reference" in r.parameters), None),
        "Verdict": next((r.figures.get("Verdict") for r in records if r.stage == "gate"), None),
        "Warnings": list(dict.fromkeys([*acquisition.warnings, *(warning for r in records for warning in r.warnings)])) or None,
        "Acquisition": acquired,
        "Processing": [r.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"made": {"host", "cost"}}) for r in records],
    }
    return {key: value for key, value in content.items() if value is not None}


def write_dataset(out: Path) -> None:
    """The files that make a folder a BIDS data set of derivatives: dataset_description.json, README and .bidsignore."""
    write_json(out / "dataset_description.json", {
        "Name": "Quantitative susceptibility maps",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "chiflow", "Version": chiflow.__version__, "Description": "Quantitative susceptibility mapping"}],
    })
    write_bytes(out / "README", README.encode())
    write_bytes(out / ".bidsignore", "".join(f"{pattern}\n" for pattern in IGNORED).encode())
