"""Published maps: their names, and what the sidecar tells of the stages behind them."""

import json

import numpy as np
import pytest

from chiflow.core.contracts import Acquisition, Record, record_path
from chiflow.core.nifti import Image, load, save
from chiflow.publish import DERIVATIVES, publish

ID = "sub-1_ses-b"
ACQUISITION = Acquisition(echo_times_s=[0.004, 0.01], magnetic_field_strength_t=3, id=ID)
STAGES = {name: name.removesuffix(".nii") for derivative in DERIVATIVES.values() for name in derivative.history if name != "gate.nii"}


@pytest.fixture
def maps(tmp_path):
    """Every map and every record but the gate's; the field map had something to say."""
    volume = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    for name in DERIVATIVES:
        save(tmp_path / "maps" / name, volume, Image(volume, np.eye(4), tmp_path))
    for name, stage in STAGES.items():
        Record(stage=stage, method="m", warnings=["echo 2 was left out"] if stage in ("field", "local") else []).write_beside(tmp_path / "maps" / name)
    return tmp_path / "maps"


def sidecars(maps, acquisition=ACQUISITION):
    written = publish(maps, acquisition, maps.parent / "out")
    return {path.name.removeprefix(f"{ID}_").removesuffix(".nii.gz"): json.loads(record_path(path).read_text()) for path in written}


def test_every_map_has_a_name_of_its_own(maps):
    found = sidecars(maps)
    assert list(found) == [derivative.ending for derivative in DERIVATIVES.values()]
    assert {"Chimap", "S0map", "swi", "minIP", "magnitude", "desc-brain_mask", "desc-field_mask", "desc-chi_mask"} <= set(found)
    mask, image = (load(maps.parent / f"out/sub-1/ses-b/anat/{ID}_{name}.nii.gz") for name in ("desc-field_mask", "Chimap"))
    assert np.array_equal(mask.data, image.data > 0)


def test_warnings_of_all_stages_stand_on_top_once(maps):
    found = sidecars(maps)
    assert found["Chimap"]["Warnings"] == found["desc-total_fieldmap"]["Warnings"] == ["echo 2 was left out"]
    assert "Warnings" not in found["R2starmap"] and "Warnings" not in found["swi"]
    acquired = sidecars(maps, ACQUISITION.model_copy(update={"warnings": ["taken in without echo 3"]}))
    assert acquired["Chimap"]["Warnings"] == ["taken in without echo 3", "echo 2 was left out"] and acquired["swi"]["Warnings"] == ["taken in without echo 3"]


def test_the_verdict_of_the_gate_is_in_every_sidecar(maps):
    assert all("Verdict" not in sidecar for sidecar in sidecars(maps).values())
    gate = Record(stage="gate", method="tree", figures={"Verdict": "warn", "Residual": 0.2}, warnings=["residual of the echo fit"])
    gate.write_beside(maps / "gate.nii")
    assert not (maps / "gate.nii").exists()
    for name, sidecar in sidecars(maps).items():
        assert sidecar["Verdict"] == "warn" and "residual of the echo fit" in sidecar["Warnings"], name
        assert [stage["Method"] for stage in sidecar["Processing"] if stage["Stage"] == "gate"] == ["tree"], name


def test_a_map_that_is_not_there_is_not_published(maps):
    for name in ("swi.nii", "brain.nii"):
        (maps / name).unlink()
    assert not {"swi", "desc-brain_mask"} & set(sidecars(maps))


def provenance_of(maps, acquisition=ACQUISITION, **pipeline):
    publish(maps, acquisition, maps.parent / "out", pipeline)
    return (maps.parent / "out" / "sub-1" / "ses-b" / "anat" / f"{ID}_provenance.json").read_text()


def test_provenance_changes_with_anything_a_map_depends_on_and_with_nothing_else(maps):
    first = provenance_of(maps, Parameters={"inversion": "tv"})
    assert first == provenance_of(maps, Parameters={"inversion": "tv"})
    assert first != provenance_of(maps, Parameters={"inversion": "net"})
    assert first != provenance_of(maps, ACQUISITION.model_copy(update={"sources": {"a.nii": "0" * 64}}), Parameters={"inversion": "tv"})
    record = Record.read(record_path(maps / "chi.nii"))
    for change in ({"code": "0" * 64}, {"host": record.made.host | {"Threads": 99}}, {"software": record.made.software | {"numpy": "0"}}):
        record.model_copy(update={"made": record.made.model_copy(update=change)}).write_beside(maps / "chi.nii")
        assert first != provenance_of(maps, Parameters={"inversion": "tv"}), change
    record.write_beside(maps / "chi.nii")
    assert first == provenance_of(maps, Parameters={"inversion": "tv"})


def test_sidecars_do_not_depend_on_the_machine(maps):
    first = sidecars(maps)
    record = Record.read(record_path(maps / "chi.nii"))
    record.made.host = {"Threads": 99}
    record.write_beside(maps / "chi.nii")
    assert sidecars(maps) == first and "Code" in first["Chimap"]["Processing"][-1]["Made"]
