"""The real engine, end to end: what runs, what runs again, what fails and how it is told."""

import csv
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import ROOT, Engine, Run, bids_errors, browser_says, copy_of_the_pipeline, kill, wait_for

STAGES = ("INTAKE", "COMBINE", "UNWRAP", "FIELDMAP", "MASK", "GATE", "BACKGROUND", "INVERT", "RELAX", "SWI", "PUBLISH", "REPORT")
BROKEN = "sub-03"
REGIONS = {7: "white matter", 9: "caudate", 10: "putamen"}  # of the simulated head


def all_of(run: str) -> set[tuple[str, str]]:
    return {(stage, run) for stage in STAGES}


@pytest.fixture(scope="module")
def bids(heads, tmp_path_factory) -> Path:
    """Two good subjects, one with NaN in a phase, one file of an odd name."""
    folder = tmp_path_factory.mktemp("bids set ü")
    shutil.copytree(heads / "bids", folder, dirs_exist_ok=True)
    for source in sorted((folder / "sub-02").rglob("*_MEGRE*")):
        target = folder / BROKEN / "anat" / source.name.replace("sub-02", BROKEN)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    change(next((folder / BROKEN).rglob("*echo-1*part-phase*.nii*")), np.nan)
    (folder / "sub-02" / "anat" / "sub-02$(touch pwned)_MEGRE.nii").write_bytes(b"")
    return folder


def change(path: Path, value: float) -> None:
    """Write another value into the corner voxel of an image."""
    image = nibabel.load(path)
    volume = np.array(image.get_fdata(dtype=np.float32))
    volume[0, 0, 0] = value
    written = nibabel.Nifti1Image(volume, image.affine)
    written.set_sform(image.affine, 1)  # the scanner's
    del image
    nibabel.save(written, path)


@pytest.fixture(scope="module")
def engine(odd_project, tmp_path_factory) -> Engine:
    return Engine(odd_project, tmp_path_factory.mktemp("launch ü"))


@pytest.fixture(scope="module")
def first(engine, bids) -> Run:
    """The run that the following ones resume."""
    return engine.run("--input", bids, out=engine.launch / "out ü")


@pytest.fixture(scope="module")
def ids(first) -> list[str]:
    return sorted(tag for stage, tag in first.tasks("COMPLETED") if stage == "PUBLISH")


def test_good_runs_are_published_beside_a_failing_one(first, ids, bids):
    assert [run.split("_")[0] for run in ids] == ["sub-01", "sub-02"], first.said
    for run in ids:
        maps = {path.name.removeprefix(f"{run}_") for path in first.out.glob(f"{run.split('_')[0]}/**/*.nii.gz")}
        assert {"Chimap.nii.gz", "R2starmap.nii.gz", "desc-brain_mask.nii.gz", "desc-local_fieldmap.nii.gz"} <= maps
    description = json.loads((first.out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative" and description["GeneratedBy"][0]["Name"] == "chiflow"
    assert (first.out / description["SourceDatasets"][0]["URL"]).resolve() == bids.resolve() and (first.out / "README").is_file()
    assert not list(engine_files(first.out, "pwned"))


def engine_files(folder: Path, name: str):
    return [path for root in (folder, folder.parent) for path in root.rglob(name)]


def test_a_failing_run_is_told_with_its_reason_and_the_exit_status(first):
    assert first.status == 1
    (row,) = [row for row in first.rows("runs.tsv") if row["status"] == "failed"]
    assert row["run"].startswith(BROKEN) and row["stage"] == "INTAKE" and "NaN" in row["reason"]
    line = f"chiflow: failed: {row['run']} in INTAKE: {row['reason']}"
    assert line in first.said.splitlines()


def test_an_odd_file_name_is_set_aside_and_reaches_no_shell(first):
    (row,) = first.rows("set_aside.tsv")
    assert row["reason"] == "not a BIDS name" and "$" not in row["name"]


def test_pipeline_info_is_complete(first):
    info = first.out / "pipeline_info"
    assert {"report.html", "timeline.html", "trace.txt", "dag.mmd", "params.json", "software_versions.json", "runs.tsv"} <= {p.name for p in info.iterdir()}
    versions = json.loads((info / "software_versions.json").read_text())
    assert {"chiflow", "nextflow", "numpy", "torch"} <= versions.keys()


def test_nothing_changed_nothing_runs(engine, bids, first, ids):
    again = engine.run("--input", bids, "-resume", out=first.out)
    assert again.tasks("CACHED") == set().union(*map(all_of, ids)), again.said
    assert {tag.split("_")[0] for _, tag in again.tasks("COMPLETED", "FAILED")} == {BROKEN}


def test_a_changed_phase_reruns_its_subject_only(engine, bids, first, ids):
    for path in (bids / BROKEN).rglob("*"):
        path.is_file() and path.unlink()
    change(next((bids / "sub-01").rglob("*echo-1*part-phase*.nii*")), 0.125)
    again = engine.run("--input", bids, "-resume", out=first.out)
    assert again.status == 0, again.said
    assert again.tasks("COMPLETED") == all_of(ids[0]) and again.tasks("CACHED") == all_of(ids[1])


def test_an_edit_in_a_room_reruns_its_stage_and_what_follows(engine, bids, first, ids):
    room = engine.project / "bin" / "chiflow" / "relax" / "__init__.py"
    room.write_text(room.read_text(encoding="utf8") + "\n# a remark\n", encoding="utf8")
    again = engine.run("--input", bids, "-resume", out=first.out)
    assert again.tasks("COMPLETED") >= {("RELAX", run) for run in ids}, again.said
    assert {stage for stage, _ in again.tasks("COMPLETED")} <= {"RELAX", "PUBLISH", "REPORT"}


def test_an_option_reruns_its_stage_and_what_follows(engine, bids, first, ids):
    again = engine.run("--input", bids, "--inversion", "tfi", "-resume", out=first.out)
    assert again.tasks("COMPLETED") == {(stage, run) for stage in ("INVERT", "PUBLISH", "REPORT") for run in ids}, again.said
    sidecar = json.loads(next(first.out.glob("sub-01/**/*_Chimap.json")).read_text())
    assert sidecar["Processing"][-1]["Method"] == "tfi"
    assert "background" not in [stage["Stage"] for stage in sidecar["Processing"]], "it takes the total field"


def test_a_failed_side_branch_costs_no_susceptibility_map(engine, bids, first, ids):
    (engine.launch / "broken.config").write_text("process { withName: RELAX { ext.args = '--no-such-option' } }\n", encoding="utf8")
    again = engine.run("--input", bids, "-c", "broken.config", "-resume", out=engine.launch / "without r2star")
    assert again.status == 1
    assert {stage for stage, run in again.tasks("FAILED") if not run.startswith(BROKEN)} == {"RELAX"}, again.said
    for run in ids:
        maps = {path.name.removeprefix(f"{run}_") for path in again.out.glob(f"{run.split('_')[0]}/**/*.nii.gz")}
        assert "Chimap.nii.gz" in maps and "R2starmap.nii.gz" not in maps


def test_resume_after_the_head_was_killed_reruns_only_the_unfinished(project, bids, tmp_path, ids):
    engine = Engine(project, tmp_path / "launch")
    only = tmp_path / "one"
    shutil.copytree(bids / "sub-02", only / "sub-02", ignore=shutil.ignore_patterns("*touch*"))
    head = engine.start("--input", only, "--outdir", tmp_path / "out")
    wait_for(lambda: ("COMBINE", ids[1]) in engine.unfinished("COMPLETED"))
    time.sleep(2)  # what finished two seconds before is in the engine's cache
    before = engine.unfinished("COMPLETED")
    kill(head)
    done = engine.run("--input", only, "-resume", out=tmp_path / "out")
    assert done.status == 0, done.said
    assert {("INTAKE", ids[1]), ("COMBINE", ids[1])} <= done.tasks("CACHED") and before
    assert done.tasks("CACHED") | done.tasks("COMPLETED") == all_of(ids[1]) and ("PUBLISH", ids[1]) in done.tasks("COMPLETED")


def test_dicom_of_a_folder_with_an_odd_name_gives_maps_without_identity(project, heads, tmp_path):
    source = tmp_path / "in ü"
    shutil.copytree(heads / "dicom" / "phantom-01", source / "DOE^JANE; $(touch pwned) 'ü")
    (source / "remark.txt").write_text("not an image")
    engine = Engine(project, tmp_path / "launch")
    done = engine.run("--input", source, out=tmp_path / "out", NXF_SYNTAX_PARSER="v2")
    assert done.status == 0, done.said
    assert len([path for path in done.out.glob("sub-*/**/*_Chimap.nii.gz") if "_desc-" not in path.name]) == 1
    written = b"".join(path.read_bytes() for path in done.out.rglob("*") if path.is_file()) + done.said.encode()
    assert b"DOE^JANE" not in written and b"PHANTOM-01" not in written
    assert not list(tmp_path.rglob("pwned"))
    private = engine.launch / "chiflow_private"
    assert "PHANTOM-01" in (private / "subjects.tsv").read_text() and (private / "key").stat().st_mode & 0o077 == 0
    (aside,) = done.rows("set_aside.tsv")
    assert aside["reason"] in done.said


def test_a_stub_run_flows_through_all_stages(project, heads, tmp_path):
    engine = Engine(project, tmp_path / "launch")
    done = engine.run("--input", heads / "dicom", "-stub-run", out=tmp_path / "out", NXF_SYNTAX_PARSER="v2")
    assert done.status == 0, done.said
    assert {stage for stage, _ in done.tasks("COMPLETED")} == {*STAGES, "CONVERT", "ARRANGE"}


SPOILED_TREE = """

def _spoiled(phase, magnitude, mask, echo_times_s, tree=UNWRAPPINGS["tree"]):
    unwrapped = tree(phase, magnitude, mask, echo_times_s)
    middle = tuple(slice(n // 2 - 4, n // 2 + 4) for n in mask.shape)
    unwrapped[middle][..., :2] += 2 * np.pi * (unwrapped[middle][..., :2] != 0)
    return unwrapped


UNWRAPPINGS["tree"] = _spoiled
"""


@pytest.fixture(scope="module")
def gated(heads, tmp_path_factory) -> Run:
    """A run of a pipeline whose first unwrapping leaves wraps: a good subject, one with a flipped echo, one with a single echo."""
    folder = tmp_path_factory.mktemp("gate")
    project = copy_of_the_pipeline(folder / "chiflow")
    room = project / "bin" / "chiflow" / "unwrap" / "__init__.py"
    room.write_text("import numpy as np\n" + room.read_text(encoding="utf8") + SPOILED_TREE, encoding="utf8")
    for subject, source, echoes in (("sub-01", "sub-01", "*"), ("sub-02", "sub-02", "*"), ("sub-03", "sub-01", "*echo-1_*")):
        for path in (heads / "bids" / source / "anat").glob(echoes):
            target = folder / "bids" / subject / "anat" / path.name.replace(source, subject)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    flipped = next((folder / "bids" / "sub-02").rglob("*echo-2*part-phase*.nii*"))
    image = nibabel.load(flipped)
    turned = nibabel.Nifti1Image(-np.array(image.get_fdata(dtype=np.float32)), image.affine)
    turned.set_sform(image.affine, 1)  # the scanner's
    nibabel.save(turned, flipped)
    own = ("--segmentations", labelled(heads, folder / "labels"), "--reference_label", "white matter", "--dicom")
    return Engine(project, folder / "launch").run("--input", folder / "bids", *own, out=folder / "out")


def labelled(heads: Path, folder: Path) -> Path:
    """Labels for sub-01 on a grid of their own, with names; none for the others."""
    (folder / "sub-01").mkdir(parents=True)
    truth = nibabel.load(heads / "truth" / "sub-01" / "labels.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.asarray(truth.dataobj, dtype=np.int16), truth.affine).slicer[:, :, 1:], folder / "sub-01" / "sub-01_desc-own_dseg.nii.gz")
    (folder / "dseg.tsv").write_text("index\tname\n" + "".join(f"{number}\t{name}\n" for number, name in REGIONS.items()), encoding="utf8")
    return folder


def test_what_the_gate_rejects_is_unwrapped_by_the_next_method(gated):
    rows = [(row["unwrapping"], row["verdict"]) for row in gated.rows("gate.tsv") if row["run"] == "sub-01"]
    assert sorted(rows) == [("individual", "pass"), ("tree", "fail")], gated.said
    (line,) = [line for line in gated.said.splitlines() if line.startswith("chiflow: fell back: sub-01: individual after tree: ")]
    sidecar = json.loads((gated.out / "sub-01" / "anat" / "sub-01_Chimap.json").read_text())
    assert sidecar["Verdict"] == "pass" and [stage["Method"] for stage in sidecar["Processing"] if stage["Stage"] == "unwrap"] == ["individual"]


def test_a_run_that_no_unwrapping_saves_stops_alone_with_what_was_seen(gated):
    assert gated.status == 1
    (row,) = [row for row in gated.rows("runs.tsv") if row["status"] == "failed"]
    assert (row["run"], row["stage"]) == ("sub-02", "GATE") and "failed the gate: " in row["reason"], row
    assert not list(gated.out.glob("sub-02/**/*_Chimap.nii.gz"))


def test_regions_of_the_user_s_labels_and_one_of_them_as_reference(gated):
    with open(gated.out / "sub-01" / "sub-01_desc-regions_qsm.tsv", encoding="utf8", newline="") as stream:
        rows = {(row["name"], row["map"]): row for row in csv.DictReader(stream, delimiter="\t")}
    assert {name for name, _ in rows} >= set(REGIONS.values()) and {kind for _, kind in rows} >= {"Chimap", "R2starmap"}
    assert abs(float(rows["white matter", "Chimap"]["mean"])) < 1e-6 and float(rows["white matter", "R2starmap"]["mean"]) > 10
    sidecars = {run: json.loads((gated.out / run / "anat" / f"{run}_Chimap.json").read_text()) for run in ("sub-01", "sub-03")}
    assert sidecars["sub-01"]["Reference"] == "mean of the label white matter of sub-01_desc-own_dseg.nii.gz, resampled"
    assert sidecars["sub-03"]["Reference"] == "mean of the whole mask" and any("no label image for this run" in warning for warning in sidecars["sub-03"]["Warnings"])
    assert (gated.out / "cohort_regions.tsv").read_text(encoding="utf8").splitlines()[1].startswith("sub-01\t")
    activities = json.loads((gated.out / "sub-01" / "anat" / "sub-01_provenance.json").read_text())["Records"]["Activities"]
    assert "regions" in {activity["Label"] for activity in activities}


def test_dicom_is_written_on_request(gated):
    chi = nibabel.load(gated.out / "sub-01" / "anat" / "sub-01_Chimap.nii.gz")
    assert len(list((gated.out / "sub-01" / "dicom" / "sub-01_Chimap").glob("*.dcm"))) == chi.shape[2]


def test_the_official_validator_finds_no_error_in_what_goes_in_and_what_comes_out(gated, heads, tmp_path_factory):
    tools = tmp_path_factory.mktemp("validator") / "tools"
    assert bids_errors(heads / "bids", tools) == []
    assert bids_errors(gated.out, tools) == []


def test_pages_of_real_runs_open_in_a_browser_and_link_to_each_other(gated, tmp_path):
    pages = [gated.out / "cohort.html", *gated.out.glob("sub-*/*_qsm.html")]
    assert len(pages) == 3
    for page in pages:
        assert "</html>" in browser_says(page, tmp_path)
        links = re.findall(r'href="([^"#:]+)"', page.read_text(encoding="utf8"))
        assert links and all((page.parent / link).is_file() for link in links), page


def test_a_single_echo_gives_a_map_with_a_warning_and_no_relaxation(gated):
    maps = {path.name.removeprefix("sub-03_") for path in gated.out.glob("sub-03/anat/*.nii.gz")}
    assert "Chimap.nii.gz" in maps and "R2starmap.nii.gz" not in maps, gated.said
    sidecar = json.loads((gated.out / "sub-03" / "anat" / "sub-03_Chimap.json").read_text())
    assert any("a single echo" in warning for warning in sidecar["Warnings"])


def test_every_module_is_clean_for_the_strict_parser(project, tmp_path):
    nextflow = Engine(project, tmp_path / "launch").command()[0]
    sources = [str(ROOT / name) for name in ("main.nf", "modules", "nextflow.config", "conf")]
    done = subprocess.run([nextflow, "lint", *sources], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
