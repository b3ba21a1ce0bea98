"""χ as DICOM: what other programs read back is where it was and as large as it was, whatever the order and tilt of the axes."""

import json
import subprocess

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_rescale
from test_stages import run

from chiflow.core.contracts import Acquisition
from chiflow.core.nifti import Image
from chiflow.export import STEP_PPM, write_dicom

ACQUISITION = Acquisition(echo_times_s=[0.01], magnetic_field_strength_t=3, id="sub-1_ses-b_run-2", Manufacturer="GE")
SHAPE = (11, 12, 13)


def tilted(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]]) @ np.diag([0.8, 1.1, 2.0, 1]) + np.array([[0, 0, 0, -9.0], [0, 0, 0, 4], [0, 0, 0, 31], [0, 0, 0, 0]])


AFFINES = {"straight": tilted(0), "tilted": tilted(25), "flipped": tilted(25) @ np.diag([-1, 1, -1, 1]), "sagittal": tilted(-15)[:, [1, 2, 0, 3]]}


def chi_of(affine: np.ndarray) -> Image:
    return Image(np.random.default_rng(0).normal(scale=0.1, size=SHAPE).astype(np.float32), affine, "chi.nii")


def by_place(volume: np.ndarray, affine: np.ndarray) -> dict[tuple, float]:
    """Value by place of the voxel's middle, in 0.01 mm: the files write 16 digits, NIfTI's float32 affine seven."""
    places = nibabel.affines.apply_affine(affine, np.indices(volume.shape).reshape(3, -1).T)
    return dict(zip(map(tuple, np.rint(100 * places).astype(int) // 5), volume.ravel().tolist()))


@pytest.mark.parametrize("name", AFFINES)
def test_dcm2niix_reads_the_same_values_at_the_same_places(name, tmp_path):
    chi = chi_of(AFFINES[name])
    paths = write_dicom(chi, ACQUISITION, tmp_path / "out")
    assert paths[0].parent == tmp_path / "out" / "sub-1" / "ses-b" / "dicom" / "sub-1_ses-b_run-2_Chimap"
    subprocess.run(["dcm2niix", "-b", "n", "-z", "n", "-f", "back", "-o", tmp_path, paths[0].parent], check=True, capture_output=True)
    image = nibabel.load(next(tmp_path.glob("back*.nii")))
    before, after = by_place(chi.data, chi.affine), by_place(image.get_fdata(), image.affine)
    assert before.keys() == after.keys()
    assert max(abs(before[place] - after[place]) for place in before) <= 0.51 * STEP_PPM


@pytest.mark.parametrize("name", AFFINES)
def test_a_slice_says_itself_where_it_is_and_what_it_is(name, tmp_path):
    chi = chi_of(AFFINES[name])
    files = [pydicom.dcmread(path) for path in write_dicom(chi, ACQUISITION, tmp_path)]
    truth, found = by_place(chi.data, chi.affine), {}
    for tags in files:
        columns, rows = np.array(tags.ImageOrientationPatient, float).reshape(2, 3)
        assert abs(columns @ rows) < 1e-9 and columns[np.abs(columns).argmax()] > 0, "columns run to the left, or back where the slices are sagittal"
        values = apply_rescale(tags.pixel_array, tags)
        for (row, column), value in np.ndenumerate(values):
            place = np.array(tags.ImagePositionPatient, float) + column * columns * float(tags.PixelSpacing[1]) + row * rows * float(tags.PixelSpacing[0])
            found[tuple(np.rint(100 * place * [-1, -1, 1]).astype(int) // 5)] = value
    assert found.keys() == truth.keys() and max(abs(found[place] - truth[place]) for place in truth) <= 0.51 * STEP_PPM
    mapping = files[0].RealWorldValueMappingSequence[0]
    assert (mapping.RealWorldValueSlope, mapping.MeasurementUnitsCodeSequence[0].CodeValue) == (STEP_PPM, "[ppm]")
    assert {tags.SeriesInstanceUID for tags in files} == {files[0].SeriesInstanceUID} and len({tags.SOPInstanceUID for tags in files}) == len(files)
    assert (str(files[0].PatientName), files[0].PatientID, files[0].StudyDate) == ("1", "1", "")


def test_equal_maps_are_equal_bytes_and_other_maps_other_series(tmp_path):
    chi = chi_of(AFFINES["tilted"])
    first, again = (write_dicom(chi, ACQUISITION, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    other = write_dicom(Image(-chi.data, chi.affine, "chi.nii"), ACQUISITION, tmp_path / "c")
    assert pydicom.dcmread(other[0]).SeriesInstanceUID != pydicom.dcmread(first[0]).SeriesInstanceUID


def test_by_hand(tmp_path):
    nibabel.save(nibabel.Nifti1Image(chi_of(AFFINES["straight"]).data, AFFINES["straight"]), tmp_path / "chi.nii")
    (tmp_path / "a.json").write_text(json.dumps({"EchoTimes": [0.01], "MagneticFieldStrength": 3, "Id": "sub-1"}))
    done = run("export", tmp_path, ["--chi", "chi.nii", "--acquisition", "a.json", "--out", "."])
    assert done.stdout == "sub-1/dicom/sub-1_Chimap: 13 slices\n" and len(list((tmp_path / "sub-1/dicom/sub-1_Chimap").glob("*.dcm"))) == 13
