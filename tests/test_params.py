"""One truth for the parameters: schema = config = README = what the stages take; and what a wrong one says."""

import json
import re

import pytest
from conftest import ROOT, Engine
from parameters import gate_table, table

SCHEMA = json.loads((ROOT / "nextflow_schema.json").read_text(encoding="utf8"))
RULES = {name: rule for group in SCHEMA["$defs"].values() for name, rule in group["properties"].items()}


def test_config_declares_the_schema_with_its_defaults():
    block = re.search(r"^params \{(.*?)^\}", (ROOT / "nextflow.config").read_text(encoding="utf8"), re.S | re.M)[1]
    declared = dict(re.findall(r"(\w+) = (.+)", block))
    spoken = {name: repr(rule.get("default", "")).replace("False", "false").replace("True", "true") for name, rule in RULES.items()}
    assert declared == spoken


@pytest.mark.parametrize("marker, text", [("parameters", table(SCHEMA)), ("gate", gate_table())])
def test_the_readme_shows_what_the_code_decides(marker, text):
    shown = (ROOT / "README.md").read_text(encoding="utf8").split(f"<!-- {marker} -->")[1].split(f"<!-- /{marker} -->")[0]
    assert shown.strip() == text, "run 'make docs'"


def test_choices_are_the_registries():
    from chiflow.background import BACKGROUND_METHODS
    from chiflow.fieldmap import FIELD_FITS
    from chiflow.gate import POLICIES
    from chiflow.invert import INVERSIONS, TOTAL_FIELD_INVERSIONS
    from chiflow.invert.reference import REFERENCES
    from chiflow.mask.extract import BRAIN_EXTRACTIONS
    from chiflow.relax import RELAXATIONS
    from chiflow.unwrap import UNWRAPPINGS

    for name, stage, registry in (("unwrapping", "unwrap", UNWRAPPINGS), ("field_fit", "fieldmap", FIELD_FITS), ("brain_extraction", "mask", BRAIN_EXTRACTIONS),
                                  ("background", "background", BACKGROUND_METHODS), ("inversion", "invert", INVERSIONS | TOTAL_FIELD_INVERSIONS), ("reference", "invert", REFERENCES), ("relaxation", "relax", RELAXATIONS)):
        assert set(RULES[name]["enum"]) == set(registry)
        signature = (ROOT / "bin" / f"{stage}.py").read_text(encoding="utf8")
        assert f'= "{RULES[name]["enum"][0]}",\n' in signature, "the first choice is the executable's default"
    assert RULES["unwrapping"]["enum"] == list(UNWRAPPINGS), "the order of the gate's fallback"
    assert set(RULES["gate"]["enum"]) == set(POLICIES)
    told = (ROOT / "modules" / "params.nf").read_text(encoding="utf8")
    assert f"return inversion in {list(TOTAL_FIELD_INVERSIONS)}\n" in told, "the engine knows which inversions need no local field"


def test_every_parameter_is_used():
    sources = [ROOT / "main.nf", ROOT / "nextflow.config", *(ROOT / "modules" / f"{name}.nf" for name in ("given", "launch", "training")), *(ROOT / "conf").glob("*.config")]
    text = "".join(source.read_text(encoding="utf8") for source in sources)
    assert [name for name in RULES if f"params.{name}" not in text and f"options.{name}" not in text] == []


@pytest.fixture(scope="module")
def engine(project, tmp_path_factory):
    return Engine(project, tmp_path_factory.mktemp("launch"))


def test_help_shows_every_parameter_with_type_and_default(engine):
    done = engine.run("--help")
    assert done.status == 0
    for group in SCHEMA["$defs"].values():
        assert group["title"] in done.said
    for name, rule in RULES.items():
        (line,) = [line for line in done.said.splitlines() if line.strip().startswith(f"--{name} ")]
        assert rule["type"] in line and str(rule.get("default", "")).lower() in line


def test_all_that_is_wrong_is_told_at_once_before_any_task(engine, tmp_path):
    wrong = ["--inptu", "x", "--least_quality", "3", "--background", "vsarp", "--queue", "a b", "--masks"]
    done = engine.run(*wrong, "--account", "$(id)")
    assert done.status == 1 and "Submitted process" not in done.said
    told = [line for line in done.said.splitlines() if line.startswith("error: ")]
    for start in (
        "error: --inptu: there is no such parameter, did you mean --input?",
        "error: --input: is missing",
        "error: --outdir: is missing",
        "error: --least_quality: 3 is outside 0 to 1",
        "error: --background: 'vsarp' is none of informed, net, joint, vsharp, pdf, lbv, resharp, ismv, did you mean vsharp?",
        "error: --queue: 'a b' does not have the form",
        "error: --account: '$(id)' does not have the form",
    ):
        assert [line for line in told if line.startswith(start)], (start, done.said)
    assert len(told) == 8  # and --masks, whose value is missing


def test_a_mistyped_number_is_told(engine, tmp_path):
    done = engine.run("--input", tmp_path, "--least_quality", "high", out=tmp_path / "out")
    assert done.status == 1 and "error: --least_quality: 'high' is not of type number" in done.said


def test_folders_that_cannot_be_used_stop_with_one_line(engine, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "note").write_text("x")
    below_a_file = tmp_path / "note" / "out"
    for source, out, said in (
        (tmp_path / "full", below_a_file, "--outdir: cannot write into"),
        (tmp_path / "empty", tmp_path / "out", "is empty"),
        (tmp_path / "none", tmp_path / "out", "there is no folder"),
        (tmp_path / "full", tmp_path, "--input lies inside"),
        (tmp_path / "full", tmp_path / "private" / "..", "--input lies inside"),
        (tmp_path / "full", tmp_path / "out" / "private" / "..", "--private_dir: "),
    ):
        private = tmp_path / "out" / "private" if "--private_dir" in said else tmp_path / "private"
        done = engine.run("--input", source, "--private_dir", private, out=out)
        (line,) = [line for line in done.said.splitlines() if line.startswith("error: ")]
        assert done.status == 1 and said in line and "Submitted process" not in done.said


def bids_of(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize("names, source, said", [
    (["dataset_description.json", "sub-1/anat/sub-1_T1w.nii.gz", "sub-1/func/sub-1_bold.nii", "sub-2/func/sub-2_bold.nii"], ".", "has images _T1w (1), _bold (2); a run is sub-"),
    (["dataset_description.json"], ".", "has no image in sub-*/"),
    (["sub-1/anat/sub-1_echo-1_part-mag_MEGRE.nii"], "sub-1", "sub-1 is one subject of a BIDS data set: name the folder that holds it"),
    (["scan/mag.nii.gz", "scan/phase.nii.gz"], "scan", "2 NIfTI images without BIDS names in scan: name them sub-01/anat/"),
    (["empty/in/.DS_Store"], "empty", "no file lies below empty"),
])
def test_a_folder_that_can_give_no_run_is_told_what_it_is_before_any_task(engine, tmp_path, names, source, said):
    done = engine.run("--input", bids_of(tmp_path / "in", *names) / source, out=tmp_path / "out")
    (line,) = [line for line in done.said.splitlines() if line.startswith("error: ")]
    assert done.status == 1 and said in line and not (tmp_path / "out").exists(), done.said


def test_a_file_that_is_a_link_to_nothing_fails_its_run_and_no_other(engine, tmp_path):
    folder = bids_of(tmp_path / "in", *[f"sub-{n}/anat/sub-{n}_echo-{echo}_part-{part}_MEGRE.nii" for n in (1, 2) for echo in (1, 2) for part in ("mag", "phase")])
    lost = folder / "sub-2" / "anat" / "sub-2_echo-2_part-phase_MEGRE.nii"
    lost.unlink()
    lost.symlink_to("../../.git/annex/objects/xx")
    done = engine.run("--input", folder, "-stub-run", out=tmp_path / "out")
    rows = {row["run"]: (row["status"], row["stage"]) for row in done.rows("runs.tsv")}
    assert done.status == 1 and rows == {"sub-1": ("done", ""), "sub-2": ("failed", "INPUT")}, done.said
    (line,) = [line for line in done.said.splitlines() if line.startswith("chiflow: failed: sub-2 in INPUT: ")]
    assert "datalad get" in line


def test_a_folder_named_by_a_number_is_a_folder(engine, tmp_path):
    folder = bids_of(tmp_path / "in", *[f"sub-1/anat/sub-1_echo-1_part-{part}_MEGRE.nii" for part in ("mag", "phase")])
    done = engine.run("--input", folder, "-stub-run", out="20251128", PYTHONPATH=str(tmp_path), PYTHONHOME=str(tmp_path))
    assert done.status == 0, done.said
    assert (engine.launch / "20251128" / "sub-stub" / "anat" / "sub-1_Chimap.nii.gz").exists()


def test_a_folder_without_any_run_stops_with_the_reasons(engine, tmp_path):
    (tmp_path / "in" / "scan").mkdir(parents=True)
    (tmp_path / "in" / "scan" / "file").write_text("not an image")
    done = engine.run("--input", tmp_path / "in", out=tmp_path / "out")
    assert done.status == 1 and "no run to process was found" in done.said
    assert "no DICOM image" in done.said
