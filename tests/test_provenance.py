"""Provenance: every file that a map depends on is in it by its content, nothing else is, and equal provenance means equal bytes."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Engine, copy_of_the_pipeline, maps_of

from chiflow.core import provenance
from chiflow.core.provenance import BIN, code_sha256, digests, host


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def told(local) -> dict:
    """provenance.json of the first subject."""
    return json.loads((local[1].out / "sub-01" / "anat" / "sub-01_provenance.json").read_text(encoding="utf8"))


def test_every_published_image_is_in_it_by_its_content(told, local):
    published = {path.name: sha256(path) for path in (local[1].out / "sub-01").rglob("*.nii.gz")}
    entities = {e["Label"]: e["Digest"]["SHA-256"] for e in told["Records"]["Entities"] if "AtLocation" in e}
    assert entities == published and len(published) >= 14
    assert all((local[1].out / e["AtLocation"]).is_file() for e in told["Records"]["Entities"] if "AtLocation" in e)


def test_every_input_and_the_weights_are_in_it_by_their_content(told, heads, project):
    given = {path.name: sha256(path) for path in (heads / "bids" / "sub-01" / "anat").iterdir()}
    given |= {name: sha256(project / "weights" / name) for name in ("brain_mask.json", "brain_mask.safetensors", "inversion.json", "inversion.safetensors")}
    assert {e["Label"]: e["Digest"]["SHA-256"] for e in told["Records"]["Entities"] if "AtLocation" not in e} == given


def test_every_map_leads_back_to_the_inputs(told):
    activities = {activity["Id"]: activity for activity in told["Records"]["Activities"]}
    entities = {entity["Id"] for entity in told["Records"]["Entities"]}
    for entity in told["Records"]["Entities"]:
        behind, seen = [entity["GeneratedBy"]] if "GeneratedBy" in entity else [], set()
        while behind:
            seen.add(behind[0])
            behind = behind[1:] + [other for other in activities[behind[0]].get("InformedBy", []) if other not in seen]
        assert not seen or "bids::prov#sub-01-intake" in seen, entity
    assert {used for activity in activities.values() for used in activity.get("Used", [])} <= entities
    software = {entry["Id"] for entry in told["Records"]["Software"]}
    assert {name for activity in activities.values() for name in activity["AssociatedWith"]} == software


def test_the_code_of_each_stage_is_what_the_engine_hashes(told, project, tmp_path):
    stages = {activity["Label"]: activity["Code"] for activity in told["Records"]["Activities"]}
    assert stages == {stage: code_sha256(stage) for stage in stages} and len(set(stages.values())) == len(stages) == 11
    copy = copy_of_the_pipeline(tmp_path / "chiflow")
    (copy / "code.nf").write_text("include { codeOf } from './modules/code'\nworkflow {\n    println(codeOf('unwrap'))\n}\n", encoding="utf8")
    command = [Engine(copy, tmp_path / "launch").command()[0], "-q", "run", str(copy / "code.nf")]
    done = subprocess.run(command, cwd=tmp_path / "launch", capture_output=True, text=True)
    assert stages["unwrap"] in done.stdout.split(), done.stdout + done.stderr


def test_the_same_input_elsewhere_gives_the_same_bytes_and_says_so(project, local, heads, tmp_path):
    shutil.copytree(heads / "bids" / "sub-01", tmp_path / "elsewhere ü" / "sub-01")
    done = Engine(project, tmp_path / "launch").run("--input", tmp_path / "elsewhere ü", out=tmp_path / "out")
    assert done.status == 0, done.said
    assert maps_of(done.out).items() <= maps_of(local[1].out).items()
    first, again = (folder / "sub-01" / "anat" / "sub-01_provenance.json" for folder in (local[1].out, done.out))
    assert first.read_text(encoding="utf8") == again.read_text(encoding="utf8")


def test_code_is_that_of_the_stage_its_room_and_core(tmp_path, monkeypatch):
    copy = tmp_path / "bin"
    shutil.copytree(BIN, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "BIN", copy)
    for place, changed in (("chiflow/unwrap/tree.py", {"unwrap"}), ("mask.py", {"mask"}), ("chiflow/core/units.py", {"unwrap", "mask"})):
        before = {stage: code_sha256(stage) for stage in ("unwrap", "mask")}
        (copy / place).write_text((copy / place).read_text(encoding="utf8") + "\n# a remark\n", encoding="utf8")
        assert {stage for stage in before if code_sha256(stage) != before[stage]} == changed, place


def test_digests_are_by_name_and_leave_out_what_is_not_given(tmp_path):
    (tmp_path / "b").write_bytes(b"abc")
    (tmp_path / "a").write_bytes(b"")
    assert digests(tmp_path / "b", None, tmp_path / "a") == {
        "a": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "b": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }, "FIPS 180-2, appendix B.1, and the empty message"


def test_the_host_is_a_kind_of_machine_not_a_machine(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = host()
    assert found["Threads"] == 3 and found["Instructions"] != "unknown" and found["Python"].count(".") == 2
    assert subprocess.run(["hostname"], capture_output=True, text=True).stdout.strip() not in found.values()
