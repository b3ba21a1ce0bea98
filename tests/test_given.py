"""Images of the user's own go with the run that their names can only mean; what is not clear ends the launch, what is not used is listed."""

import json
import os
import shutil
import subprocess

import pytest
from conftest import ROOT

IDS = ["sub-01", "sub-02_ses-a", "sub-02_ses-b_run-1", "sub-010"]
FITS = {  # images that are given together, the run, which of them it gets
    "plain": (["sub-01_mask.nii.gz"], "sub-01", ["sub-01_mask.nii.gz"]),
    "fMRIPrep": (["sub-01_desc-brain_mask.nii.gz"], "sub-01", ["sub-01_desc-brain_mask.nii.gz"]),
    "HD-BET": (["sub-01_echo-1_part-mag_MEGRE_mask.nii.gz"], "sub-01", ["sub-01_echo-1_part-mag_MEGRE_mask.nii.gz"]),
    "BET": (["sub-01_echo-1_part-mag_MEGRE_brain_mask.NII.GZ"], "sub-01", ["sub-01_echo-1_part-mag_MEGRE_brain_mask.NII.GZ"]),
    "of the subject, for a session": (["sub-02_mask.nii"], "sub-02_ses-b_run-1", ["sub-02_mask.nii"]),
    "of the session before the subject": (["sub-02_mask.nii", "sub-02_ses-a_mask.nii"], "sub-02_ses-a", ["sub-02_ses-a_mask.nii"]),
    "of a run, without its session": (["sub-02_run-1_mask.nii"], "sub-02_ses-b_run-1", ["sub-02_run-1_mask.nii"]),
    "another subject of a longer name": (["sub-01_mask.nii"], "sub-010", []),
    "a name that is too short": (["sub-1_mask.nii"], "sub-01", []),
    "T1w": (["sub-01_space-T1w_desc-brain_mask.nii.gz"], "sub-01", []),
    "MNI": (["sub-01_space-MNI152NLin2009cAsym_mask.nii.gz"], "sub-01", []),
    "cerebellum beside the brain": (["sub-01_desc-cerebellum_mask.nii", "sub-01_desc-brain_mask.nii"], "sub-01", ["sub-01_desc-brain_mask.nii"]),
    "cerebellum beside a plain one": (["sub-01_desc-cerebellum_mask.nii", "sub-01_mask.nii"], "sub-01", ["sub-01_mask.nii"]),
    "two alike": (["a/sub-01_mask.nii", "b/sub-01_mask.nii"], "sub-01", ["a/sub-01_mask.nii", "b/sub-01_mask.nii"]),
    "two of parts": (["sub-01_desc-one_mask.nii", "sub-01_desc-two_mask.nii"], "sub-01", ["sub-01_desc-one_mask.nii", "sub-01_desc-two_mask.nii"]),
}
SCRIPT = """
include {{ candidates }} from '{options}'

workflow {{
    def cases = new groovy.json.JsonSlurper().parseText(file('cases.json').text)
    println('FOUND ' + groovy.json.JsonOutput.toJson(cases.collectEntries {{ name, fit -> [name, candidates(fit[0].collect {{ image -> file("/g/${{image}}") }}, fit[1])*.toString()] }}))
}}
"""


def engine(folder, *words):
    """One call of the engine in a folder."""
    nextflow = shutil.which("nextflow") or pytest.skip("no nextflow on PATH: run 'make setup'")
    return subprocess.run([nextflow, "run", *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=600, env=os.environ | {"NXF_OFFLINE": "true"})


def test_an_image_goes_with_the_run_that_its_name_means(tmp_path):
    (tmp_path / "cases.json").write_text(json.dumps(FITS))
    (tmp_path / "main.nf").write_text(SCRIPT.format(options=ROOT / "modules" / "options.nf"))
    done = engine(tmp_path, "main.nf")
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("FOUND "))[6:])
    assert found == {name: [f"/g/{image}" for image in images] for name, (_, _, images) in FITS.items()}


LISTS = """
include {{ notUsed }} from '{given}'

workflow {{
    def files = {{ names -> names.collect {{ name -> file("/g/${{name}}") }} }}
    println('FOUND ' + groovy.json.JsonOutput.toJson(notUsed([masks: files(['sub-01_mask.nii', 'sub-01_space-T1w_mask.nii', 'sub-1_mask.nii']), labels: [], references: []], ['sub-01'])))
    notUsed([masks: [], labels: files(['sub-1_dseg.nii', 'dseg.tsv']), references: []], ['sub-01'])
}}
"""


def test_what_goes_with_no_run_is_listed_and_nothing_that_does_is_an_end(tmp_path):
    (tmp_path / "main.nf").write_text(LISTS.format(given=ROOT / "modules" / "given.nf"))
    done = engine(tmp_path, "main.nf")
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("FOUND "))[6:])
    assert found == [["sub-01_space-T1w_mask.nii", "not used: it is in another space than the scan, as its name says"],
                     ["sub-1_mask.nii", "not used: it fits no run, name it after one: sub-<label>[_…]"]]
    assert done.returncode == 1
    assert "error: --segmentations: none of 1 images goes with a run; sub-1_dseg.nii: not used: it fits no run, name it after one" in done.stdout + done.stderr


def test_what_is_not_clear_ends_the_launch_before_any_task(tmp_path):
    anat = tmp_path / "bids" / "sub-01" / "anat"
    anat.mkdir(parents=True)
    (tmp_path / "bids" / "dataset_description.json").write_text("{}")
    for part in ("mag", "phase"):
        (anat / f"sub-01_echo-1_part-{part}_MEGRE.nii").write_text("x")
    for name in ("a/sub-01_mask.nii", "b/sub-01_mask.nii"):
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "masks" / name).write_text("x")
    done = engine(tmp_path, ROOT, "--input", tmp_path / "bids", "--outdir", tmp_path / "out", "--masks", tmp_path / "masks")
    assert done.returncode == 1 and "error: sub-01: a/sub-01_mask.nii and b/sub-01_mask.nii fit alike, keep one of them" in done.stdout + done.stderr
    assert not list((tmp_path / "work").glob("*/*/.command.run"))
