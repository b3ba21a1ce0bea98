"""Statistics of labelled regions, and a label as the reference of χ."""

import csv
import json

import nibabel
import numpy as np
import pytest
from test_stages import run

from chiflow.core.errors import ChiflowError
from chiflow.core.labels import label_names, label_number, labels_on
from chiflow.core.nifti import Image, load, save
from chiflow.regions import Map, region_rows, table_text

SHAPE, AFFINE = (11, 12, 13), np.diag([-1.0, 1.2, 2, 1])
NAMES = {1: "left caudate", 2: "rim", 7: "absent"}


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.05, 0.02, SHAPE).astype(np.float32)


def labels() -> np.ndarray:
    found = np.zeros(SHAPE, np.int32)
    found[2:5, 3:6, 4:8], found[:, :, 0], found[8, 8, 8] = 1, 2, 5
    return found


def test_rows_are_those_of_a_naive_loop():
    mask, values = np.random.default_rng(0).random(SHAPE) < 0.7, volume(1)
    mask[:, :, 0] = False
    rows = region_rows(labels(), NAMES, [Map("Chimap", "ppm", values, mask)])
    assert [(row["index"], row["name"]) for row in rows] == [(1, "left caudate"), (2, "rim"), (5, "5"), (7, "absent")]
    inside = values[(labels() == 1) & mask].astype(float)
    expected = {"n": len(inside), "inside": len(inside) / 36, "mean": inside.mean(), "sd": inside.std(ddof=1), "median": np.median(inside), "p95": np.percentile(inside, 95)}
    assert {key: rows[0][key] for key in expected} == pytest.approx(expected, rel=1e-12)
    assert (rows[1]["n"], rows[1]["inside"], rows[1]["mean"]) == (0, 0.0, None), "a region outside the mask"
    assert (rows[2]["n"], rows[2]["sd"]) == (int(mask[8, 8, 8]), None), "one voxel has no SD"
    assert (rows[3]["n"], rows[3]["inside"]) == (0, None), "a name without a voxel"
    text = table_text(rows)
    assert text.splitlines()[2].split("\t")[4:8] == ["0", "0", "n/a", "n/a"] and {line.count("\t") for line in text.splitlines()} == {12}


def test_labels_on_another_grid_take_the_nearest_voxel_and_say_so(tmp_path):
    fine = nibabel.Nifti1Image(np.repeat(labels(), 2, axis=2).astype(np.int16), AFFINE @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, -0.25], [0, 0, 0, 1.0]]))
    turned = fine.as_reoriented(nibabel.orientations.axcodes2ornt("PSR"))
    like = Image(volume(0), AFFINE, tmp_path / "chi.nii")
    for name, image in (("fine.nii.gz", fine), ("turned.nii", turned)):
        nibabel.save(image, tmp_path / name)
        found, resampled = labels_on(tmp_path / name, like)
        assert resampled and np.array_equal(found, labels()), name
    nibabel.save(nibabel.Nifti1Image(labels().astype(np.int16), AFFINE), tmp_path / "same.nii")
    found, resampled = labels_on(tmp_path / "same.nii", like)
    assert not resampled and np.array_equal(found, labels())


def test_labels_that_cannot_be_used_are_told(tmp_path):
    like = Image(volume(0), AFFINE, tmp_path / "chi.nii")
    save(tmp_path / "share.nii", 0.5 * (labels() > 0), like)
    with pytest.raises(ChiflowError, match="whole numbers"):
        labels_on(tmp_path / "share.nii", like)
    save(tmp_path / "far.nii", labels() > 0, Image(volume(0), AFFINE + np.array([[0, 0, 0, 500.0]] + [[0] * 4] * 3), tmp_path))
    with pytest.raises(ChiflowError, match="one space"):
        labels_on(tmp_path / "far.nii", like)


def test_names_of_labels(tmp_path):
    table = tmp_path / "dseg.tsv"
    table.write_text("name\tcolor\tindex\nleft caudate\t#fff\t11\nright caudate\t#000\t50\nright caudate\t#000\t51\n")
    names = label_names(table)
    assert names == {11: "left caudate", 50: "right caudate", 51: "right caudate"}
    assert (label_number("left caudate", names, table), label_number("50", names, table), label_number("77", {}, table)) == (11, 50, 77)
    for wanted, words in (("putamen", "no label is called 'putamen': choose from left caudate"), ("right caudate", "two labels are called")):
        with pytest.raises(ChiflowError, match=words):
            label_number(wanted, names, table)
    for content, words in (("index,name\n1,a\n", "columns index and name"), ("index\tname\n1\ta\nx\tb\n", "line 3"), ("", "not a table")):
        table.write_text(content)
        with pytest.raises(ChiflowError, match=words):
            label_names(table)


@pytest.fixture
def folder(tmp_path):
    """The maps of a run, labels on a finer grid, and their names."""
    like = Image(volume(0), AFFINE, tmp_path)
    mask = np.zeros(SHAPE, bool)
    mask[1:-1, 1:-1, 1:-1] = True
    for name, content in (("maps/chi.nii", volume(1) * mask), ("maps/r2star.nii", 400 * volume(2) * mask), ("maps/eroded.nii", mask), ("maps/mask.nii", mask), ("field.nii", volume(3) * mask)):
        save(tmp_path / name, content, like)
    fine = nibabel.Nifti1Image(np.repeat(labels(), 2, axis=2).astype(np.int16), AFFINE @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, -0.25], [0, 0, 0, 1.0]]))
    nibabel.save(fine, tmp_path / "sub-1_dseg.nii.gz")
    (tmp_path / "dseg.tsv").write_text("index\tname\n1\tleft caudate\n2\trim\n")
    (tmp_path / "a.json").write_text(json.dumps({"EchoTimes": [0.01, 0.02], "MagneticFieldStrength": 3, "Id": "sub-1"}))
    return tmp_path


def test_by_hand(folder):
    done = run("regions", folder, ["--maps", "maps", "--labels", "sub-1_dseg.nii.gz", "--names", "dseg.tsv", "--out", "regions.tsv"])
    assert (done.returncode, done.stderr) == (0, "")
    with open(folder / "regions.tsv", encoding="utf8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert [(row["name"], row["map"], row["units"]) for row in rows[:2]] == [("left caudate", "Chimap", "ppm"), ("left caudate", "R2starmap", "1/s")]
    chi = load(folder / "maps" / "chi.nii").data
    assert float(rows[0]["mean"]) == pytest.approx(chi[labels() == 1].mean(), rel=1e-5)  # six digits are written
    record = json.loads((folder / "regions.json").read_text())
    assert record["Parameters"] == {"Resampled": True} and set(record["Inputs"]) == {"dseg.tsv", "sub-1_dseg.nii.gz"}
    assert record["Figures"] == {"Regions": 3, "WithoutVoxelInMask": 1}


@pytest.mark.parametrize("label", ["left caudate", "1"])
def test_a_label_becomes_the_reference(folder, label):
    words = ["--field", "field.nii", "--mask", "maps/mask.nii", "--acquisition", "a.json", "--method", "tkd", "--out", "chi.nii"]
    done = run("invert", folder, [*words, "--reference-region", "sub-1_dseg.nii.gz", "--reference-names", "dseg.tsv", "--reference-label", label])
    assert done.returncode == 0, done.stderr
    assert abs(load(folder / "chi.nii").data[labels() == 1].mean()) < 1e-7
    assert json.loads((folder / "chi.json").read_text())["Parameters"]["Reference"] == f"mean of the label {label} of sub-1_dseg.nii.gz, resampled"
    wrong = run("invert", folder, [*words, "--reference-region", "sub-1_dseg.nii.gz", "--reference-names", "dseg.tsv", "--reference-label", "putamen"])
    assert wrong.returncode == 1 and wrong.stderr == "error: dseg.tsv: no label is called 'putamen': choose from left caudate, rim\n"


def test_a_run_without_labels_says_that_its_reference_is_another(folder):
    done = run("invert", folder, ["--field", "field.nii", "--mask", "maps/mask.nii", "--acquisition", "a.json", "--method", "tkd", "--out", "chi.nii", "--reference-label", "rim"])
    assert done.returncode == 0 and "no label image for this run: χ is relative to the whole mask" in done.stderr
