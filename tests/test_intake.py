"""One run in one form: whatever unit, sign and file layout a vendor chose, the same signal comes out; what cannot be used is one line."""

import gzip
import hashlib
import json
import sys
from pathlib import Path
from unittest import mock

import nibabel
import numpy as np
import pytest

import intake as executable
from chiflow.arrange import arrange
from chiflow.convert import convert
from chiflow.core.cli import execute
from chiflow.core.contracts import Acquisition
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import load_parts
from chiflow.core.quantities import MAGNETS_T, field_fault
from chiflow.core.spaces import Space
from chiflow.core.units import GAMMA_BAR_MHZ_PER_T
from chiflow.intake import take_in
from chiflow.intake.levels import SCALES
from chiflow.intake.signal import from_difference
from chiflow.intake.volumes import Levels, Volume

SHAPE, TIMES = (11, 12, 13), (0.004, 0.009, 0.014)
TILT = np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
AFFINE = nibabel.affines.from_matvec(TILT @ np.diag([-0.8, 0.9, 2]), [9, -8, 7])
SIDECAR = {"MagneticFieldStrength": 3, "ImagingFrequency": 123.2, "Manufacturer": "Siemens", "RepetitionTime": 0.03}
STEP_12_BIT = 2 * np.pi / 4096


def truth():
    """Magnitude and phase (X, Y, Z, E) of a signal with noise all around."""
    rng = np.random.default_rng(7)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    inside = (x**2 + y**2 + z**2 < 0.8)[..., None]
    clean = inside * 100 * np.exp(1j * (x[..., None] + 2 * np.pi * np.array(TIMES) * (60 * x * y + 30 * z)[..., None] + 0.4))
    signal = clean + rng.normal(size=(*clean.shape, 2)) @ [1, 1j]
    return np.abs(signal), np.angle(signal)


MAGNITUDE, PHASE = truth()


class Bids:
    """The files of a run in a folder, to be written and then spoilt."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, echo, part, ending=".nii.gz"):
        return self.folder / f"sub-1_run-2_echo-{echo}_part-{part}_MEGRE{ending}"

    def image(self, echo, part, data, slope=1.0, intercept=0.0, affine=AFFINE, path=None):
        """Store data (any type) under a scaling that the header names."""
        image = nibabel.Nifti1Image(data, affine)
        for place in (image.set_qform, image.set_sform):
            place(affine, 1)
        raw = bytearray(image.to_bytes())
        raw[112:120] = np.array([slope, intercept], "<f4").tobytes()
        path = path or self.path(echo, part)
        path.write_bytes(gzip.compress(bytes(raw), 1) if path.name.endswith(".gz") else bytes(raw))

    def sidecar(self, echo, part, changes=None, drop=()):
        content = SIDECAR | {"EchoTime": TIMES[echo - 1]} | (changes or {})
        self.path(echo, part, ".json").write_text(json.dumps({key: value for key, value in content.items() if key not in drop}))

    def polar(self, store=lambda phase: (phase.astype(np.float32), 1, 0), changes=None):
        """All echoes of magnitude and phase; `store` gives stored values, slope and intercept of a phase in rad."""
        for echo in range(1, len(TIMES) + 1):
            self.image(echo, "mag", MAGNITUDE[..., echo - 1].astype(np.float32))
            self.image(echo, "phase", *store(PHASE[..., echo - 1]))
            for part in ("mag", "phase"):
                self.sidecar(echo, part, changes)
        return self

    def cartesian(self, signal, changes=None):
        """All echoes of real and imaginary part (X, Y, Z, E)."""
        for echo in range(1, len(TIMES) + 1):
            for part, data in (("real", signal.real), ("imag", signal.imag)):
                self.image(echo, part, data[..., echo - 1].astype(np.float32))
                self.sidecar(echo, part, changes)
        return self

    def copy(self, folder):
        """The images and sidecars of a folder that dcm2niix wrote."""
        for path in folder.glob("*_e[12]*"):
            part = "phase" if "_ph" in path.name else "mag"
            self.path(path.name.split("_e")[1][0], part, path.name[path.name.index("."):]).write_bytes(path.read_bytes())

    def take_in(self, inherited=(), sign="auto"):
        return Taken(take_in(sorted(self.folder.iterdir()), list(inherited), "sub-1_run-2", sign))


class Taken:
    """A scan with its arrays: (X, Y, Z, E), or (X, Y, Z, E, C) of several coils."""

    def __init__(self, scan):
        self.affine, self.acquisition = scan.affine, scan.acquisition
        self.convention = scan.acquisition.model_dump()["PhaseConvention"]
        magnitudes, phases = zip(*scan)
        self.magnitude, self.phase = (parts[0] if len(parts) == 1 else np.stack(parts, -1) for parts in (magnitudes, phases))


@pytest.fixture
def bids(tmp_path):
    (tmp_path / "run").mkdir()
    return Bids(tmp_path / "run")


def turns(phase, other):
    """Largest distance on the circle."""
    return np.abs(np.angle(np.exp(1j * (phase - other)))).max()


def integers(phase, step, zero, kind=np.int16):
    stored = np.round(phase / step) + zero
    return np.where(stored > zero + np.pi / step - 0.5, stored - 2 * np.pi / step, stored).astype(kind)


STORED = {
    "rad": lambda phase: (phase.astype(np.float32), 1, 0),
    "rad in double precision": lambda phase: (phase, 1, 0),
    "rad by integers and slope (Philips)": lambda phase: (integers(phase, STEP_12_BIT, 2048), STEP_12_BIT, -np.pi),
    "rad from 0 to 2π": lambda phase: (np.mod(phase, 2 * np.pi).astype(np.float32), 1, 0),
    "rad × 1000 (GE, old Philips)": lambda phase: (np.round(1000 * phase).astype(np.int16), 1, 0),
    "−4096 … 4094 by slope 2 (Siemens)": lambda phase: (integers(phase, STEP_12_BIT, 2048), 2, -4096),
    "0 … 4095 without scaling (Siemens)": lambda phase: (integers(phase, STEP_12_BIT, 2048), 1, 0),
    "−2048 … 2047": lambda phase: (integers(phase, STEP_12_BIT, 0), 1, 0),
    "0 … 65535": lambda phase: (integers(phase, STEP_12_BIT / 16, 32768, np.uint16), 1, 0),
    "rad under a scaling that is not meant": lambda phase: (phase.astype(np.float32), 0.00117, 0),
}


@pytest.mark.parametrize("store", STORED.values(), ids=STORED)
def test_phase_comes_out_in_rad_whatever_its_levels(bids, store):
    scan = bids.polar(store).take_in()
    coarse = 1.01 * STEP_12_BIT / 2
    assert turns(scan.phase, PHASE) <= coarse, "half a level of 12 bits; rad × 1000 is finer"
    assert np.abs(scan.phase).max() <= np.pi
    assert np.allclose(scan.magnitude, MAGNITUDE, rtol=1e-6)
    assert (scan.phase.dtype, scan.magnitude.dtype) == (np.float32, np.float32)


def smooth(shape=SHAPE):
    """A phase that does not wrap, rad × 10."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    return np.stack([20 * e * (x * y + 0.5 * z) for e in (1, 2, 3)], axis=-1)


def test_a_phase_without_noise_that_fills_no_turn_is_taken_as_rad(bids):
    with mock.patch.multiple(sys.modules[__name__], PHASE=0.03 * smooth()):
        scan = bids.polar(lambda phase: (phase.astype(np.float32), 1, 0)).take_in()
    assert np.allclose(scan.phase, 0.03 * smooth(), atol=1e-6)


OTHER_UNITS = {  # what one turn is worth, the lowest value, the type that it is stored in, the name
    "turns": (1, -0.5, np.float32, "turns, −0.5 … 0.5"), "0 … 1": (1, 0, np.float32, "turns, 0 … 1"), "−1 … 1": (2, -1, np.float32, "half turns, −1 … 1"),
    "degrees": (360, -180, np.float32, "degrees, −180 … 180"), "whole degrees": (360, -180, np.int16, "degrees, −180 … 180"), "0 … 360": (360, 0, np.float32, "degrees, 0 … 360"),
    "rad × 100": (200 * np.pi, -100 * np.pi, np.int16, "rad × 100"),
}


@pytest.mark.parametrize("worth, lowest, kind, name", OTHER_UNITS.values(), ids=OTHER_UNITS)
def test_noise_that_fills_a_whole_turn_tells_its_unit(bids, worth, lowest, kind, name):
    store = lambda phase: ((np.mod(phase / (2 * np.pi) - lowest / worth, 1) * worth + lowest).astype(np.float32), 1, 0)
    rounded = lambda phase: (np.round(store(phase)[0]).astype(kind), 1, 0)
    scan = bids.polar(store if kind is np.float32 else rounded).take_in()
    assert scan.convention["Scale"] == name
    assert turns(scan.phase, PHASE) <= (1e-5 if kind is np.float32 else 1.01 * np.pi / worth), "half a level"


def rescaled_twice(phase):
    """Levels 0 … 4095 were meant to become rad, and a second program scaled again: −π … 2.28."""
    return (0.8626 * phase - 0.431).astype(np.float32), 1, 0


NO_UNIT = {
    "rescaled twice": (PHASE, rescaled_twice, "they wrap from -3.1. to 2.28, and a turn is 6.28 rad: scaled twice"),
    "a third of a turn": (PHASE, lambda phase: (0.3 * phase.astype(np.float32), 1, 0), "they wrap from -0.94 to 0.94.*, and a turn is 6.28 rad: scaled twice"),
    "unwrapped": (smooth(), lambda phase: (phase.astype(np.float32), 1, 0), "they look like rad that has been unwrapped"),
    "a field in Hz": (smooth()[..., :1] + 0 * PHASE, lambda phase: (phase.astype(np.float32), 1, 0), "they look like Hz"),
    "a field in Hz with noise": (np.random.default_rng(0).uniform(-203, 203, PHASE.shape), lambda phase: (phase.astype(np.float32), 1, 0), "they look like Hz"),
}


@pytest.mark.parametrize("phase, store, said", NO_UNIT.values(), ids=NO_UNIT)
def test_a_phase_in_no_unit_is_named_for_what_it_looks_like(bids, phase, store, said):
    with mock.patch.multiple(sys.modules[__name__], PHASE=phase):
        bids.polar(store)
    with pytest.raises(ChiflowError, match=f"echo-1_part-phase.*: {said}"):
        bids.take_in()


def test_a_masked_phase_that_wraps_tells_its_unit(bids):
    wide = np.where((MAGNITUDE > 50), np.angle(np.exp(1j * smooth() * 0.3)), 0)
    with mock.patch.multiple(sys.modules[__name__], PHASE=wide):
        scan = bids.polar(lambda phase: ((phase / np.pi).astype(np.float32), 1, 0)).take_in()
    assert scan.convention["Scale"] == "half turns, −1 … 1" and turns(scan.phase, wide) < 1e-5


def test_real_and_imaginary_part_are_the_same_signal(bids):
    scan = bids.cartesian(MAGNITUDE * np.exp(1j * PHASE)).take_in()
    assert turns(scan.phase, PHASE) < 1e-5, "rounding of 100 ± 1 in float32 at the weakest voxel"
    assert np.allclose(scan.magnitude, MAGNITUDE, rtol=1e-5)
    assert scan.acquisition.model_dump(by_alias=True)["PhaseConvention"]["From"] == "real and imaginary part"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_ge_turns_every_other_slice_and_the_sign(bids, axis):
    smooth = np.exp(1j * np.linspace(0, 1, np.prod(SHAPE)).reshape(*SHAPE, 1)) * 100 + 0 * PHASE
    signal = smooth * np.exp(2j * np.pi * 20 * np.array(TIMES))
    flips = np.where(np.arange(SHAPE[axis]) % 2, -1, 1).reshape([-1 if a == axis else 1 for a in range(4)])
    scan = bids.cartesian(signal * flips, {"Manufacturer": "GE MEDICAL SYSTEMS", "MagneticFieldStrength": 3}).take_in()
    assert turns(scan.phase, -np.angle(signal)) < 1e-5
    assert np.abs(scan.phase).max() <= np.pi
    convention = scan.acquisition.model_dump()["PhaseConvention"]
    assert (convention["Sign"], convention["FlippedSlices"]) == (-1, f"every other one along {'ijk'[axis]}")


def test_the_sign_can_be_set_by_hand(bids):
    bids.polar(changes={"Manufacturer": "GE"})
    assert turns(bids.take_in().phase, -PHASE) < 1e-6
    assert turns(bids.take_in(sign="keep").phase, PHASE) < 1e-6
    assert bids.take_in(sign="keep").convention["SignReason"] == "--sign keep"
    with pytest.raises(ChiflowError, match="auto, keep, reverse"):
        bids.take_in(sign="minus")


def test_the_acquisition_says_what_was_found(bids, tmp_path):
    scan = bids.polar().take_in()
    scan.acquisition.write(tmp_path / "acquisition.json")
    back = json.loads((tmp_path / "acquisition.json").read_text())
    expected = {"EchoTimes": list(TIMES), "MagneticFieldStrength": 3, "ImagingFrequency": 123.2, "Manufacturer": "Siemens", "RepetitionTime": 0.03,
                "Id": "sub-1_run-2", "Shape": list(SHAPE), "PhaseKind": "echo", "Coils": 1, "Orientation": "oblique axial", "TiltDegrees": 17.19,
                "PhaseConvention": {"From": "phase", "Scale": "rad", "Sign": 1, "SignReason": "phase of Siemens is paramagnetic positive",
                                    "FlippedSlices": "none"}}
    assert {key: back[key] for key in expected} == expected
    assert np.allclose(back["B0Direction"], [0, np.sin(0.3), np.cos(0.3)], atol=1e-6)
    assert np.allclose(back["VoxelSize"], [0.8, 0.9, 2], atol=1e-5)
    assert back["Sources"] == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in bids.folder.glob("*_MEGRE.*")}
    assert Acquisition.read(tmp_path / "acquisition.json").frequency_mhz == 123.2


def test_sidecars_are_inherited_and_the_nearest_wins(bids, tmp_path):
    bids.polar()
    for echo in (1, 2, 3):
        for part in ("mag", "phase"):
            bids.path(echo, part, ".json").unlink()
    (tmp_path / "MEGRE.json").write_text(json.dumps(SIDECAR | {"RepetitionTime": 9, "EchoTime": 0.4}))
    (tmp_path / "sub-1_MEGRE.json").write_text(json.dumps({"RepetitionTime": 0.05}))
    times = [tmp_path / f"sub-1_echo-{echo}_MEGRE.json" for echo in (1, 2, 3)]
    for path, time in zip(times, TIMES):
        path.write_text(json.dumps({"EchoTime": time}))
    acquired = bids.take_in([tmp_path / "MEGRE.json", tmp_path / "sub-1_MEGRE.json", *times]).acquisition.model_dump(by_alias=True)
    assert (acquired["EchoTimes"], acquired["RepetitionTime"]) == (list(TIMES), 0.05)


def test_all_echoes_may_be_in_one_file(bids):
    for part, data in (("mag", MAGNITUDE), ("phase", PHASE)):
        stem = bids.folder / f"sub-1_part-{part}_MEGRE.nii"
        bids.image(0, part, data.astype(np.float32), path=stem)
        stem.with_suffix(".json").write_text(json.dumps(SIDECAR | {"EchoTime": TIMES}))
    scan = bids.take_in()
    assert turns(scan.phase, PHASE) < 1e-6
    assert scan.acquisition.echo_times_s == list(TIMES)


def difference_of(bids, magnitudes=(1, 2), changes=None):
    """The images of a phase difference in a BIDS folder: magnitudes of its echoes, one phase at TE2 that names TE1 and TE2."""
    for echo in magnitudes:
        bids.image(echo, "mag", MAGNITUDE[..., echo - 1].astype(np.float32))
        bids.sidecar(echo, "mag")
    bids.image(2, "phase", *STORED["−4096 … 4094 by slope 2 (Siemens)"](np.angle(np.exp(1j * (PHASE[..., 1] - PHASE[..., 0])))))
    bids.sidecar(2, "phase", {"EchoTime1": TIMES[0], "EchoTime2": TIMES[1]} | (changes or {}))
    return bids


def test_a_phase_difference_is_one_echo_at_the_difference_of_the_times(bids):
    scan = difference_of(bids).take_in()
    assert turns(scan.phase[..., 0], PHASE[..., 1] - PHASE[..., 0]) <= STEP_12_BIT / 2 * 1.01
    one, two = MAGNITUDE[..., 0], MAGNITUDE[..., 1]
    assert np.allclose(scan.magnitude[..., 0], (1 / one**2 + 1 / two**2) ** -0.5, rtol=1e-5)
    said = scan.acquisition.model_dump(by_alias=True)
    assert (said["EchoTimes"], said["PhaseKind"], said["SourceEchoTimes"]) == ([0.005], "difference", [0.004, 0.009])


def test_the_magnitude_of_a_difference_has_the_noise_of_an_echo(bids):
    rng = np.random.default_rng(3)
    noisy = np.array([80.0, 30.0])[:, None] + rng.normal(size=(2, 200_000, 2)) @ [1, 1j]
    magnitude, _ = from_difference([volume(np.full((2, 3, 4), m)) for m in (80.0, 30.0)], volume(np.linspace(-3, 3, 24).reshape(2, 3, 4)), SCALES[0])
    spread = np.angle(noisy[1] * np.conj(noisy[0])).std()
    assert spread == pytest.approx(1 / magnitude[0, 0, 0, 0], rel=0.01), "σ/M with σ = 1; ± 1/√(2 · 200 000)"


def volume(values):
    return Volume(values.astype(np.float32), Levels(Path(), "f", 1, 0, values.min(), values.max()), Space(np.eye(4), 1))


def test_a_difference_has_no_signal_where_one_magnitude_is_0(bids):
    bids.image(2, "mag", np.where(np.arange(11)[:, None, None] < 3, 0, MAGNITUDE[..., 1]).astype(np.float32))
    spoilt = bids.path(2, "mag").read_bytes()
    difference_of(bids)
    bids.path(2, "mag").write_bytes(spoilt)
    magnitude = bids.take_in().magnitude[..., 0]
    assert not magnitude[:3].any()
    assert magnitude[3:].all()


def test_a_difference_may_have_one_magnitude(bids):
    scan = difference_of(bids, magnitudes=(1,)).take_in()
    assert np.allclose(scan.magnitude[..., 0], MAGNITUDE[..., 0] / np.sqrt(2), rtol=1e-5)


def test_a_difference_by_its_bids_names(bids):
    difference_of(bids)
    for old, new in (((1, "mag"), "magnitude1"), ((2, "mag"), "magnitude2"), ((2, "phase"), "phasediff")):
        for ending in (".nii.gz", ".json"):
            bids.path(*old, ending).rename(bids.folder / f"sub-1_{new}{ending}")
    content = json.loads((bids.folder / "sub-1_phasediff.json").read_text())
    (bids.folder / "sub-1_phasediff.json").write_text(json.dumps({key: value for key, value in content.items() if key != "EchoTime"}))
    scan = bids.take_in()
    assert scan.acquisition.phase_kind == "difference"
    assert turns(scan.phase[..., 0], PHASE[..., 1] - PHASE[..., 0]) <= STEP_12_BIT / 2 * 1.01


@pytest.mark.parametrize("spoil, said", [
    (lambda b: difference_of(b, (1, 2, 3)), "echo-3_part-mag.*echo 3 has no phase image, the one phase is the difference of TE 0.004 and 0.009 s"),
    (lambda b: difference_of(b, changes={"EchoTime1": 4.0}), "echo-2_part-phase.*EchoTime1 4 looks like milliseconds"),
    (lambda b: difference_of(b, changes={"EchoTime1": 0.009}), "echo-2_part-phase.*EchoTime2 0.009 s does not follow EchoTime1 0.009 s"),
    (lambda b: (difference_of(b), b.sidecar(2, "phase")), "echo-1_part-mag.*echo 1 has no phase image.*its sidecar needs EchoTime1 and EchoTime2"),
    (lambda b: difference_of(b, magnitudes=()), "echo-2_part-phase.*no part-mag image beside it"),
])
def test_a_bad_difference_is_named(bids, spoil, said):
    spoil(bids)
    with pytest.raises(ChiflowError, match=said):
        bids.take_in()


def test_the_echoes_of_siemens_name_two_times_and_stay_echoes(bids):
    scan = bids.polar(changes={"EchoTime1": TIMES[0], "EchoTime2": TIMES[1]}).take_in()
    assert (scan.acquisition.phase_kind, scan.phase.shape) == ("echo", (*SHAPE, 3))


def test_a_single_echo_is_a_scan(bids):
    bids.polar()
    for echo in (2, 3):
        for part in ("mag", "phase"):
            bids.path(echo, part).unlink()
    scan = bids.take_in()
    assert (scan.acquisition.phase_kind, scan.acquisition.echo_times_s, scan.phase.shape) == ("echo", [TIMES[0]], (*SHAPE, 1))
    assert turns(scan.phase[..., 0], PHASE[..., 0]) < 1e-6


def test_a_run_goes_on_without_an_echo_and_says_so(bids, call):
    bids.polar()
    for part in ("mag", "phase"):
        bids.path(2, part).unlink()
    status, said, out = call(sorted(bids.folder.iterdir()))
    assert (status, said) == (0, "warning: sub-1_run-2: echo 2 is missing, the run goes on with the others: add its images if there are any\n")
    acquired = Acquisition.read(out / "acquisition.json")
    assert acquired.echo_times_s == [TIMES[0], TIMES[2]]
    assert "echo 2 is missing" in acquired.warnings[0]


def in_coils(bids, count=3):
    """Every echo and part in `count` coils, each with a phase of its own."""
    offsets = np.arange(count)
    for coil in range(count):
        for echo in range(1, len(TIMES) + 1):
            for part, data in (("mag", MAGNITUDE * (coil + 1)), ("phase", np.angle(np.exp(1j * (PHASE + offsets[coil]))))):
                bids.image(echo, part, data[..., echo - 1].astype(np.float32))
                bids.sidecar(echo, part)
                for ending in (".nii.gz", ".json"):
                    path = bids.path(echo, part, ending)
                    path.rename(path.with_name(path.name.replace("_echo", f"_coil-{coil + 1}_echo")))
    return offsets


def test_coils_that_are_not_combined_come_one_after_the_other(bids, call):
    offsets = in_coils(bids, 11)
    status, said, out = call(sorted(bids.folder.iterdir()))
    assert (status, said) == (0, "")
    acquired = Acquisition.read(out / "acquisition.json")
    assert (acquired.coils, len(acquired.echo_times_s)) == (11, 3)
    magnitudes, phases = (list(load_parts(out / name)) for name in ("magnitude.nii", "phase.nii"))
    for coil in range(11):
        assert np.allclose(magnitudes[coil], MAGNITUDE * (coil + 1), rtol=1e-6), "coil 10 comes after coil 9"
        assert turns(phases[coil], PHASE + offsets[coil]) < 1e-5


@pytest.mark.parametrize("vendor", ["Siemens", "Philips", "UIH", ""])
def test_flipped_slices_are_found_whatever_the_vendor(bids, vendor):
    ramp = 0.5 * np.arange(SHAPE[2])[:, None] + 0 * PHASE
    flips = np.where(np.arange(SHAPE[2]) % 2, np.pi, 0)[:, None]
    with mock.patch.multiple(sys.modules[__name__], PHASE=np.angle(np.exp(1j * (ramp + flips)))):
        scan = bids.polar(changes={"Manufacturer": vendor}).take_in()
    assert scan.convention["FlippedSlices"] == "every other one along k"
    assert turns(scan.phase, ramp) < 1e-5


CLEAN = {
    "a ramp of 2 rad a slice": lambda k, rng: 2.0 * k,
    "a ramp of 2.3 rad a slice": lambda k, rng: 2.3 * k,
    "another phase in each slice": lambda k, rng: rng.uniform(-np.pi, np.pi, SHAPE[2])[:, None] + 0 * k,
    "noise alone": lambda k, rng: rng.uniform(-np.pi, np.pi, PHASE.shape) + 0 * k,
    "half of the slices, in one half": lambda k, rng: np.pi * (k > 6),
    "three slices of thirteen": lambda k, rng: np.pi * np.isin(k, (2, 5, 8)),
}


@pytest.mark.parametrize("phase", CLEAN.values(), ids=CLEAN)
@pytest.mark.parametrize("vendor", ["Siemens", "GE"])
def test_no_other_scan_is_corrected(bids, phase, vendor):
    clean = phase(np.arange(SHAPE[2])[:, None], np.random.default_rng(4)) + 0 * PHASE
    scan = bids.cartesian(100 * np.exp(1j * clean), {"Manufacturer": vendor}).take_in()
    assert scan.convention["FlippedSlices"] == "none"
    assert turns(scan.phase, clean if vendor == "Siemens" else -clean) < 1e-5


def test_flips_are_found_from_all_coils_together(bids):
    flips = np.where(np.arange(SHAPE[2]) % 2, np.pi, 0)[:, None]
    smooth = np.linspace(0, 1, np.prod(SHAPE)).reshape(*SHAPE, 1) + 0 * PHASE
    with mock.patch.multiple(sys.modules[__name__], PHASE=smooth + flips):
        in_coils(bids)
        scan = bids.take_in()
    assert scan.convention["FlippedSlices"] == "every other one along k"
    assert turns(scan.phase, (smooth[..., None] + np.arange(3))) < 1e-5


@pytest.mark.parametrize("spoil, said", [
    (lambda b: next(b.folder.glob("*coil-2_echo-2_part-phase*.gz")).unlink(), "coil-2_echo-2_part-mag.*echo 2 has no phase image"),
    (lambda b: [path.unlink() for path in b.folder.glob("*coil-2_echo-3*.gz")], "coil-2_echo-1_part-mag.*2 echoes, but coil 1 has 3"),
])
def test_bad_coils_are_named(bids, spoil, said):
    in_coils(bids)
    spoil(bids)
    with pytest.raises(ChiflowError, match=said):
        bids.take_in()


def test_combined_images_go_before_single_coils(bids):
    in_coils(bids)
    bids.image(1, "mag", MAGNITUDE[..., 0].astype(np.float32))
    bids.sidecar(1, "mag")
    scan = bids.take_in()
    assert (scan.acquisition.coils, len(scan.acquisition.warnings)) == (3, 1), "a combined magnitude alone is no scan"
    scan = bids.polar().take_in()
    assert (scan.acquisition.coils, scan.phase.shape) == (1, (*SHAPE, 3))
    assert scan.acquisition.warnings == ["the images of single coils are left out: the run has combined ones"]


def test_nan_outside_the_head_is_nothing(bids):
    bids.polar()
    outside = np.zeros(SHAPE, bool)
    outside[:3] = True
    for echo in (1, 2, 3):
        bids.image(echo, "phase", np.where(outside, np.nan, PHASE[..., echo - 1]).astype(np.float32))
        bids.image(echo, "mag", np.where(outside, 0 if echo < 3 else np.nan, MAGNITUDE[..., echo - 1]).astype(np.float32))
    scan = bids.take_in()
    assert not scan.phase[:3].any()
    assert not scan.magnitude[:3].any()
    assert turns(scan.phase[3:], PHASE[3:]) < 1e-6


def spoil_slope(bids):
    bids.image(2, "phase", np.round(1000 * PHASE[..., 1]).astype(np.int16))


def spoil_nan(bids):
    data = PHASE[..., 1].astype(np.float32)
    data[5, 6, 6] = np.nan
    bids.image(2, "phase", data)


def spoil_inf(bids):
    data = MAGNITUDE[..., 1].astype(np.float32)
    data[5, 6, 6] = np.inf
    bids.image(2, "mag", data)


def spoil_zero(bids):
    bids.image(2, "phase", np.zeros(SHAPE, np.float32))


def spoil_field_map(bids):
    for echo in (1, 2, 3):
        bids.image(echo, "phase", np.round(70 * PHASE[..., echo - 1]).astype(np.int16))


def spoil_unknown_levels(bids):
    for echo in (1, 2, 3):
        bids.image(echo, "phase", np.abs(np.round(300 * PHASE[..., echo - 1])).astype(np.int16))


def spoil_truncated(bids):
    bids.path(2, "phase").write_bytes(bids.path(2, "phase").read_bytes()[:-3000])


def spoil_truncated_plain(bids):
    whole = bids.path(2, "mag", ".nii")
    bids.image(2, "mag", MAGNITUDE[..., 1].astype(np.float32), path=whole)
    whole.write_bytes(whole.read_bytes()[:-300])
    bids.path(2, "mag").unlink()


def spoil_affine(bids):
    bids.image(2, "phase", PHASE[..., 1].astype(np.float32), affine=AFFINE + np.eye(4)[:, [2]] * [[0, 0, 0, 0.5]])


def test_headers_of_one_scan_that_differ_a_little_are_taken_with_a_note(bids):
    """0.05° between echoes moves the far corner by less than half a voxel: the voxels are the same ones."""
    angle = np.deg2rad(0.05)
    turned = nibabel.affines.from_matvec(np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])) @ AFFINE
    bids.polar()
    for part, data in (("mag", MAGNITUDE), ("phase", PHASE)):
        bids.image(2, part, data[..., 1].astype(np.float32), affine=turned)
    scan = bids.take_in()
    notes = scan.acquisition.model_extra["Notes"]
    assert len(notes) == 2 and all("echo-2" in note and "taken for rounding" in note for note in notes)
    assert scan.acquisition.warnings == [] and turns(scan.phase, PHASE) < 1e-6 and np.allclose(scan.affine, AFFINE)


def spoil_field_strength(bids):
    for echo in (1, 2, 3):
        for part in ("mag", "phase"):
            bids.sidecar(echo, part, drop=("MagneticFieldStrength", "ImagingFrequency"))


def spoil_to_a_field_map(bids):
    bids.path(2, "phase").rename(bids.path(2, "fieldmap"))
    for path in bids.folder.glob("*.nii.gz"):
        if "fieldmap" not in path.name:
            path.unlink()


BAD = {
    "phase of two echoes in two units": (spoil_slope, "echo-2_part-phase.*phase in rad × 1000, unlike the echoes before it"),
    "NaN in the head": (spoil_nan, "echo-2_part-phase.*1 voxels are NaN where there is signal"),
    "infinite": (spoil_inf, "echo-2_part-mag.*1 voxels are infinite"),
    "all zero": (spoil_zero, "echo-2_part-phase.*every voxel is 0"),
    "field map by levels": (spoil_field_map, "echo-1_part-phase.*they look like Hz, and a field map made by the scanner is not phase"),
    "levels of nothing known": (spoil_unknown_levels, "echo-1_part-phase.*in no unit of phase that is known.*give the phase in rad"),
    "truncated gzip": (spoil_truncated, "echo-2_part-phase.*is it complete"),
    "truncated": (spoil_truncated_plain, r"echo-2_part-mag_MEGRE.nii: .*complete"),
    "other affine": (spoil_affine, "echo-2_part-phase.*0.5 mm off the grid of .*more than half a voxel"),
    "other shape": (lambda b: b.image(2, "phase", PHASE[1:, ..., 1].astype(np.float32)), r"echo-2_part-phase.*\(10, 12, 13\) != \(11, 12, 13\)"),
    "one slice": (lambda b: b.image(1, "mag", MAGNITUDE[:, :, :1, 0].astype(np.float32)), "echo-1_part-mag.*a single slice"),
    "two dimensions": (lambda b: b.image(1, "mag", MAGNITUDE[:, :, 1, 0].astype(np.float32)), "echo-1_part-mag.*a single slice"),
    "time series": (lambda b: b.image(1, "mag", MAGNITUDE.astype(np.float32)), "echo-1_part-mag.*3 volumes"),
    "colours": (lambda b: b.image(1, "mag", np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])), "echo-1_part-mag.*data type"),
    "negative magnitude": (lambda b: b.image(1, "mag", PHASE[..., 0].astype(np.float32)), "echo-1_part-mag.*a magnitude is not negative"),
    "no sidecar": (lambda b: b.path(2, "phase", ".json").unlink(), "echo-2_part-phase.*no JSON sidecar"),
    "no echo time": (lambda b: b.sidecar(2, "phase", drop=("EchoTime",)), "echo-2_part-phase.*EchoTime .s. is missing"),
    "echo time as text": (lambda b: b.sidecar(2, "mag", {"EchoTime": "9"}), "echo-2_part-mag.*EchoTime '9' in its sidecar is not a number"),
    "milliseconds": (lambda b: b.sidecar(1, "mag", {"EchoTime": 4.0}), "echo-1_part-mag.*EchoTime 4 looks like milliseconds"),
    "negative echo time": (lambda b: b.sidecar(1, "mag", {"EchoTime": -0.004}), "echo-1_part-mag.*not positive"),
    "echo times differ": (lambda b: b.sidecar(2, "phase", {"EchoTime": 0.008}), "echo-2_part-phase.*0.008 s, but 0.009 s in its mag image"),
    "echo times fall": (lambda b: [b.sidecar(2, part, {"EchoTime": 0.02}) for part in ("mag", "phase")],
                        "echo-3_part-mag.*0.014 s does not follow 0.02 s of echo 2"),
    "no field strength": (spoil_field_strength,
                          "echo-1_part-mag.*MagneticFieldStrength .T. or ImagingFrequency .MHz. is missing"),
    "frequency in Hz": (lambda b: b.sidecar(1, "mag", {"ImagingFrequency": 123.2e6}), "echo-1_part-mag.*ImagingFrequency 1.232e.08 looks like Hz: BIDS wants MHz, that is 123.2"),
    "field strength in gauss": (lambda b: b.sidecar(1, "mag", {"MagneticFieldStrength": 30000}), "echo-1_part-mag.*MagneticFieldStrength 30000 looks like gauss: BIDS wants T, that is 3"),
    "another nucleus": (lambda b: b.sidecar(1, "mag", {"ImagingFrequency": 49.9}), "echo-1_part-mag.*not the proton frequency at 3 T"),
    "voxels in m": (lambda b: [b.image(e, p, (MAGNITUDE if p == "mag" else PHASE)[..., e - 1].astype(np.float32), affine=AFFINE @ np.diag([1e-3, 1e-3, 1e-3, 1]))
                               for e in (1, 2, 3) for p in ("mag", "phase")], "the voxel side of the header 0.0008 looks like m"),
    "slices far apart": (lambda b: b.sidecar(1, "mag", {"SliceThickness": 2, "SpacingBetweenSlices": 5}), "echo-1_part-mag.*slices of 2 mm lie 5 mm apart"),
    "missing phase": (lambda b: b.path(2, "phase").unlink(), "echo-2_part-mag.*echo 2 has no phase image"),
    "missing magnitude": (lambda b: b.path(3, "mag").unlink(), "echo-3_part-phase.*echo 3 has no mag image"),
    "no phase at all": (lambda b: [b.path(e, "phase").unlink() for e in (1, 2, 3)], "echo-1_part-mag.*no part-phase image beside it"),
    "no image": (lambda b: [b.path(e, p).unlink() for e in (1, 2, 3) for p in ("mag", "phase")], "no image among the files"),
    "twice": (lambda b: b.image(2, "mag", MAGNITUDE[..., 1], path=b.path(2, "mag", ".nii")), "echo-2_part-mag.*the same echo and part as"),
    "field map by unit": (lambda b: b.sidecar(2, "phase", {"Units": "Hz"}), "echo-2_part-phase.*is a field map in Hz made by the scanner, not phase"),
    "field map by type": (lambda b: b.sidecar(2, "phase", {"ImageType": ["ORIGINAL", "FIELDMAPHZ"]}), "echo-2_part-phase.*not phase"),
    "field map alone": (spoil_to_a_field_map, "echo-2_part-fieldmap.*is a field map in Hz made by the scanner, not phase"),
    "field map on another grid": (lambda b: (b.image(1, "fieldmap", 50 * PHASE[1:, ..., 0]), b.sidecar(1, "fieldmap")),
                                  r"part-fieldmap.*\(10, 12, 13\) != \(11, 12, 13\)"),
    "not a sidecar": (lambda b: b.path(2, "phase", ".json").write_text("[1]"), "echo-2_part-phase_MEGRE.json: not a sidecar"),
    "broken sidecar": (lambda b: b.path(2, "phase", ".json").write_text('{"EchoTime"'), "echo-2_part-phase_MEGRE.json: not a JSON file"),
    "unknown part": (lambda b: b.path(2, "phase").rename(b.path(2, "angle")), "part-angle is not one of"),
    "echo by letter": (lambda b: b.path(2, "phase").rename(b.path("b", "phase")), "echo-b is not a number"),
}


@pytest.mark.parametrize("spoil, said", BAD.values(), ids=BAD)
def test_bad_input_is_named(bids, spoil, said):
    spoil(bids.polar())
    with pytest.raises(ChiflowError, match=said):
        bids.take_in()


@pytest.mark.parametrize("given, kept", [([15], 15), ([15, 15, 15], 15), (15, 15), ([5, 15, 25], None), ("15", None), (0.26, None), (1500, None)])
def test_a_flip_angle_that_is_an_array_is_one_number_or_left_out_with_a_note(bids, given, kept):
    scan = bids.polar(changes={"FlipAngle": given, "Manufacturer": ["Siemens"]}).take_in()
    facts = scan.acquisition.model_extra
    assert (facts.get("FlipAngle"), facts["Manufacturer"], scan.acquisition.warnings) == (kept, "Siemens", [])
    assert [("FlipAngle" in note and "left out" in note) for note in facts["Notes"]] == ([] if kept else [True])


def test_arrays_of_a_file_with_all_echoes_are_one_number_an_echo(bids):
    for part, data in (("mag", MAGNITUDE), ("phase", PHASE)):
        stem = bids.folder / f"sub-1_part-{part}_MEGRE.nii"
        bids.image(0, part, data.astype(np.float32), path=stem)
        stem.with_suffix(".json").write_text(json.dumps(SIDECAR | {"EchoTime": TIMES, "FlipAngle": [15, 16, 17], "MagneticFieldStrength": [3, 3, 3]}))
    acquired = bids.take_in().acquisition
    assert (acquired.model_extra["FlipAngle"], acquired.magnetic_field_strength_t, acquired.echo_times_s) == (15, 3, list(TIMES))


@pytest.mark.parametrize("key, value, unit", [
    ("MagneticFieldStrength", 30000, "gauss"), ("MagneticFieldStrength", 15000, "gauss"), ("MagneticFieldStrength", 3000, "mT"), ("MagneticFieldStrength", 1500, "mT"),
    ("MagneticFieldStrength", 123.2, "MHz"), ("ImagingFrequency", 123.2e6, "Hz"), ("ImagingFrequency", 123200, "kHz"), ("ImagingFrequency", 3, "T"),
    ("ImagingFrequency", 0.1232, "GHz")])
def test_field_strength_in_another_unit_is_named_when_it_stands_alone(bids, key, value, unit):
    bids.polar(changes={"MagneticFieldStrength": None, "ImagingFrequency": None} | {key: value})
    with pytest.raises(ChiflowError, match=f"echo-1_part-mag.*{key} .* looks like {unit}: BIDS wants "):
        bids.take_in()


@pytest.mark.parametrize("time, unit", [(4.0, "milliseconds"), (4000.0, "microseconds"), (4e-6, "milliseconds divided by a million")])
def test_echo_times_in_another_unit_are_named(bids, time, unit):
    bids.polar()
    bids.sidecar(1, "mag", {"EchoTime": time})
    with pytest.raises(ChiflowError, match=f"EchoTime .* looks like {unit}: BIDS wants s, that is 0.004"):
        bids.take_in()


def test_every_magnet_is_possible(bids):
    for strength in MAGNETS_T:
        assert field_fault(strength, GAMMA_BAR_MHZ_PER_T * strength) is None and field_fault(strength, None) is None
    assert field_fault(0.064, 2.725) is None, "of two that agree nothing is doubted"


@pytest.mark.parametrize("thickness, spacing, warned", [(2, 2, 0), (2, 1, 0), (2, 2.4, 1), (1.99, 2, 0)])
def test_gaps_between_slices_are_told(bids, thickness, spacing, warned):
    bids.polar()
    bids.sidecar(1, "mag", {"SliceThickness": thickness, "SpacingBetweenSlices": spacing})
    assert len([w for w in bids.take_in().acquisition.warnings if "apart" in w]) == warned


@pytest.fixture
def call(tmp_path, monkeypatch, capfd):
    """Runs the executable on files; returns exit status, what it said, and the output folder."""

    def run(files, name="sub-1_run-2", out="out"):
        out = tmp_path / out
        outputs = [f"--out-{name.split('.')[0]}={out / name}" for name in ("magnitude.nii", "phase.nii", "acquisition.json")]
        monkeypatch.setattr(sys, "argv", ["intake.py", "--id", name, *outputs, *map(str, files)])
        with pytest.raises(SystemExit) as stop:
            execute(executable.main)
        said = capfd.readouterr()
        return stop.value.code, said.out + said.err, out

    return run


def test_the_executable_writes_three_files(bids, call):
    bids.polar()
    status, said, out = call(sorted(bids.folder.iterdir()), out="mit Leerzeichen ä")
    assert (status, said) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["acquisition.json", "magnitude.nii", "phase.nii"]
    phase = nibabel.load(out / "phase.nii")
    assert phase.shape == (*SHAPE, 3)
    assert np.allclose(phase.affine, AFFINE, atol=1e-6)


def test_the_executable_refuses_with_one_line_and_leaves_nothing(bids, call):
    spoil_nan(bids.polar())
    status, said, out = call(sorted(bids.folder.iterdir()))
    assert status == 1
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not list(out.rglob("*"))


@pytest.mark.parametrize("name", ["1", "sub-", "sub-1_run-2_", "sub-1;ls", "sub-ä"])
def test_an_id_that_is_no_bids_name_is_refused(bids, call, name):
    status, said, _ = call(sorted(bids.polar().folder.iterdir()), name)
    assert status == 1
    assert "is not of the form sub-<label>" in said


def canonical(scan):
    """Complex signal on the grid of nibabel's canonical order, and B0 in scanner axes."""
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(scan.magnitude * np.exp(1j * scan.phase), scan.affine))
    axes = scan.affine[:3, :3] / np.linalg.norm(scan.affine[:3, :3], axis=0)
    return np.asarray(image.dataobj), image.affine, axes @ scan.acquisition.b0_direction


def test_a_head_by_dicom_is_the_head_by_bids(heads, tmp_path):
    (tmp_path / "key").write_text("secret")
    convert(heads / "dicom" / "phantom-01", tmp_path / "key", tmp_path / "out", tmp_path / "subjects.tsv")
    run, = arrange(list((tmp_path / "out").glob("sub-*.json"))).runs
    files = [(tmp_path / "out" / name).with_suffix(ending) for name in run.files for ending in (".nii", ".json")]
    by_dicom, affine, b0 = canonical(Taken(take_in(files, [], run.id)))
    by_bids, wanted_affine, _ = canonical(Taken(take_in(list((heads / "bids" / "sub-01" / "anat").iterdir()), [], "sub-01")))
    assert np.allclose(affine, wanted_affine, atol=1e-3)
    assert np.allclose(b0, [0, 0, 1], atol=1e-6)
    level = np.abs(by_bids).max() / 4096
    seen = np.abs(by_bids) > 20 * level
    scale = np.median(np.abs(by_dicom[seen]) / np.abs(by_bids[seen]))
    assert np.abs(np.angle(by_dicom * np.conj(by_bids))[seen]).max() < np.pi / 4096 + 1e-5, "half a level of the stored phase"
    unsaturated = seen & (np.abs(by_dicom) < np.abs(by_dicom).max())
    assert np.abs(np.abs(by_dicom) / scale - np.abs(by_bids))[unsaturated].max() < 2 * level


def test_an_in_vivo_brain_whose_scaling_is_not_meant(bids, data):
    folder = data / "dev" / "romeo_small_invivo"
    for part, name in (("mag", "Mag.nii"), ("phase", "Phase.nii")):
        (bids.folder / f"sub-1_part-{part}_MEGRE.nii").write_bytes((folder / name).read_bytes())
        (bids.folder / f"sub-1_part-{part}_MEGRE.json").write_text(json.dumps({"EchoTime": [0.004, 0.008, 0.012], "MagneticFieldStrength": 7}))
    scan = bids.take_in()
    stored = np.asarray(nibabel.load(folder / "Phase.nii").dataobj.get_unscaled())
    assert scan.acquisition.model_dump()["PhaseConvention"]["Scale"] == "rad as stored, the header's scaling is not applied"
    assert np.abs(scan.phase - stored).max() < 1e-6
    assert np.ptp(scan.phase) > 6.28


def test_a_real_philips_scan(bids, data):
    bids.copy(data / "dev" / "philips_dualecho_phantom")
    scan = bids.take_in()
    signal = scan.magnitude * np.exp(1j * scan.phase)
    step = np.angle(signal[..., 1] * np.conj(signal[..., 0]))[scan.magnitude[..., 0] > 0.15 * np.quantile(scan.magnitude[..., 0], 0.999)]
    first, second = scan.acquisition.echo_times_s
    assert np.allclose(np.percentile(step / (2 * np.pi * (second - first)), [5, 50, 95]), [-129, 52, 139], atol=3), "published with the data"
