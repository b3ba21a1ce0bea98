"""How the maps of a run came about, in the words of BIDS-Prov (extension proposal 28): files are entities, stages are activities.

No time, path or name of a machine is in it: two runs with one provenance have the same bytes, and a map is found by its SHA-256.
"""

from dataclasses import dataclass
from pathlib import Path

from chiflow.core.contracts import Acquisition, Made, Record
from chiflow.core.provenance import sha256_of

CONTEXT, VERSION = "https://purl.org/nidash/bidsprov/context.json", "0.0.1"
FOLLOWS = {
    "intake": ("convert",),
    "combine": ("intake",),
    "unwrap": ("combine",),
    "fieldmap": ("unwrap", "combine"),
    "mask": ("fieldmap", "combine"),
    "gate": ("unwrap", "fieldmap", "mask"),
    "background": ("fieldmap", "mask"),
    "invert": ("background", "fieldmap", "mask", "combine"),
    "relax": ("combine", "mask"),
    "swi": ("combine", "unwrap", "mask"),
    "regions": ("invert", "relax", "mask"),
}


@dataclass(frozen=True)
class Step:
    """A stage of one run: how it was made, what files from outside it read (SHA-256 by name), and its record."""

    stage: str
    made: Made
    inputs: dict[str, str]
    record: Record | None = None


def provenance(acquisition: Acquisition, records: list[Record], written: dict[Path, str], out: Path, pipeline: dict) -> dict:
    """provenance.json of a run.

    records : of every stage, in their order. written : the published images, and the stage behind each. out : the folder they are named from.
    pipeline : engine, parameters and images, as far as they are known.
    """
    steps = _steps(acquisition, records)
    software = sorted({pair for step in steps for pair in step.made.software.items()})
    inputs = {digest: label for step in steps for label, digest in step.inputs.items()}
    content = {
        "Software": [{"Id": _version(*pair), "Label": pair[0], "Version": pair[1]} for pair in software],
        "Activities": [_activity(step, steps, acquisition.id) for step in steps],
        "Entities": [{"Id": _content(digest), "Label": label, "Digest": {"SHA-256": digest}} for digest, label in inputs.items()]
        + [_map(path, out, _name(acquisition.id, stage)) for path, stage in written.items()],
    }
    return {"@context": CONTEXT, "BIDSProvVersion": VERSION, "Pipeline": pipeline, "Records": content}


def _steps(acquisition: Acquisition, records: list[Record]) -> list[Step]:
    """Every stage of the run in its order."""
    origin = acquisition.converted
    converted = [Step("convert", Made.model_validate(origin["Made"]), {"DICOM files": origin["Dicom"]})] if origin else []
    taken_in = Step("intake", acquisition.made or Made(), acquisition.sources)
    return [*converted, taken_in, *(Step(r.stage, r.made or Made(), r.inputs, r) for r in records), Step("publish", Made(), {})]


def _activity(step: Step, steps: list[Step], run: str) -> dict:
    """What a stage did, by which code, on what, and after which other stages."""
    before = [other.stage for other in steps if other.stage in FOLLOWS.get(step.stage, ()) or (step.stage == "publish" and other.record)]
    content = {
        "Id": _name(run, step.stage),
        "Label": step.stage,
        "Method": step.record.method if step.record else None,
        "Parameters": step.record.parameters if step.record else None,
        "InformedBy": [_name(run, stage) for stage in before],
        "Used": [_content(digest) for digest in step.inputs.values()],
        "AssociatedWith": [_version(*pair) for pair in sorted(step.made.software.items())],
        "Code": step.made.code,
        "Host": step.made.host,
    }
    return {key: value for key, value in content.items() if value}


def _map(path: Path, out: Path, maker: str) -> dict:
    """A published image."""
    place = path.relative_to(out).as_posix()
    return {"Id": f"bids::{place}", "Label": path.name, "AtLocation": place, "GeneratedBy": maker, "Digest": {"SHA-256": sha256_of(path)}}


def _name(run: str, stage: str) -> str:
    return f"bids::prov#{run}-{stage}"


def _content(digest: str) -> str:
    return f"urn:sha256:{digest}"


def _version(package: str, version: str) -> str:
    return f"bids::prov#{package}-{version}"
