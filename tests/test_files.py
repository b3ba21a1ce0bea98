"""NIfTI and JSON contracts: what goes out comes back, and bad files are one line."""

import gzip
import json

import nibabel
import numpy as np
import pytest

from chiflow.core.contracts import Acquisition, Record
from chiflow.core.errors import ChiflowError
from chiflow.core.masks import load_mask
from chiflow.core.nifti import Image, load, load_like, load_parts, read_header, rounding_note, save, save_parts

AFFINE = np.array([[-0.8, 0.02, 0, 10], [0.02, 0.8, 0, -20], [0, 0, 2.0, 5], [0, 0, 0, 1.0]])


def image(tmp_path, name="map.nii", data=None, affine=AFFINE):
    data = np.random.default_rng(0).normal(size=(11, 12, 13)).astype(np.float32) if data is None else data
    save(tmp_path / name, data, Image(data, affine, tmp_path / name))
    return tmp_path / name


@pytest.mark.parametrize("name", ["map.nii", "map.nii.gz", "mit Leerzeichen ä.nii.gz"])
def test_what_is_saved_comes_back(tmp_path, name):
    data = np.random.default_rng(1).normal(size=(11, 12, 13, 2)).astype(np.float32)
    back = load(image(tmp_path, name, data), dimensions=(4,))
    assert np.array_equal(back.data, data)
    assert np.allclose(back.affine, AFFINE, atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == [name], "no temporary file is left"


@pytest.mark.parametrize("coils", [1, 3])
def test_coils_come_back_one_at_a_time(tmp_path, coils):
    parts = np.random.default_rng(1).normal(size=(coils, 11, 12, 13, 2)).astype(np.float32)
    save_parts(tmp_path / "all.nii", iter(parts), coils, Image(parts[0], AFFINE, tmp_path))
    header = read_header(tmp_path / "all.nii")
    assert header.shape == ((11, 12, 13, 2) if coils == 1 else (11, 12, 13, 2, 3))
    assert np.allclose(header.affine, AFFINE, atol=1e-6)
    assert np.array_equal(list(load_parts(tmp_path / "all.nii")), parts)
    assert [p.name for p in tmp_path.iterdir()] == ["all.nii"], "no temporary file is left"
    image(tmp_path, "saved.nii", parts[0] if coils == 1 else np.moveaxis(parts, 0, -1))
    assert (tmp_path / "all.nii").read_bytes() == (tmp_path / "saved.nii").read_bytes(), "one file, whichever way it was written"


@pytest.mark.parametrize("shapes, said", [([(2, 3, 4, 1)], "1 parts, expected 2"), ([(2, 3, 4, 1)] * 3, "part 3 .* expected 2 parts"),
                                          ([(2, 3, 4, 1), (2, 3, 5, 1)], r"part 2 has shape \(2, 3, 5, 1\)"), ([], "0 parts, expected 2")])
def test_coils_that_do_not_fit_leave_no_file(tmp_path, shapes, said):
    parts = [np.zeros(shape, np.float32) for shape in shapes]
    with pytest.raises(ChiflowError, match=said):
        save_parts(tmp_path / "all.nii", parts, 2, Image(np.zeros(3), AFFINE, tmp_path))
    assert not list(tmp_path.iterdir())


def test_bad_coils_are_named(tmp_path):
    parts = np.zeros((2, 3, 4, 5, 1), np.float32)
    parts[1, 0, 0, 0, 0] = np.nan
    save_parts(tmp_path / "all.nii", parts, 2, Image(parts[0], AFFINE, tmp_path))
    with pytest.raises(ChiflowError, match="all.nii: 1 voxels of coil 2 are NaN"):
        list(load_parts(tmp_path / "all.nii"))
    with pytest.raises(ChiflowError, match="map.nii: shape .* is 3D, expected 4D or 5D"):
        list(load_parts(image(tmp_path)))


def test_equal_maps_are_equal_bytes_whatever_the_name(tmp_path):
    assert image(tmp_path, "a.nii.gz").read_bytes() == image(tmp_path, "b.nii.gz").read_bytes()


def test_a_mask_is_stored_as_bytes_and_read_as_bool(tmp_path):
    mask = np.random.default_rng(2).random((5, 6, 7)) > 0.5
    path = image(tmp_path, "mask.nii", mask)
    assert np.array_equal(load_mask(path), mask)
    assert path.stat().st_size == 352 + mask.size


def broken(tmp_path, case):
    whole = image(tmp_path, "whole.nii.gz" if case == "truncated gzip" else "whole.nii")
    if case in ("truncated", "truncated gzip"):
        bad = tmp_path / ("bad" + "".join(whole.suffixes))
        bad.write_bytes(whole.read_bytes()[:2000])
        return bad
    if case == "not nifti":
        (tmp_path / "bad.nii").write_text("hello")
        return tmp_path / "bad.nii"
    if case == "nan":
        data = np.ones((4, 4, 4), dtype=np.float32)
        data[1, 2, 3] = np.nan
        return image(tmp_path, "bad.nii", data)
    if case == "4D":
        return image(tmp_path, "bad.nii", np.ones((4, 4, 4, 2), dtype=np.float32))
    return tmp_path / "missing.nii"


@pytest.mark.parametrize("case", ["truncated", "truncated gzip", "not nifti", "nan", "4D", "missing"])
def test_a_bad_file_is_named(tmp_path, case):
    path = broken(tmp_path, case)
    with pytest.raises(ChiflowError, match=path.name):
        load(path)


def in_one(path, data, kind):
    """A NIfTI file of one of the kinds that are read, with the same matrix and codes."""
    made = (nibabel.Nifti2Image if kind == "NIfTI-2" else nibabel.Nifti1Image)(data, AFFINE)
    for place in (made.set_qform, made.set_sform):
        place(AFFINE, 1)
    if kind == "big end first":
        made = nibabel.Nifti1Image(data, None, made.header.as_byteswapped(">"))
    path.write_bytes(gzip.compress(made.to_bytes()) if path.name.lower().endswith("gz") else made.to_bytes())


@pytest.mark.parametrize("name, kind", [("a.nii", "NIfTI-2"), ("a.nii.gz", "NIfTI-2"), ("a.NII.GZ", "NIfTI-1"), ("a.NII", "NIfTI-1"), ("a.nii", "big end first")])
def test_other_forms_of_nifti_are_read(tmp_path, name, kind):
    data = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    in_one(tmp_path / name, data, kind)
    back = load(tmp_path / name)
    assert np.array_equal(back.data, data) and np.allclose(back.affine, AFFINE, atol=1e-6) and back.code == 1


def test_a_byte_order_mark_before_json_is_no_content(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"EchoTimes": [0.004], "MagneticFieldStrength": 3}).encode())
    assert Acquisition.read(tmp_path / "a.json").echo_times_s == [0.004]


@pytest.mark.parametrize("target, said", [(".git/annex/objects/x/MD5E-s12--a.nii.gz", "a link without content: fetch it with 'datalad get' or 'git annex get'"),
                                          ("/cache/dvc/ab/cdef", "a link without content: fetch it")])
def test_a_link_without_content_is_named_with_what_to_do(tmp_path, target, said):
    (tmp_path / "a.nii.gz").symlink_to(target)
    with pytest.raises(ChiflowError, match=f"a.nii.gz: {said}"):
        load(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("content, said", [("/annex/objects/MD5E-s12--a.nii.gz\n", "datalad get"), ("version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 9\n", "git lfs pull")])
def test_what_stands_in_for_a_file_is_named_with_what_to_do(tmp_path, content, said):
    for name in ("a.nii.gz", "a.json"):
        (tmp_path / name).write_text(content)
        with pytest.raises(ChiflowError, match=f"{name}: stands in for a file that is not here: .*{said}"):
            (load if name == "a.nii.gz" else Acquisition.read)(tmp_path / name)


def test_headers_that_round_are_taken_with_a_note(tmp_path):
    reference, rounded = load(image(tmp_path)), AFFINE.copy()
    rounded[:3, 3] = rounded[:3, 3].round(1) + 0.04
    near = load_like(image(tmp_path, "near.nii", affine=rounded), reference)
    assert rounding_note(near, reference) == ["near.nii: its header places it up to 0.069 mm off map.nii: taken for rounding"] and not rounding_note(reference, reference)


def test_other_grids_are_refused(tmp_path):
    reference = load(image(tmp_path))
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.5
    with pytest.raises(ChiflowError, match="0.5 mm off the grid of map.nii, more than half a voxel"):
        load_like(image(tmp_path, "shifted.nii", affine=shifted), reference)
    with pytest.raises(ChiflowError, match=r"\(11, 12, 14\)"):
        load_like(image(tmp_path, "longer.nii", np.ones((11, 12, 14), dtype=np.float32)), reference)
    with pytest.raises(ChiflowError, match="zero everywhere"):
        load_mask(image(tmp_path, "empty.nii", np.zeros((11, 12, 13), dtype=bool)), reference)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ChiflowError, match="cannot be written"):
        image(tmp_path / "file")


ACQUISITION = {"EchoTimes": [0.004, 0.008], "MagneticFieldStrength": 3, "ImagingFrequency": 123.2, "B0Direction": [0, 0, 1], "Vendor": "x"}


def written(tmp_path, **changes):
    content = {key: value for key, value in (ACQUISITION | changes).items() if value is not None}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return tmp_path / "a.json"


def test_an_acquisition_by_hand_is_enough_and_keeps_what_it_does_not_know(tmp_path):
    acquired = Acquisition.read(written(tmp_path))
    assert (acquired.frequency_mhz, acquired.frequency_source) == (123.2, "ImagingFrequency")
    acquired.write(tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text())["Vendor"] == "x"
    by_strength = Acquisition.read(written(tmp_path, ImagingFrequency=None))
    assert by_strength.frequency_mhz == pytest.approx(127.732, abs=1e-3)
    assert by_strength.frequency_source == "MagneticFieldStrength"


@pytest.mark.parametrize("changes, said", [
    ({"EchoTimes": [4, 8]}, "milliseconds"),
    ({"EchoTimes": [0.008, 0.004]}, "do not increase"),
    ({"EchoTimes": [0.0, 0.004]}, "positive"),
    ({"EchoTimes": None}, "EchoTimes"),
    ({"MagneticFieldStrength": 30000, "ImagingFrequency": None}, "MagneticFieldStrength 30000 looks like gauss"),
    ({"MagneticFieldStrength": None, "ImagingFrequency": 123.2e6}, "ImagingFrequency 1.232e.08 looks like Hz"),
    ({"EchoTimes": []}, "EchoTimes"),
    ({"MagneticFieldStrength": None, "ImagingFrequency": None}, "ImagingFrequency"),
    ({"MagneticFieldStrength": "three"}, "MagneticFieldStrength"),
    ({"B0Direction": [0, 1]}, "B0Direction"),
])
def test_a_wrong_acquisition_names_file_and_key(tmp_path, changes, said):
    with pytest.raises(ChiflowError, match=f"a.json.*{said}"):
        Acquisition.read(written(tmp_path, **changes))


def test_a_record_stands_beside_its_image(tmp_path):
    Record(stage="invert", method="tv", units="ppm", figures={"x": 1.5}).write_beside(tmp_path / "chi.nii.gz")
    back = Record.read(tmp_path / "chi.json")
    assert (back.method, back.figures, set(back.made.software) >= {"chiflow", "numpy"}) == ("tv", {"x": 1.5}, True)
