"""What goes wrong beside the data: a killed task, a full disk, altered weights, two launches at once, a missing image. Nothing that was done is lost."""

import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import QUICK, Engine, Run, change_stage, copy_of_the_pipeline, kill, maps_of, wait_for

KILLED_ONCE = """__import__("subprocess").run("mkdir {marker} && kill -9 $PPID", shell=True)"""
CORRUPT, MOVED, TURNED, MISTIMED = "sub-07", "sub-11", "sub-16", "sub-03"
VERDICTS = {CORRUPT: "fail", MOVED: "fail", TURNED: "fail", MISTIMED: "warn"}  # in the order of the page
LARGE_DISK_BYTES, SMALL_DISK_BYTES = 64 * 2**20, 5 * 2**20


def errors_in(run: Run) -> list[str]:
    return [line for line in run.said.splitlines() if line.startswith("error: ")]


def images_of(folder: Path, subject: str, echo: int, part: str) -> Path:
    return next((folder / subject).rglob(f"*echo-{echo}_part-{part}_MEGRE.nii.gz"))


def changed(path: Path, change) -> None:
    """Write another volume under the header of an image."""
    image = nibabel.load(path)
    volume = change(np.asarray(image.dataobj, dtype=np.float32)).astype(np.float32)
    written = nibabel.Nifti1Image(volume, image.affine)
    written.set_sform(image.affine, int(image.header["sform_code"]))
    written.set_qform(image.affine, int(image.header["qform_code"]))
    nibabel.save(written, path)


def noisy(folder: Path, subject: str, number: int) -> None:
    """Add noise to each echo, 1 % of the largest magnitude, so that no two runs are alike."""
    random = np.random.default_rng(number)
    for echo in range(1, 5):
        magnitude, phase = (np.asarray(nibabel.load(images_of(folder, subject, echo, part)).dataobj, dtype=np.float32) for part in ("mag", "phase"))
        signal = magnitude * np.exp(1j * phase) + 0.01 * magnitude.max() * (random.normal(size=magnitude.shape) + 1j * random.normal(size=magnitude.shape))
        for part, volume in (("mag", np.abs(signal)), ("phase", np.angle(signal))):
            changed(images_of(folder, subject, echo, part), lambda _old, volume=volume: volume)


@pytest.fixture(scope="module")
def twenty(heads, tmp_path_factory) -> Path:
    """One head as twenty subjects with noise of their own; four are broken: cut short, an echo that moved, a turned sign, a wrong echo time."""
    folder = tmp_path_factory.mktemp("twenty")
    for number in range(1, 21):
        subject = f"sub-{number:02d}"
        for source in (heads / "bids" / "sub-01").rglob("*_MEGRE*"):
            target = folder / subject / "anat" / source.name.replace("sub-01", subject)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        noisy(folder, subject, number)
    broken = images_of(folder, CORRUPT, 1, "phase")
    broken.write_bytes(broken.read_bytes()[:1000])
    for part in ("mag", "phase"):
        changed(images_of(folder, MOVED, 2, part), lambda volume: np.roll(volume, 1, 0))
        sidecar = images_of(folder, MISTIMED, 3, part).with_name(f"{MISTIMED}_echo-3_part-{part}_MEGRE.json")
        sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"EchoTime": 1.05 * json.loads(sidecar.read_text())["EchoTime"]}))
    changed(images_of(folder, TURNED, 2, "phase"), np.negative)
    return folder


@pytest.fixture(scope="module")
def launched(twenty, tmp_path_factory) -> tuple[Engine, Run]:
    """Twenty runs with --lean, in one of them a task killed, four of them broken."""
    folder = tmp_path_factory.mktemp("launched")
    project = copy_of_the_pipeline(folder / "chiflow")
    change_stage(project, "swi", KILLED_ONCE.format(marker=folder / "killed"))
    engine = Engine(project, folder / "launch")
    return engine, engine.run("--input", twenty, *QUICK, "--lean", out=folder / "out")


def test_broken_subjects_cost_no_other_its_map(launched):
    _, done = launched
    assert done.status == 1 and "chiflow: 17 runs done, 16 of them green, 3 failed, 0 series set aside" in done.said.splitlines(), done.said
    failed = {row["run"]: row for row in done.rows("runs.tsv") if row["status"] == "failed"}
    assert {run: row["stage"] for run, row in failed.items()} == {CORRUPT: "INTAKE", MOVED: "GATE", TURNED: "GATE"} and "is it complete?" in failed[CORRUPT]["reason"]
    assert len([name for name in maps_of(done.out) if name.endswith("_Chimap.nii.gz") and "_desc-" not in name]) == 17


def test_the_page_of_all_runs_shows_the_broken_ones_and_no_other_as_not_green(launched):
    _, done = launched
    page = (done.out / "cohort.html").read_text(encoding="utf8")
    with open(done.out / "cohort.tsv", encoding="utf8", newline="") as stream:
        table = {row["run"]: row for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)}
    assert len(table) == 20 and {run: row["verdict"] for run, row in table.items() if row["verdict"] != "pass"} == VERDICTS
    assert re.findall(r'<tr data-verdict="(fail|warn)"><th scope="row">(?:<a [^>]*>)?([^<]+)', page) == [(verdict, run) for run, verdict in VERDICTS.items()]
    for run, words in ((CORRUPT, "is it complete?"), (MOVED, "the head moved"), (TURNED, "flipped sign"), (MISTIMED, "compare the echo times with the protocol")):
        assert words in table[run]["reasons"], run
    assert all((done.out / link).is_file() for link in re.findall(r'href="([^"]+)"', page))


def test_the_end_is_told_in_ten_lines_at_most(launched):
    lines = [line for line in launched[1].said.splitlines() if line.startswith("chiflow: ")]
    assert len(lines) <= 10 and lines[-1].startswith("chiflow: all runs on one page: ") and lines[-1].endswith("/cohort.html")
    assert [line for line in lines if line.startswith(f"chiflow: amber: {MISTIMED}: gate: EchoTimeError")]


def test_a_killed_task_runs_again(launched):
    _, done = launched
    rows = [row for row in done.rows("trace.txt") if "SWI" in row["name"]]
    assert sorted((row["status"], row["exit"]) for row in rows) == [*[("COMPLETED", "0")] * 17, ("FAILED", "137")]


def test_lean_keeps_no_content_and_the_resume_of_what_is_left(launched, twenty, heads):
    engine, done = launched
    unfinished = {row["workdir"] for row in done.rows("trace.txt") if row["tag"] in (MOVED, TURNED)}
    images = [path for path in (engine.launch / "work").rglob("*.nii") if not path.is_symlink() and str(path.parent) not in unfinished]
    assert len(images) > 17 * 10 and max(path.stat().st_size for path in images) > 2**19
    assert {path.name for path in images if path.stat().st_blocks * 512 > 8192} == set()
    before = maps_of(done.out)
    good = next((heads / "bids" / "sub-01").rglob("*echo-1*part-phase*.nii.gz"))
    shutil.copy(good, twenty / CORRUPT / "anat" / good.name.replace("sub-01", CORRUPT))
    again = engine.run("--input", twenty, *QUICK, "--lean", "-resume", out=done.out)
    assert {tag for _, tag in again.tasks("COMPLETED")} == {CORRUPT} and again.tasks("FAILED") == {("GATE", MOVED), ("GATE", TURNED)}, again.said
    assert before.items() <= maps_of(done.out).items()


def test_what_lean_removed_is_never_read_as_data(launched, twenty):
    engine, done = launched
    varied = engine.run("--input", twenty, *QUICK[:2], "--inversion", "l2", *QUICK[4:], "-resume", out=done.out.parent / "varied")
    assert varied.status == 1
    reasons = {row["reason"] for row in varied.rows("runs.tsv") if row["stage"] not in ("", "GATE")}
    assert reasons == {"local.nii: its content was removed after use (--lean): run again without -resume"}, varied.said


def test_lean_leaves_the_user_s_files_alone_wherever_they_are(project, heads, tmp_path):
    shutil.copytree(heads / "bids" / "sub-02", tmp_path / "launch" / "ab" / "sub-02")
    source = tmp_path / "launch" / "ab"
    for packed in source.rglob("*.nii.gz"):
        subprocess.run(["gunzip", packed], check=True)
    before = {path.name: path.read_bytes() for path in source.rglob("*.nii")}
    done = Engine(project, tmp_path / "launch").run("--input", source, *QUICK, "--lean", "-w", tmp_path / "launch", out=tmp_path / "out")
    assert done.status == 0, done.said
    assert before == {path.name: path.read_bytes() for path in source.rglob("*.nii")} and before


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("this machine mounts no file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_what_was_done_is_used_when_there_is_room(project, heads, small_disk, tmp_path):
    engine = Engine(project, tmp_path / "launch")
    options = ("--input", heads / "bids", *QUICK, "-w", small_disk)
    full = engine.run(*options, out=tmp_path / "out")
    reasons = [row["reason"] for row in full.rows("runs.tsv") if row["status"] == "failed" and row["run"] != "all runs"]
    assert full.status == 1 and "chiflow: 0 runs done, 0 of them green, 2 failed, 0 series set aside" in full.said.splitlines() and all("No space left on device" in reason for reason in reasons), full.said
    early = {(stage, run) for stage in ("INTAKE", "COMBINE") for run in ("sub-01", "sub-02")}
    assert early <= full.tasks("COMPLETED"), "done before the disk was full"
    subprocess.run(["mount", "-o", f"remount,size={LARGE_DISK_BYTES}", small_disk], check=True)
    again = engine.run(*options, "-resume", out=tmp_path / "out")
    assert again.status == 0, again.said
    assert early <= again.tasks("CACHED")


def test_altered_weights_are_refused(heads, tmp_path):
    project = copy_of_the_pipeline(tmp_path / "chiflow")
    weights = project / "weights" / "brain_mask.safetensors"
    original = weights.read_bytes()
    weights.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    engine = Engine(project, tmp_path / "launch")
    done = engine.run("--input", heads / "bids", out=tmp_path / "out")
    assert done.status == 1
    for row in done.rows("runs.tsv"):
        assert (row["status"], row["stage"]) == ("failed", "MASK") and "SHA-256" in row["reason"] and "is not that of its card" in row["reason"]
    weights.write_bytes(original)
    again = engine.run("--input", heads / "bids", *QUICK[:4], "-resume", out=tmp_path / "out")
    assert again.status == 0 and {("FIELDMAP", "sub-01"), ("FIELDMAP", "sub-02")} <= again.tasks("CACHED"), again.said


def test_of_two_launches_into_one_folder_the_second_stops_and_of_two_folders_none(project, heads, tmp_path):
    engine = Engine(project, tmp_path / "launch")
    options = ("--input", heads / "bids", *QUICK)
    head = engine.start(*options, "--outdir", tmp_path / "out")
    try:
        wait_for(lambda: (tmp_path / "out" / "pipeline_info" / "runs.tsv").is_file())
        second = engine.run(*options, out=tmp_path / "out")
        assert second.status == 1 and [line for line in errors_in(second) if "another run is writing into" in line], second.said
        resumed = engine.run(*options, "-resume", out=tmp_path / "other")
        assert resumed.status == 0 or "Unable to acquire lock" in resumed.said
        assert head.wait(timeout=240) == 0
    finally:
        if head.poll() is None:
            kill(head)
    assert len([name for name in maps_of(tmp_path / "out") if name.endswith("_Chimap.nii.gz") and "_desc-" not in name]) == 2
    assert engine.run(*options, "-resume", out=tmp_path / "out").status == 0, "the lock ends with the run"


def test_a_missing_image_is_told_before_any_task(project, heads, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "podman").write_text("#!/bin/sh\necho 'Error: no such image' >&2\nexit 125\n")
    (tools / "podman").chmod(0o755)
    done = Engine(project, tmp_path / "launch").run("--input", heads / "bids", "-profile", "podman", out=tmp_path / "out", PATH=f"{tools}:{os.environ['PATH']}")
    assert done.status == 1 and "Submitted process" not in done.said
    (line,) = errors_in(done)
    assert "chiflow-light:" in line and "chiflow-torch:" in line and "containers/build.sh" in line
