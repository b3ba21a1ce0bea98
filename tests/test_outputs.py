"""What lies in OUT: what this launch made and nothing of an earlier one, no file of anyone else touched, and refused before any task where it could not be so."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import QUICK, Engine, maps_of

A, B = (*QUICK,), (*QUICK[:2], "--inversion", "l2", *QUICK[4:], "--dicom")


def spoken(project: Path, folder: Path, script: str) -> dict:
    """What functions of the pipeline return, called by a script of its own: the JSON that it prints."""
    (project / "trial.nf").write_text(script, encoding="utf8")
    command = [Engine(project, folder / "launch").command()[0], "-q", "run", str(project / "trial.nf"), "-name", f"trial_{folder.name[-20:].strip('_').lower()}"]
    done = subprocess.run(command, cwd=folder / "launch", capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stdout + done.stderr
    return json.loads(lines[-1])


PUT = """
include {{ put ; retire ; publishedNames }} from './modules/outputs'

workflow {{
    def out = file('{out}')
    def said = [first: put(out, 'sub-1', ['a/x': file('{made}/x1'), 'a/y': file('{made}/y1'), 'b/z': file('{made}/z1')], true)]
    file('{out}/theirs').text = 'theirs'
    file('{out}/a/y').text = 'edited'
    said.second = put(out, 'sub-1', ['a/x': file('{made}/x2'), 'a/y': file('{made}/y1')], true)
    file('{out}/a/x').text = file('{out}/a/x').text.take(3)
    said.third = put(out, 'sub-1', ['a/x': file('{made}/x2'), 'a/y': file('{made}/y1')], true)
    said.strange = put(out, 'sub-2', ['theirs': file('{made}/x1'), 'c/w': file('{made}/z1')], true)
    said.partly = put(out, 'sub-3', ['d/x': file('{made}/x1'), 'd/y': file('{made}/y1')], true)
    put(out, 'sub-3', ['d/x': file('{made}/x1')], false)
    said.retired = put(out, 'sub-4', ['e/f/x': file('{made}/x1')], true)
    retire(out, 'sub-4')
    said.names = publishedNames(out)
    println(groovy.json.JsonOutput.toJson(said))
}}
"""


@pytest.fixture(scope="module")
def put(project, tmp_path_factory) -> tuple[dict, Path]:
    """One folder after a run was published three times, cut short and edited between, beside a file of someone else."""
    folder = tmp_path_factory.mktemp("put")
    (folder / "made").mkdir()
    (folder / "out" / "pipeline_info" / "published").mkdir(parents=True)
    for name in ("x1", "y1", "z1", "x2"):
        (folder / "made" / name).write_text(f"content {name}")
    return spoken(project, folder, PUT.format(out=folder / "out", made=folder / "made")), folder / "out"


def test_a_file_gives_way_to_the_present_one_however_it_was_left(put):
    said, out = put
    assert [said[name] for name in ("first", "second", "third")] == [None] * 3
    assert (out / "a" / "x").read_text() == "content x2" and (out / "a" / "y").read_text() == "content y1"


def test_what_the_present_run_does_not_make_is_gone(put):
    _, out = put
    assert not (out / "b").exists(), "with its folder"
    assert not [path for path in out.rglob("*.part")]


def test_what_was_edited_or_cut_short_is_kept_aside(put):
    _, out = put
    aside = sorted((path.name, path.read_text()) for path in (out / "pipeline_info" / "outdated").rglob("a/*"))
    assert aside == [("x", "con"), ("y", "edited")]


def test_a_file_of_someone_else_is_never_touched_and_its_run_is_not_half_published(put):
    said, out = put
    assert "theirs" in said["strange"] and "move it away" in said["strange"] and (out / "theirs").read_text() == "theirs"
    assert not (out / "c").exists() and "sub-2" not in said["names"]


def test_what_a_run_that_failed_has_from_before_is_moved_and_not_lost(put):
    said, out = put
    assert not (out / "e").exists() and "sub-4" not in said["names"]
    (moved,) = (out / "pipeline_info" / "outdated").glob("*/e/f/x")
    assert moved.read_text() == "content x1"
    assert not (out / "d" / "y").exists() and list((out / "pipeline_info" / "outdated").glob("*/d/y")), "of an incomplete run as well"


PLACES = """
include {{ overlap }} from './modules/launch'

workflow {{
    def said = [{cases}].collectEntries {{ name, out, folder, isBids -> [name, overlap('input', file(folder), file(out), isBids)] }}
    println(groovy.json.JsonOutput.toJson(said))
}}
"""
CASES = {  # name: OUT, folder that is read, a BIDS data set, what is said
    "the same": ("in", "in", True, "is the folder of --input"),
    "the same by a link": ("link", "in", True, "is the folder of --input"),
    "inside": ("in/new/out", "in", False, "lies inside --input"),
    "inside by a link": ("link/sub-1/new", "in", True, "lies inside --input"),
    "around": (".", "in", True, "lies inside"),
    "around by a link": (".", "far", True, "lies inside"),
    "derivatives of a BIDS data set": ("in/derivatives/chiflow", "in", True, None),
    "the folder of all derivatives": ("in/derivatives", "in", True, "lies inside --input"),
    "derivatives of DICOM": ("in/derivatives/chiflow", "in", False, "lies inside --input"),
    "beside": ("out", "in", True, None),
    "a name that begins alike": ("input", "in", True, None),
    "up and down": ("in/../out", "in", True, None),
}


def test_a_folder_for_results_lies_apart_from_what_is_read_whatever_links_lead_there(project, tmp_path):
    root = tmp_path / "root"
    (root / "in" / "sub-1").mkdir(parents=True)
    (root / "link").symlink_to(root / "in")
    (tmp_path / "far").symlink_to(root / "in")
    (root / "far").symlink_to(tmp_path / "far")
    rows = ", ".join(f"['{name}', '{root / out}', '{root / folder}', {str(bids).lower()}]" for name, (out, folder, bids, _) in CASES.items())
    said = spoken(project, tmp_path, PLACES.format(cases=rows))
    wrong = {name: said[name] for name, (*_, words) in CASES.items() if (words is None) != (said[name] is None) or (words and words not in said[name])}
    assert wrong == {}


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("where, said", [("bids", "--outdir: "), ("bids/sub-01", "--outdir: "), ("other", "--outdir: "), ("done --two_pas", "--two_pas: "), ("done --help", "nextflow run")])
def test_a_launch_that_is_refused_leaves_every_folder_as_it_was(project, heads, tmp_path, where, said):
    shutil.copytree(heads / "bids", tmp_path / "bids")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dataset_description.json").write_text("{}")
    (tmp_path / "done" / "pipeline_info" / "published").mkdir(parents=True)
    for name in ("trace.txt", "dag.mmd", "report.html", "runs.tsv"):
        (tmp_path / "done" / "pipeline_info" / name).write_text("of an earlier launch")
    before = content_of(tmp_path)
    out, *more = where.split(" ")
    done = Engine(project, tmp_path.with_name(f"{tmp_path.name}_launch")).run("--input", tmp_path / "bids", *more, out=tmp_path / out)
    assert said in done.said and "Submitted process" not in done.said and (done.status == 0) == ("--help" in where), done.said
    assert content_of(tmp_path) == before
    assert not [path for path in (done.out.parent / f"{tmp_path.name}_launch").rglob("trace.txt")]


@pytest.fixture(scope="module")
def changed(project, heads, tmp_path_factory) -> dict:
    """One head by A, by B with DICOM, and by A again after a map was cut short and another launch left its run; what lay in OUT each time."""
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(heads / "bids" / "sub-01", folder / "one" / "sub-01")
    shutil.copytree(heads / "bids" / "sub-02", folder / "two" / "sub-02")
    engine, out, seen = Engine(project, folder / "launch"), folder / "out", {}
    for name, source, options in (("A", "one", A), ("B", "one", B), ("two", "two", A), ("again", "one", A)):
        if name == "again":
            chi = out / "sub-01" / "anat" / "sub-01_Chimap.nii.gz"
            chi.write_bytes(chi.read_bytes()[:1000])
        done = engine.run("--input", folder / source, *options, "-resume", out=out)
        assert done.status == 0, done.said
        seen[name] = (done, {path: content for path, content in content_of(out).items() if not path.startswith("pipeline_info")}, {row["run"]: row["status"] for row in done.rows("runs.tsv")})
    return seen | {"engine": engine, "folder": folder}


def of_run(files: dict[str, bytes], run: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.startswith(f"{run}/")}


def test_the_maps_are_those_of_the_options_whatever_was_there_before(changed):
    first, second, again = (of_run(changed[name][1], "sub-01") for name in ("A", "B", "again"))
    assert first == again and first.keys() < second.keys() and first["sub-01/anat/sub-01_Chimap.nii.gz"] != second["sub-01/anat/sub-01_Chimap.nii.gz"]
    assert [name for name in second if "/dicom/" in name] and not [name for name in again if "/dicom/" in name]
    assert changed["again"][0].tasks("COMPLETED") == set(), "and nothing was computed again"


def test_a_run_of_an_earlier_launch_is_marked_as_that(changed):
    assert [changed[name][2] for name in ("A", "B", "two", "again")] == [
        {"sub-01": "done"}, {"sub-01": "done"}, {"sub-01": "earlier", "sub-02": "done"}, {"sub-01": "done", "sub-02": "earlier"}]
    assert "chiflow: 1 run of earlier launches in the same folder: see pipeline_info/runs.tsv" in changed["again"][0].said.splitlines()


@pytest.fixture(scope="module")
def failing(changed) -> dict:
    """Launches after those in which R2* fails, and in which the inversion fails."""
    engine, folder, seen = changed["engine"], changed["folder"], {}
    for stage in ("RELAX", "INVERT"):
        (engine.launch / "broken.config").write_text(f"process {{ withName: {stage} {{ ext.args = '--no-such-option' }} }}\n", encoding="utf8")
        done = engine.run("--input", folder / "one", *A, "-c", "broken.config", "-resume", out=folder / "out")
        seen[stage] = (done, maps_of(done.out), {row["run"]: row for row in done.rows("runs.tsv")}, (done.out / "cohort.tsv").read_text(encoding="utf8"))
    return seen


def test_a_failed_side_branch_does_not_unmake_a_map(failing):
    done, maps, rows, cohort = failing["RELAX"]
    assert done.status == 1 and (rows["sub-01"]["status"], rows["sub-01"]["stage"]) == ("incomplete", "RELAX") and "no-such-option" in rows["sub-01"]["reason"]
    assert "sub-01_Chimap.nii.gz" in maps and "sub-01_R2starmap.nii.gz" not in maps, "and that of an earlier launch is not left in its place"
    assert "chiflow: 1 run done, 0 of them green, 0 failed, 0 series set aside" in done.said.splitlines(), done.said
    assert [line for line in done.said.splitlines() if line.startswith("chiflow: incomplete: sub-01: without RELAX: ")]
    (line,) = [line for line in cohort.splitlines() if line.startswith("sub-01\t")]
    assert line.split("\t")[1] == "warn" and "without RELAX" in line


def test_maps_of_before_are_not_left_to_a_run_that_failed(failing):
    done, maps, rows, cohort = failing["INVERT"]
    assert done.status == 1 and (rows["sub-01"]["status"], rows["sub-01"]["stage"]) == ("failed", "INVERT")
    assert not [name for name in maps if name.startswith("sub-01")] and not (done.out / "sub-01").exists()
    assert list((done.out / "pipeline_info" / "outdated").glob("*/sub-01/anat/sub-01_Chimap.nii.gz"))
    assert [line for line in done.said.splitlines() if line.startswith("chiflow: files that are not of this launch were moved to ")]
    assert "sub-01\tfail" in cohort and rows["sub-02"]["status"] == "earlier"


def test_a_file_in_the_way_fails_its_run_and_stays(project, heads, tmp_path):
    shutil.copytree(heads / "bids" / "sub-01", tmp_path / "one" / "sub-01")
    theirs = tmp_path / "out" / "sub-stub" / "anat" / "sub-01_Chimap.nii.gz"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("drawn by hand")
    done = Engine(project, tmp_path / "launch").run("--input", tmp_path / "one", "-stub-run", out=tmp_path / "out")
    assert theirs.read_text() == "drawn by hand" and os.listdir(tmp_path / "out" / "sub-stub") == ["anat"] and os.listdir(theirs.parent) == [theirs.name]
    (row,) = [row for row in done.rows("runs.tsv") if row["run"] == "sub-01"]
    assert done.status == 1 and (row["status"], row["stage"]) == ("failed", "PUBLISH") and theirs.name in row["reason"], done.said
