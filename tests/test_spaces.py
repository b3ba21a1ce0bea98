"""B0 is the scanner's third axis: it is the same whatever a program made of the header, or there is a word."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from test_stages import run

from chiflow.convert import convert
from chiflow.core.contracts import Acquisition
from chiflow.core.errors import ChiflowError
from chiflow.core.labels import labels_on, mask_on
from chiflow.core.nifti import Image, load, load_like, save
from chiflow.core.spaces import ALIGNED as ALIGNED_CODE
from chiflow.core.spaces import UNCODED, axes_of, space_of, turn_deg
from chiflow.export import slices
from chiflow.intake import take_in
from chiflow.intake.direction import by_sidecar, parsed_b0
from chiflow.phantom.grid import slab

SHAPE, VOXEL = (10, 12, 9), (1.0, 1.2, 2.0)
SCANNER = slab(SHAPE, VOXEL, tilt_deg=30, turn_deg=10).affine @ np.diag([-1.0, 1, 1, 1])  # left, anterior, superior, as dcm2niix writes slices
STRAIGHT = np.diag([-VOXEL[0], VOXEL[1], VOXEL[2], 1.0])  # what an alignment to an atlas makes of it
TRUE_B0 = SCANNER[2, :3] / VOXEL
LPS = np.array([-1, -1, 1])


def cosines(rows, columns):
    """ImageOrientationPatientDICOM of a DICOM image with these directions (right, anterior, superior)."""
    return [float(value) for value in (*(rows * LPS), *(columns * LPS))]


AXES = SCANNER[:3, :3] / VOXEL
NATIVE = {"ImageOrientationPatientDICOM": cosines(AXES[:, 0], -AXES[:, 1]), "MRAcquisitionType": "2D"}


def write(path, data, qform=None, qcode=0, sform=None, scode=0):
    """An image with the matrices and codes of a header."""
    image = nibabel.Nifti1Image(data, np.eye(4))
    image.header.set_qform(np.eye(4) if qform is None else qform, qcode)
    image.header.set_sform(np.eye(4) if sform is None else sform, scode)
    header = image.header.copy()
    raw = bytearray(nibabel.Nifti1Image(data, None, header).to_bytes())
    raw[252:256] = np.array([qcode, scode], "<i2").tobytes()
    path.write_bytes(bytes(raw))


def bids(folder, matrices, sidecar=None):
    """A run of two echoes under a header."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for echo, time in ((1, 0.004), (2, 0.009)):
        for part, data in (("mag", 50 + random.random(SHAPE)), ("phase", random.uniform(-np.pi, np.pi, SHAPE))):
            stem = folder / f"sub-1_echo-{echo}_part-{part}_MEGRE"
            write(stem.with_suffix(".nii"), data.astype(np.float32), **matrices)
            stem.with_suffix(".json").write_text(json.dumps({"EchoTime": time, "MagneticFieldStrength": 3} | (sidecar or {})))
    return folder


BOTH = {"qform": SCANNER, "qcode": 1, "sform": SCANNER, "scode": 1}
OVER = {"qform": SCANNER, "qcode": 1, "sform": STRAIGHT, "scode": 2}
ALIGNED = {"sform": STRAIGHT, "scode": 2}
TOLD = {  # matrices, sidecar, what gave B0, words of a warning
    "both of the scanner": (BOTH, {}, "matrix of the scanner", None),
    "sform alone": ({"sform": SCANNER, "scode": 1}, {}, "matrix of the scanner", None),
    "qform alone": ({"qform": SCANNER, "qcode": 1}, {}, "matrix of the scanner", None),
    "sform aligned over the scanner's qform": (OVER, {}, "matrix of the scanner", "its other matrix turns it by 30.0°"),
    "two of the scanner that differ": ({**OVER, "scode": 1}, {}, "matrix of the scanner", "its other matrix turns it by 30.0°"),
    "qform aligned under the scanner's sform": ({"qform": STRAIGHT, "qcode": 2, "sform": SCANNER, "scode": 1}, {}, "matrix of the scanner", "turns it by 30.0°"),
    "aligned, the sidecar tells": (ALIGNED, NATIVE, "ImageOrientationPatientDICOM", None),
    "no matrix, the sidecar tells (2D)": ({}, NATIVE, "ImageOrientationPatientDICOM", None),
}


@pytest.mark.parametrize("matrices, sidecar, source, warned", TOLD.values(), ids=TOLD)
def test_b0_of_a_tilted_scan_is_that_of_the_scanner(tmp_path, matrices, sidecar, source, warned):
    acquired = take_in(sorted(bids(tmp_path / "run", matrices, sidecar).iterdir()), [], "sub-1").acquisition
    assert turn_deg(np.array(acquired.b0_direction), TRUE_B0) < 0.01
    assert acquired.model_extra["B0Source"] == source
    assert len(acquired.warnings) == (1 if warned else 0) and all(warned in text for text in acquired.warnings)
    assert acquired.model_extra["TiltDegrees"] == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize("matrices, sidecar", [({}, {}), (ALIGNED, {}), ({}, NATIVE | {"MRAcquisitionType": None}),
                                               ({"sform": np.array(STRAIGHT)[[1, 2, 0, 3]], "scode": 4}, {})])
def test_b0_that_nothing_tells_is_a_warning_until_it_is_given(tmp_path, matrices, sidecar):
    files = sorted(bids(tmp_path / "run", matrices, sidecar).iterdir())
    warnings = take_in(files, [], "sub-1").acquisition.warnings
    assert len(warnings) == 1 and "B0 is taken to be" in warnings[0] and "give --b0" in warnings[0]
    given = take_in(files, [], "sub-1", b0=tuple(TRUE_B0)).acquisition
    assert (given.model_extra["B0Source"], given.warnings) == ("--b0", []) and np.allclose(given.b0_direction, TRUE_B0, atol=1e-6)


def test_a_sidecar_that_speaks_against_the_header_is_a_warning(tmp_path):
    straight = {"qform": STRAIGHT, "qcode": 1, "sform": STRAIGHT, "scode": 1}
    warnings = take_in(sorted(bids(tmp_path / "run", straight, NATIVE).iterdir()), [], "sub-1").acquisition.warnings
    assert len(warnings) == 1 and "ImageOrientationPatientDICOM turns it by 30.0°" in warnings[0]


def test_a_sidecar_of_dcm2niix_tells_what_its_header_does(heads, tmp_path):
    (tmp_path / "key").write_text("secret")
    convert(heads / "dicom" / "phantom-01", tmp_path / "key", tmp_path / "out", tmp_path / "subjects.tsv")
    path = next((tmp_path / "out").glob("*_part-mag_MEGRE.nii"))
    image, sidecar = load(path), json.loads(path.with_suffix(".json").read_text())
    assert sidecar["MRAcquisitionType"] == "3D" and turn_deg(axes_of(image.affine)[2], np.array([0, 0, 1])) == pytest.approx(20, abs=0.1)
    for code in (UNCODED, ALIGNED_CODE):
        assert np.allclose(by_sidecar(replace(image, code=code), sidecar), axes_of(image.affine), atol=1e-4)


@pytest.mark.parametrize("text", ["0,0", "0,0,0", "a,b,c", "nan,0,1"])
def test_b0_that_is_no_direction_is_one_line(text):
    with pytest.raises(ChiflowError, match="--b0"):
        parsed_b0(text)
    assert parsed_b0("0,3,4") == (0, 0.6, 0.8)


@pytest.mark.parametrize("matrices", [BOTH, OVER, ALIGNED, {}], ids=["scanner", "both", "aligned", "none"])
def test_a_map_says_of_its_space_what_its_source_said(tmp_path, matrices):
    write(tmp_path / "in.nii", np.ones(SHAPE, np.float32), **matrices)
    image = load(tmp_path / "in.nii")
    save(tmp_path / "out.nii.gz", image.data, image)
    header, before = (nibabel.load(tmp_path / name).header for name in ("out.nii.gz", "in.nii"))
    back = load(tmp_path / "out.nii.gz")
    assert np.allclose(back.affine, image.affine, atol=1e-5) and back.code == image.code and (back.aligned is None) == (image.aligned is None)
    assert np.allclose(header.get_best_affine(), before.get_best_affine(), atol=1e-5), "viewers lay it over its source"
    assert (header["qform_code"] == 1) == (1 in (before["qform_code"], before["sform_code"])), "no map says that it is the scanner's when it is not"


@pytest.mark.parametrize("matrices", [OVER, ALIGNED, {"qform": SCANNER, "qcode": 1}], ids=["its own header", "sform alone", "qform alone"])
def test_a_mask_fits_by_either_matrix(tmp_path, matrices):
    write(tmp_path / "scan.nii", np.ones(SHAPE, np.float32), **OVER)
    write(tmp_path / "mask.nii", np.ones(SHAPE, np.float32), **matrices)
    scan = load(tmp_path / "scan.nii")
    assert load_like(tmp_path / "mask.nii", scan).data.all()
    assert labels_on(tmp_path / "mask.nii", scan)[1] is False and mask_on(tmp_path / "mask.nii", scan)[0].all()


def test_labels_on_another_grid_of_the_aligned_space_are_found_there(tmp_path):
    write(tmp_path / "scan.nii", np.ones(SHAPE, np.float32), **OVER)
    fine = np.diag([0.5, 0.5, 0.5, 1]) @ np.eye(4)
    labels = np.zeros([2 * n for n in SHAPE], np.float32)
    labels[8:12, 10:14, 6:10] = 7
    write(tmp_path / "labels.nii", labels, sform=STRAIGHT @ fine, scode=2)
    found, resampled = labels_on(tmp_path / "labels.nii", load(tmp_path / "scan.nii"))
    assert resampled and set(np.argwhere(found == 7).mean(axis=0).round(1)) == {4.5, 5.5, 3.5}


def test_a_stage_by_hand_says_so_when_nobody_knows_b0(tmp_path):
    x, y, z = np.indices(SHAPE)
    field = (0.01 * np.sin(x) * np.cos(y + z)).astype(np.float32)
    for kind, matrices in (("scanner", BOTH), ("aligned", ALIGNED)):
        write(tmp_path / f"{kind}.nii", field, **matrices)
    write(tmp_path / "mask.nii", np.ones(SHAPE, np.float32), **OVER)
    (tmp_path / "a.json").write_text(json.dumps({"EchoTimes": [0.01], "MagneticFieldStrength": 3}))
    words = ["--mask", "mask.nii", "--acquisition", "a.json", "--method", "tkd", "--no-remainder", "--out", "chi.nii"]
    assert "B0" not in run("invert", tmp_path, ["--field", "scanner.nii", *words]).stderr
    done = run("invert", tmp_path, ["--field", "aligned.nii", *words])
    assert done.returncode == 0 and "B0 is guessed from another" in done.stderr
    assert "B0 is guessed" in " ".join(json.loads((tmp_path / "chi.json").read_text())["Warnings"])


def test_dicom_of_a_map_that_is_not_placed_by_the_scanner_says_so():
    acquisition = Acquisition(EchoTimes=[0.01], MagneticFieldStrength=3, Id="sub-1")
    first = lambda code: next(slices(Image(np.zeros(SHAPE, np.float32), SCANNER, None, code), acquisition))
    assert "ImageComments" not in first(1) and "not the scanner's" in first(2).ImageComments


def test_a_header_with_a_broken_quaternion_has_its_sform():
    header = nibabel.Nifti1Header()
    header.set_sform(SCANNER, 1)
    header["qform_code"], header["quatern_b"], header["quatern_c"] = 1, 2.0, 2.0
    assert np.allclose(space_of(header).affine, SCANNER, atol=1e-5)
