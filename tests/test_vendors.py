"""What vendors write otherwise, on the real file that has it and on a twin written by the phantom: one signal comes out of all of them."""

import shutil
import tarfile
from dataclasses import dataclass, replace

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from scipy import ndimage

from chiflow.arrange import arrange
from chiflow.combine import combine
from chiflow.convert import convert
from chiflow.core.contracts import Acquisition
from chiflow.core.dipole import DipoleOperator
from chiflow.core.errors import ChiflowError
from chiflow.core.geometry import geometry_of
from chiflow.intake import take_in
from chiflow.phantom.bids import write_bids, write_field_map
from chiflow.phantom.coils import coil_scan
from chiflow.phantom.dicom import write_dicom
from chiflow.phantom.dicom.vendors import VENDORS
from chiflow.phantom.scan import Protocol, Scan

LEVEL = 2 * np.pi / 4096  # of a 12-bit phase
PROTOCOL = Protocol((11, 12, 13), (1.1, 0.9, 2.0), 20, 10, "axial", (0.0035, 0.0087, 0.0142))
BEYOND = 20  # slices
BODY_SHAPE = {  # measured: correlation of the gradients of the phase and of the field of the body's shape
    "siemens_prisma3T_head_gre_fieldmap": 0.343,
    "siemens_xa30_enhanced_head_gre_fieldmap": 0.114,
    "ge_mr750_3T_3Ddualecho_magrealimag_abdomen": 0.110,
}


def smooth_scan(protocol=PROTOCOL) -> Scan:
    """A ball with a smooth phase, 0.3 rad from slice to slice, in noise: what the corrections need and no more."""
    rng = np.random.default_rng(8)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in protocol.shape], indexing="ij")
    inside = x**2 + y**2 + z**2 < 0.9
    field_hz = 60 * x * y + 30 * z + 20 * np.sin(3 * y)
    offset = 0.4 + x + 1.5 * z
    clean = [inside * (1 - 0.3 * x) * np.exp(-20 * t + 1j * (offset + 2 * np.pi * field_hz * t)) for t in protocol.echo_times_s]
    signal = np.stack(clean, -1) + 0.02 * (rng.normal(size=(*protocol.shape, len(clean), 2)) @ [1, 1j])
    return Scan(protocol, protocol.grid, np.abs(signal).astype(np.float32), np.angle(signal).astype(np.float32), {"mask": inside})


SCAN = smooth_scan()


@dataclass
class Answer:
    """What came out of a folder of DICOM: each run's arrays and acquisition, and the reasons of what was set aside."""

    runs: list
    aside: list[tuple[str, str]]

    @property
    def run(self):
        """The only run."""
        (run,) = self.runs
        return run

    @property
    def reasons(self) -> set[str]:
        """Why series were set aside."""
        return {reason for _, reason in self.aside}


@dataclass
class Taken:
    """One run after INTAKE, (X, Y, Z, E[, C])."""

    magnitude: np.ndarray
    phase: np.ndarray
    affine: np.ndarray
    acquired: Acquisition

    @property
    def convention(self) -> dict:
        """How the phase was brought into one form."""
        return self.acquired.model_dump()["PhaseConvention"]


def taken(files, run) -> Taken:
    scan = take_in(files, [], run)
    magnitudes, phases = ([part.copy() for part in parts] for parts in zip(*scan))
    magnitude, phase = (parts[0] if len(parts) == 1 else np.stack(parts, -1) for parts in (magnitudes, phases))
    return Taken(magnitude, phase, scan.affine, scan.acquisition)


def answer_to(dicom, folder) -> Answer:
    """CONVERT, ARRANGE and INTAKE of a folder."""
    (folder / "key").write_text("key of a test")
    converted = convert(dicom, folder / "key", folder / "out", folder / "subjects.tsv")
    arranged = arrange(list((folder / "out").glob("*_MEGRE.json")))
    runs = [taken([(folder / "out" / name).with_suffix(ending) for name in run.files for ending in (".nii", ".json")], run.id) for run in arranged.runs]
    return Answer(runs, [(entry.name.split(" ", 1)[1], entry.reason) for entry in converted.aside + arranged.aside])


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The answer to the twin of a vendor, made once."""
    known = {}

    def of(vendor) -> Answer:
        if vendor not in known:
            folder = tmp_path_factory.mktemp(vendor)
            write_dicom(SCAN, folder / "dicom", "01", 0, vendor=vendor)
            known[vendor] = answer_to(folder / "dicom", folder)
        return known[vendor]

    return of


@pytest.fixture(scope="module")
def real(data, tmp_path_factory):
    """The answer to a real DICOM archive, made once."""
    known = {}

    def of(name) -> Answer:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            with tarfile.open(data / "dicom" / f"{name}.tar.xz") as tar:
                tar.extractall(folder / "dicom", filter="data")
            known[name] = answer_to(folder / "dicom", folder)
        return known[name]

    return of


def canonical(volume, affine):
    """A volume on axes that run right, anterior, superior as far as they can."""
    return np.asarray(nibabel.as_closest_canonical(nibabel.Nifti1Image(volume, affine)).dataobj)


def turns(phase, other):
    """Largest distance on the circle."""
    return np.abs(np.angle(np.exp(1j * (phase - other)))).max()


def expected(vendor) -> tuple[np.ndarray, np.ndarray]:
    """Magnitude and phase of SCAN that a vendor's export holds, canonical."""
    magnitude, phase = SCAN.magnitude.astype(float), SCAN.phase.astype(float)
    if vendor == "siemens-difference":
        magnitude, phase = (magnitude[..., :2] ** -2.0).sum(-1, keepdims=True) ** -0.5, phase[..., 1:2] - phase[..., :1]
    if vendor == "siemens-missing-slices":
        magnitude, phase = magnitude[..., [0, 2]], phase[..., [0, 2]]
    if vendor == "siemens-coils":
        coils = [coil_scan(SCAN, coil, 4) for coil in range(4)]
        magnitude, phase = np.stack([coil.magnitude for coil in coils], -1), np.stack([coil.phase for coil in coils], -1)
    return canonical(magnitude, SCAN.grid.affine), canonical(phase, SCAN.grid.affine)


SIEMENS_LEVELS, PLAIN = "levels −4096 … 4095", {"Sign": 1, "FlippedSlices": "none"}
GE_FOUND = {"From": "real and imaginary part", "Sign": -1, "FlippedSlices": "every other one along k"}
FOUND = {vendor: {"From": "phase", "Scale": SIEMENS_LEVELS} | PLAIN for vendor in VENDORS} | {
    "siemens-no-rescale": {"From": "phase", "Scale": "levels 0 … 4095"} | PLAIN,
    "siemens-difference": {"From": "difference of two phases", "Scale": SIEMENS_LEVELS} | PLAIN,
    "philips": {"From": "phase", "Scale": "rad"} | PLAIN,
    "philips-1000": {"From": "phase", "Scale": "rad × 1000"} | PLAIN,
    "ge": GE_FOUND,
    "ge-hz": GE_FOUND,
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_signal_is_the_same_from_every_vendor(export, vendor):
    run = export(vendor).run
    magnitude, phase = expected(vendor)
    assert {key: value for key, value in run.convention.items() if key != "SignReason"} == FOUND[vendor]
    found, scale = canonical(run.magnitude, run.affine), canonical(run.phase, run.affine)
    seen = magnitude > 0.1 * magnitude.max()
    assert turns(scale[seen], phase[seen]) <= 1.01 * LEVEL / 2 * (1 if "ge" not in vendor else 0.5), "half a level; GE stores 15 bits of each part"
    factor = np.sum(found * magnitude, axis=(0, 1, 2)) / np.sum(magnitude**2, axis=(0, 1, 2))
    unsaturated = found < 0.99 * found.max()
    assert np.abs(found / factor - magnitude)[seen & unsaturated].max() < 2e-3 * magnitude.max(), "12 bits"
    assert np.ptp(factor) < 0.01 * np.mean(factor) or vendor == "siemens-coils", "one factor for all echoes"


@pytest.mark.parametrize("other", ["siemens-enhanced", "siemens-repeated-numbers", "siemens-norm"])
def test_another_export_of_a_scan_gives_equal_arrays(export, other):
    one, two = export("siemens").run, export(other).run
    assert np.array_equal(one.magnitude, two.magnitude) and np.array_equal(one.phase, two.phase)
    assert one.acquired.echo_times_s == two.acquired.echo_times_s == list(PROTOCOL.echo_times_s)
    assert np.allclose(one.affine, two.affine, atol=1e-6)


def test_what_is_beside_a_scan_has_its_reason(export):
    assert export("siemens").aside == []
    assert export("siemens-norm").aside == [("series 7", "a second magnitude, the phase of the scan belongs to another one")]
    assert export("ge-hz").aside == [], "the scanner's field map tells the sign"


def test_a_field_map_of_the_scanner_tells_the_sign_of_ge(export, tmp_path):
    assert export("ge").run.convention["SignReason"] == "phase of GE runs backwards"
    assert export("ge-hz").run.convention["SignReason"] == "the scanner's field map agrees with the phase reversed (r = 1.00)"
    forward = replace(SCAN, phase=-SCAN.phase)
    write_dicom(forward, tmp_path / "dicom", "01", 0, vendor="ge")
    write_dicom(SCAN, tmp_path / "other", "01", 0, series=8, vendor="ge-hz")
    (tmp_path / "other" / "009_gre_b0").rename(tmp_path / "dicom" / "b0")
    run = answer_to(tmp_path / "dicom", tmp_path).run
    assert run.convention["Sign"] == 1, "a GE scan whose phase was reversed before"
    seen = canonical(SCAN.magnitude, SCAN.grid.affine) > 0.1
    assert turns(canonical(run.phase, run.affine)[seen], canonical(SCAN.phase, SCAN.grid.affine)[seen]) < LEVEL


def test_a_field_map_that_runs_against_a_known_vendor_is_a_warning(tmp_path):
    write_dicom(replace(SCAN, phase=-SCAN.phase), tmp_path / "dicom", "01", 0)
    write_dicom(SCAN, tmp_path / "other", "01", 0, series=8, vendor="ge-hz")
    (tmp_path / "other" / "009_gre_b0").rename(tmp_path / "dicom" / "b0")
    run = answer_to(tmp_path / "dicom", tmp_path).run
    assert run.convention["Sign"] == 1
    assert run.acquired.warnings == ["the scanner's field map runs against the phase: compare the result with --sign reverse"]


def test_slices_missing_from_one_echo_cost_that_echo_only(export):
    answer = export("siemens-missing-slices")
    assert answer.run.acquired.echo_times_s == [0.0035, 0.0142]
    assert answer.reasons == {"its slices are not evenly spaced: slices are missing, export the series again"}
    assert answer.run.acquired.warnings == ["echo 2 is missing, the run goes on with the others: add its images if there are any"]


def test_a_difference_says_what_it_is(export):
    acquired = export("siemens-difference").run.acquired
    assert (acquired.phase_kind, acquired.echo_times_s, acquired.source_echo_times_s) == ("difference", [0.0052], [0.0035, 0.0087])
    assert export("siemens-no-rescale").run.acquired.phase_kind == "echo", "echoes that name two echo times"


@pytest.mark.parametrize("magnitudes", [1, 2])
def test_a_difference_by_bids_is_that_by_dicom(export, tmp_path, magnitudes):
    write_field_map(SCAN, tmp_path, "01", magnitudes)
    run = taken(list((tmp_path / "sub-01" / "fmap").iterdir()), "sub-01")
    other = export("siemens-difference").run
    assert turns(canonical(run.phase, run.affine), canonical(other.phase, other.affine)) < 1e-5
    assert (run.acquired.phase_kind, run.acquired.echo_times_s) == ("difference", other.acquired.echo_times_s)
    assert run.magnitude.shape == (*PROTOCOL.shape, 1)


def test_combined_coils_go_before_single_ones(tmp_path):
    write_dicom(SCAN, tmp_path / "dicom", "01", 0)
    write_dicom(SCAN, tmp_path / "dicom", "01", 0, series=15, vendor="siemens-coils")
    answer = answer_to(tmp_path / "dicom", tmp_path)
    assert answer.run.acquired.coils == 1
    assert answer.aside == [(f"series {n}", "images of single coils: the scan is processed from its combined images") for n in (15, 16)]


def test_coils_by_bids_are_those_by_dicom(export, tmp_path):
    write_bids(SCAN, tmp_path, "01", coils=4)
    run = taken(list((tmp_path / "sub-01" / "anat").iterdir()), "sub-01")
    other = export("siemens-coils").run
    assert run.acquired.coils == other.acquired.coils == 4
    one, two = canonical(run.phase, run.affine), canonical(other.phase, other.affine)
    assert turns(one[canonical(run.magnitude, run.affine) > 0.05], two[canonical(run.magnitude, run.affine) > 0.05]) <= 1.01 * LEVEL / 2


PLACES = {
    ("axial", 0, 0): "axial", ("axial", 20, 10): "oblique axial", ("coronal", 0, 0): "coronal", ("coronal", 15, 0): "oblique coronal",
    ("sagittal", 0, 8): "oblique sagittal",
}


@pytest.mark.parametrize("place, words", PLACES.items(), ids=str)
def test_orientation_tilt_and_readout(tmp_path, place, words):
    orientation, tilt, turn = place
    scan = smooth_scan(replace(PROTOCOL, orientation=orientation, tilt_deg=tilt, turn_deg=turn, bipolar=True))
    write_dicom(scan, tmp_path / "dicom", "01", 0)
    run = answer_to(tmp_path / "dicom", tmp_path).run
    said = run.acquired.model_dump()
    assert (said["Orientation"], said["TiltDegrees"]) == (words, pytest.approx(tilt, abs=0.05))
    assert np.allclose(run.affine[:3, :3] / np.linalg.norm(run.affine[:3, :3], axis=0) @ run.acquired.b0_direction, [0, 0, 1], atol=1e-5)
    readout = run.affine[:3, "ijk".index(said["ReadoutAxis"])]
    assert abs(readout @ scan.grid.affine[:3, 0]) == pytest.approx(PROTOCOL.voxel_size[0] ** 2, rel=1e-4), "the phantom reads out along its first axis"
    assert turns(canonical(run.phase, run.affine), canonical(scan.phase, scan.grid.affine)) <= 1.01 * LEVEL / 2


def edges(scan) -> Scan:
    """A scan with phases of ±π exactly, and 0 in both images outside."""
    phase, magnitude = scan.phase.copy(), np.where(scan.truth["mask"][..., None], scan.magnitude, 0)
    phase[4, :, :], phase[5, :, :] = np.pi, -np.pi
    phase = np.where(scan.truth["mask"][..., None], phase, 0)
    return replace(scan, magnitude=magnitude, phase=phase)


@pytest.mark.parametrize("vendor", ["siemens", "siemens-no-rescale", "philips", "philips-1000", "ge"])
def test_phases_of_pi_and_nothing_outside(tmp_path, vendor):
    scan = edges(SCAN)
    write_dicom(scan, tmp_path / "dicom", "01", 0, vendor=vendor)
    run = answer_to(tmp_path / "dicom", tmp_path).run
    magnitude, phase = canonical(scan.magnitude, scan.grid.affine), canonical(scan.phase, scan.grid.affine)
    assert run.phase.min() >= -np.pi and run.phase.max() <= np.pi
    assert turns(canonical(run.phase, run.affine)[magnitude > 0.1], phase[magnitude > 0.1]) <= 1.01 * LEVEL / 2
    assert not canonical(run.magnitude, run.affine)[magnitude == 0].any()


def test_nan_outside_and_a_missing_slice_of_zeros(tmp_path):
    outside = ~SCAN.truth["mask"][..., None]
    scan = replace(SCAN, magnitude=np.where(outside, np.nan, SCAN.magnitude), phase=np.where(outside, np.nan, SCAN.phase))
    scan.magnitude[:, :, 6, 1] = scan.phase[:, :, 6, 1] = 0
    write_bids(scan, tmp_path, "01")
    run = taken(list((tmp_path / "sub-01" / "anat").iterdir()), "sub-01")
    assert not run.magnitude[outside[..., 0]].any() and not run.phase[outside[..., 0]].any()
    assert not run.magnitude[:, :, 6, 1].any()
    assert turns(run.phase[..., 0], np.nan_to_num(scan.phase[..., 0])) < 1e-6


REAL = {
    "siemens_prisma3T_6echo_phantom": FOUND["siemens-no-rescale"],
    "siemens_prisma3T_head_gre_fieldmap": FOUND["siemens-difference"],
    "siemens_xa30_classic_head_gre_fieldmap": FOUND["siemens-difference"],
    "siemens_xa30_enhanced_head_gre_fieldmap": FOUND["siemens-difference"],
    "philips_achieva3T_dualecho_phantom": FOUND["philips"],
    "ge_mr750_3T_3Ddualecho_magrealimag_abdomen": GE_FOUND | {"FlippedSlices": "every other one along j"},
}


@pytest.mark.parametrize("name", REAL)
def test_what_is_found_in_a_real_scan(real, name):
    convention = real(name).run.convention
    assert {key: value for key, value in convention.items() if key != "SignReason"} == REAL[name]
    assert convention["SignReason"]


@pytest.mark.parametrize("name", ["ge_architect3T_head_b0map_hz", "philips_enhanced_phantom_b0map_hz"])
def test_a_real_field_map_of_the_scanner_is_refused(real, name):
    assert real(name).runs == []
    assert real(name).reasons == {"a field map in Hz made by the scanner is not phase: export the phase images of the echoes",
                                  "a single echo without phase: export the phase images of the scan as well, if it is a gradient echo"}


def test_a_real_field_map_is_refused_by_its_levels_under_another_name(data, tmp_path):
    with tarfile.open(data / "dicom" / "ge_architect3T_head_b0map_hz.tar.xz") as tar:
        tar.extractall(tmp_path / "dicom", filter="data")
    answer_to(tmp_path / "dicom", tmp_path)
    files = []
    for part, wanted in (("mag", "mag"), ("fieldmap", "phase")):
        image = tmp_path / f"sub-1_part-{wanted}_MEGRE.nii"
        shutil.copyfile(next((tmp_path / "out").glob(f"*part-{part}*.nii")), image)
        image.with_suffix(".json").write_text('{"EchoTime": 0.004608, "MagneticFieldStrength": 3}')
        files += [image, image.with_suffix(".json")]
    with pytest.raises(ChiflowError, match="part-phase.*look like Hz, and a field map made by the scanner is not phase"):
        take_in(files, [], "sub-1")


def test_real_slices_lost_from_one_echo_cost_that_echo_only(data, real, tmp_path):
    name = "siemens_prisma3T_6echo_phantom"
    with tarfile.open(data / "dicom" / f"{name}.tar.xz") as tar:
        tar.extractall(tmp_path / "dicom", filter="data")
    headers = [(pydicom.dcmread(path, stop_before_pixels=True), path) for path in (tmp_path / "dicom").rglob("*") if path.is_file()]
    images = sorted((float(header.SliceLocation), path) for header, path in headers if int(header.EchoNumbers) == 3 and header.ImageType[2] == "P")
    for _, path in images[3:5]:
        path.unlink()
    run, whole = answer_to(tmp_path / "dicom", tmp_path).run, real(name).run
    kept = [0, 1, 3, 4, 5]
    assert run.acquired.echo_times_s == [whole.acquired.echo_times_s[echo] for echo in kept]
    assert np.array_equal(run.phase, whole.phase[..., kept]) and np.array_equal(run.magnitude, whole.magnitude[..., kept])


def test_real_voxels_without_signal_stay_without(real):
    run = real("siemens_xa30_enhanced_head_gre_fieldmap").run
    assert (run.magnitude == 0).mean() > 0.07  # measured 0.079
    assert np.isfinite(run.phase).all() and np.abs(run.phase).max() <= np.pi


def test_real_slices_of_ge_are_turned_back(real):
    run = real("ge_mr750_3T_3Ddualecho_magrealimag_abdomen").run
    signal = np.moveaxis(run.magnitude[..., 0] * np.exp(1j * run.phase[..., 0]), 1, 0)
    products = np.conj(signal[:-1]) * signal[1:]
    cosine = products.sum((1, 2)).real / np.abs(products).sum((1, 2))
    assert cosine.min() > 0.5  # measured 0.60; −0.60 … −0.94 before
    said = run.acquired.model_dump()
    assert (said["Orientation"], said["TiltDegrees"]) == ("oblique coronal", pytest.approx(11.49, abs=0.01)), "0.199 of the README is the cosine"


def test_enhanced_and_classic_of_the_real_scanner_agree_in_all_but_the_angle(real):
    """The two are scans of one protocol at two angles, not two exports of one: their voxels cannot be equal, what was acquired must be."""
    one, two = (real(f"siemens_xa30_{name}_head_gre_fieldmap").run for name in ("enhanced", "classic"))
    same = ("echo_times_s", "source_echo_times_s", "phase_kind", "coils", "magnetic_field_strength_t")
    assert {key: getattr(one.acquired, key) for key in same} == {key: getattr(two.acquired, key) for key in same}
    keys = ("Shape", "ReadoutAxis", "RepetitionTime", "FlipAngle", "PixelBandwidth", "Orientation", "PhaseConvention")
    assert [one.acquired.model_dump()[key] for key in keys] == [two.acquired.model_dump()[key] for key in keys]
    assert one.acquired.frequency_mhz == pytest.approx(two.acquired.frequency_mhz, rel=1e-5)
    assert np.allclose(one.acquired.model_dump()["VoxelSize"], two.acquired.model_dump()["VoxelSize"], atol=1e-4)
    assert [run.acquired.model_dump()["TiltDegrees"] for run in (one, two)] == pytest.approx([3.49, 11.82], abs=0.01)


@pytest.mark.parametrize("name", BODY_SHAPE)
def test_a_real_phase_is_paramagnetic_positive(real, name):
    """The field that the shape of the body makes in air (−9.4 ppm inside) lies under the phase: gradients without a shim's part correlate."""
    run = real(name).run
    magnitude, phase = run.magnitude[..., 0], run.phase[..., -1] - (run.phase[..., 0] if run.acquired.phase_kind == "echo" else 0)
    body = ndimage.binary_fill_holes(ndimage.binary_opening(magnitude > 0.15 * np.quantile(magnitude, 0.999)))
    beyond = np.pad(body, ((0, 0), (0, 0), (BEYOND, BEYOND)), mode="edge")  # the body goes on where the slab ends
    geometry = geometry_of(run.affine, beyond.shape)
    shape_ppm = DipoleOperator(geometry, padding=2.0).forward(torch.from_numpy(np.float32(-9.4) * beyond)).numpy()[:, :, BEYOND:-BEYOND]
    inner = ndimage.binary_erosion(body, iterations=3)
    slopes = [(_gradient(shape_ppm, axis), np.angle(np.exp(1j * _gradient(phase, axis)))) for axis in range(3)]
    both = [_without_shim(pair, inner, axis) for axis, pair in enumerate(slopes)]
    model, measured = (np.concatenate(parts) for parts in zip(*both))
    typical = np.abs(measured) < np.quantile(np.abs(measured), 0.95)
    assert np.corrcoef(model[typical], measured[typical])[0, 1] > 0.9 * BODY_SHAPE[name]


def _gradient(volume, axis):
    return np.diff(volume, axis=axis, append=np.take(volume, [-1], axis))


def _without_shim(pair, inside, axis):
    """Values inside, less a linear function of position: the gradient of what a second-order shim takes off."""
    inside = inside & np.roll(inside, -1, axis)
    basis = np.c_[np.ones(inside.sum()), np.argwhere(inside)]
    return [values[inside] - basis @ np.linalg.lstsq(basis, values[inside], rcond=None)[0] for values in pair]


@pytest.mark.parametrize("orientation", ["axial", "coronal"])
def test_a_bipolar_readout_that_no_tag_tells_is_found_along_the_axis_that_the_tags_tell(tmp_path, orientation):
    scan = smooth_scan(replace(PROTOCOL, shape=(24, 23, 22), orientation=orientation, bipolar=True))
    ramp = 0.75 * np.linspace(-1, 1, 24, dtype=np.float32)[:, None, None, None] * [1, -1, 1]
    write_dicom(replace(scan, phase=np.angle(np.exp(1j * (scan.phase + ramp)))), tmp_path / "dicom", "01", 0)
    run = answer_to(tmp_path / "dicom", tmp_path).run
    figures = combine(lambda: [(run.magnitude, run.phase)], run.acquired.echo_times_s, PROTOCOL.voxel_size).figures
    assert (figures["Readout"], figures["ReadoutAxis"]) == ("bipolar, corrected", run.acquired.model_dump()["ReadoutAxis"])


def test_the_real_scan_of_six_echoes_is_monopolar(real):
    run = real("siemens_prisma3T_6echo_phantom").run
    assert combine(lambda: [(run.magnitude, run.phase)], run.acquired.echo_times_s, run.acquired.model_dump()["VoxelSize"]).figures["Readout"] == "monopolar"
