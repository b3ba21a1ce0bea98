"""From real scans to field maps and R2*, each claim with its source; skipped where the scans are not."""

import json
import shutil
import tarfile

import numpy as np
import pytest
from conftest import Engine, browser_says
from test_stages import CALLS, run

from chiflow.core.nifti import load
from chiflow.core.spanning_tree import pair, wrapped

FIELD_STAGES = ("combine", "unwrap", "fieldmap")


def taken_in(folder, files, id="sub-1"):
    words = ["--id", id, "--out-magnitude", "magnitude.nii", "--out-phase", "phase.nii", "--out-acquisition", "a.json"]
    done = run("intake", folder, [*words, *map(str, files)])
    assert done.returncode == 0, done.stderr
    for stage in FIELD_STAGES:
        done = run(stage, folder, CALLS[stage].split())
        assert done.returncode == 0, done.stderr
    return folder


def from_dicom(archive, folder):
    """One run of a DICOM archive, taken to its field map."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "dicom", filter="data")
    (folder / "key").write_text("key of a test")
    done = run("convert", folder, "--dicom dicom --key key --out converted --subjects subjects.tsv".split())
    assert done.returncode == 0, done.stderr
    run("arrange", folder, ["--out", "runs.json", *map(str, (folder / "converted").glob("*_MEGRE.json"))])
    runs = json.loads((folder / "runs.json").read_text())["Runs"]
    assert len(runs) == 1
    images = [folder / "converted" / name for name in runs[0]["Files"]]
    return taken_in(folder, [file for image in images for file in (image, image.with_suffix(".json"))], runs[0]["Id"])


def bright(folder, share=0.15):
    first = load(folder / "magnitude.nii", dimensions=(4,)).data[..., 0]
    return first > share * np.quantile(first, 0.999)


def jumps(unwrapped, mask):
    """Share of neighbours in the mask further apart than π."""
    steps = [np.abs(unwrapped[j] - unwrapped[i])[mask[i] & mask[j]] for i, j in map(pair, range(3))]
    return float((np.concatenate(steps) > np.pi).mean())


def test_siemens_phase_without_rescale_tags_gives_a_smooth_field(data, tmp_path):
    folder = from_dicom(data / "dicom" / "siemens_prisma3T_6echo_phantom.tar.xz", tmp_path)
    acquired = json.loads((folder / "a.json").read_text())
    assert acquired["EchoTimes"] == pytest.approx([0.0025, 0.0055, 0.0085, 0.0115, 0.0145, 0.0175])
    unwrapped, mask = load(folder / "unwrapped.nii", dimensions=(4,)).data, bright(folder)
    for echo in range(6):
        assert jumps(unwrapped[..., echo], mask) < 2e-3, f"wraps left in echo {echo + 1}"
    quality = load(folder / "quality.nii").data[mask]
    assert np.median(quality) > 0.99, "echoes on one line: phase is in rad"


def test_philips_field_is_the_published_one(data, tmp_path):
    folder = from_dicom(data / "dicom" / "philips_achieva3T_dualecho_phantom.tar.xz", tmp_path)
    mask, spacing_s = bright(folder), 0.010 - 0.007001
    field = load(folder / "field.nii").data
    difference = wrapped((2 * np.pi * spacing_s * field[mask]).astype(np.float32)) / (2 * np.pi * spacing_s)
    assert np.percentile(difference, [5, 50, 95]) == pytest.approx([-129, 52, 139], abs=3), "README of the data: wrapped at 1 / ΔTE = 333 Hz"
    assert jumps(2 * np.pi * spacing_s * field, mask) < 2e-3, "and the field map has no wraps left, though its range needs them"
    assert np.ptp(field[mask]) > 1 / spacing_s


def test_a_siemens_phase_difference_gives_its_field_map(data, tmp_path):
    folder = from_dicom(data / "dicom" / "siemens_prisma3T_head_gre_fieldmap.tar.xz", tmp_path)
    acquired = json.loads((folder / "a.json").read_text())
    assert (acquired["PhaseKind"], acquired["EchoTimes"], acquired["SourceEchoTimes"]) == ("difference", [0.00246], [0.00519, 0.00765])
    field, phase = load(folder / "field.nii").data, load(folder / "phase.nii", dimensions=(4,)).data[..., 0]
    mask = bright(folder)
    turned = (2 * np.pi * 0.00246 * field - phase)[mask]
    assert np.abs(turned - 2 * np.pi * np.rint(turned / (2 * np.pi))).max() < 1e-4, "the scanner's difference, unwrapped, and nothing else"
    assert jumps(2 * np.pi * 0.00246 * field, mask) < 2e-3
    assert np.percentile(field[mask], [5, 50, 95]) == pytest.approx([-73.5, -13.9, 32.8], abs=1), "measured in Hz"


def test_brain_in_vivo_is_unwrapped_exactly_and_decays_as_known(data, tmp_path):
    source = data / "dev" / "romeo_small_invivo"
    files = []
    for part, name in (("mag", "Mag.nii"), ("phase", "Phase.nii")):
        image = tmp_path / f"sub-1_part-{part}_MEGRE.nii"
        shutil.copyfile(source / name, image)
        image.with_suffix(".json").write_text(json.dumps({"EchoTime": [0.004, 0.008, 0.012], "MagneticFieldStrength": 7}))
        files += [image, image.with_suffix(".json")]
    folder = taken_in(tmp_path, files)
    for stage in ("mask", "relax"):
        assert run(stage, folder, CALLS[stage].split()).returncode == 0
    mask = load(folder / "mask.nii").data > 0
    assert mask.mean() > 0.4, "the crop is brain for the most part"
    turns = (load(folder / "unwrapped.nii", dimensions=(4,)).data - load(folder / "combined.nii", dimensions=(4,)).data)[mask] / (2 * np.pi)
    assert np.abs(turns - np.rint(turns)).max() < 1e-5
    assert jumps(load(folder / "unwrapped.nii", dimensions=(4,)).data[..., 2], mask) < 2e-3
    magnitude = load(folder / "magnitude.nii", dimensions=(4,)).data
    two_echoes = 0.008 / np.log(np.median(magnitude[..., 0]) / np.median(magnitude[..., 2]))
    assert two_echoes == pytest.approx(0.0306, rel=0.03), "README of the data: from echo 1 to 3"
    assert np.median(load(folder / "t2star.nii").data[mask]) == pytest.approx(0.0306, abs=0.001)


def test_a_head_in_vivo_has_a_page_that_opens_and_shows_its_iron(data, project, tmp_path):
    for name in ("siemens_prisma3T_head_gre_fieldmap", "ge_architect3T_head_b0map_hz"):
        with tarfile.open(data / "dicom" / f"{name}.tar.xz") as tar:
            tar.extractall(tmp_path / "dicom" / name, filter="data")
    done = Engine(project, tmp_path / "launch").run("--input", tmp_path / "dicom", "--private_dir", tmp_path / "private", "--inversion", "net", out=tmp_path / "out")
    assert done.status == 0, done.said
    (page,) = (tmp_path / "out").rglob("*_qsm.html")
    text = page.read_text(encoding="utf8")
    assert [name for name in ("chi", "start", "difference", "uncertainty", "residual", "local", "field", "swi") if f'<figure id="{name}">' not in text] == []
    assert "slices of 3 mm lie 3.6 mm apart" in text and '<b class="amber">Amber.</b>' in text
    for opened in (page, tmp_path / "out" / "cohort.html"):
        assert "</html>" in browser_says(opened, tmp_path)
    summary = json.loads(page.with_suffix(".json").read_text())
    assert summary["Figures"]["Skew"] > 0.1, "iron and veins are paramagnetic: measured 0.39"
    assert len(done.rows("set_aside.tsv")) == 2, "the scanner's own field map in Hz and its magnitude"
