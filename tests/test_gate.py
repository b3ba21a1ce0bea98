"""The gate lets good field maps through, and none that was broken on purpose."""

import json

import numpy as np
import pytest
from scipy.ndimage import affine_transform, gaussian_filter
from test_stages import run

from chiflow.core.nifti import Image, save
from chiflow.fieldmap import FIELD_FITS
from chiflow.gate import CRITERIA, gate_figures, judge
from chiflow.gate.figures import against_others
from chiflow.gate.motion import displacement_voxels
from chiflow.phantom.grid import rotation

SHAPE = (40, 42, 38)
VOXEL = (3.0, 3.0, 3.0)
TIMES = [0.004, 0.010, 0.016, 0.022]
TURN = np.float32(2 * np.pi)


class Scan:
    """Unwrapped phase and magnitude of a ball with a smooth field, structure in its magnitude, and noise."""

    def __init__(self, seed=0, snr=40.0, times=TIMES):
        random = np.random.default_rng(seed)
        x, y, z = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE], indexing="ij")
        smooth = lambda sigma: gaussian_filter(random.standard_normal(SHAPE).astype(np.float32), sigma, mode="wrap")
        bumps = lambda sigma: (values := smooth(sigma)) / values.std()
        self.brain = x**2 + y**2 + z**2 < 0.8
        self.field = 25 * bumps(6) + 6 * bumps(1.5) + 20 * z
        decay = np.exp(-np.array(times, np.float32) * np.clip(22 + 6 * bumps(2), 8, 60)[..., None])
        self.magnitude = (1 + 0.25 * np.tanh(bumps(1.2)))[..., None] * decay * np.where(self.brain, 1, 0.03)[..., None].astype(np.float32)
        self.phase = TURN * self.field[..., None] * np.array(times, np.float32)
        self.phase += (random.normal(size=self.phase.shape) / (snr * np.maximum(self.magnitude, 0.05))).astype(np.float32)
        self.times = list(times)

    def figures(self):
        fitted = FIELD_FITS["nonlinear"](self.phase, self.magnitude, np.ones(SHAPE, bool), self.times)
        return gate_figures(self.phase, self.magnitude, fitted.field_hz, fitted.quality, self.brain, self.times, VOXEL)

    def verdict(self):
        return judge(self.figures()).verdict


@pytest.mark.parametrize("seed, snr, times", [(1, 15, TIMES), (2, 40, TIMES), (3, 100, TIMES[:3]), (4, 60, [0.003, 0.0071, 0.013, 0.02, 0.024]), (5, 40, TIMES[:2]),
                                              (6, 40, TIMES[:1])])
def test_a_clean_scan_passes(seed, snr, times):
    scan = Scan(seed, snr, times)
    judgement = judge(scan.figures())
    assert (judgement.verdict, judgement.reasons) == ("pass", [])


def moved(volume, shift, degrees):
    turn, middle = rotation(2, degrees), (np.array(SHAPE) - 1) / 2
    return affine_transform(volume, turn, middle - turn @ middle + [shift, 0, 0], order=1, mode="nearest")


def swapped(scan):
    scan.phase, scan.magnitude = scan.phase[..., [0, 2, 1, 3]], scan.magnitude[..., [0, 2, 1, 3]]


def swapped_phases(scan):
    scan.phase = scan.phase[..., [0, 2, 1, 3]]


def flipped_sign(scan):
    scan.phase[..., 1] *= -1


def turned_slices(scan):
    scan.phase[:, :, 1::2] += TURN / 2


def reversed_slices(scan):
    scan.phase[..., 2] = scan.phase[:, :, ::-1, 2]


def wrong_time(scan):
    scan.times = [0.004, 0.010, 0.017, 0.022]


def motion(scan):
    for volumes in (scan.phase, scan.magnitude):
        volumes[..., 2] = moved(volumes[..., 2], 1, 0)


def rotation_of_an_echo(scan):
    for volumes in (scan.phase, scan.magnitude):
        volumes[..., 1] = moved(volumes[..., 1], 0, 3)


def wrap_in_one_echo(scan):
    scan.phase[15:25, 15:25, 15:25, 2] += TURN


def wrap_in_all_echoes(scan):
    scan.times = [0.004, 0.008, 0.012, 0.016]
    scan.phase = TURN * scan.field[..., None] * np.array(scan.times, np.float32)
    scan.phase[15:25, 15:25, 15:25] += TURN * np.array([1, 2, 3, 4], np.float32)


def noise(scan):
    scan.phase = np.random.default_rng(0).uniform(-np.pi, np.pi, scan.phase.shape).astype(np.float32)


FAULTS = {"EchoGrowth": [swapped], "EchoMisfit": [swapped_phases, reversed_slices], "MedianResidual": [flipped_sign, turned_slices], "EchoTimeError": [wrong_time],
          "EchoMotion": [motion, rotation_of_an_echo], "EchoWraps": [wrap_in_one_echo], "Jumps": [wrap_in_all_echoes], "Coverage": [noise]}


@pytest.mark.parametrize("criterion, fault", [(name, fault) for name, faults in FAULTS.items() for fault in faults])
def test_a_broken_scan_does_not_pass_and_its_criterion_says_so(criterion, fault):
    scan = Scan()
    fault(scan)
    figures = scan.figures()
    assert CRITERIA[criterion].check(criterion, figures[criterion]).verdict != "pass"
    assert judge(figures).verdict != "pass"


def test_every_criterion_has_its_fault():
    assert FAULTS.keys() == CRITERIA.keys()


def test_a_wrap_left_in_a_single_echo_is_a_jump():
    scan = Scan(times=[0.015])
    scan.phase[15:25, 15:25, 15:25] += TURN
    assert CRITERIA["Jumps"].check("Jumps", scan.figures()["Jumps"]).verdict == "fail"


@pytest.mark.parametrize("times", [TIMES, [0.02]])
def test_what_was_not_unwrapped_counts_against_coverage_only(times):
    scan = Scan(snr=1e4, times=times)
    whole, hole = scan.figures(), np.zeros(SHAPE, bool)
    hole[12:20, 12:20, 12:20] = True
    fitted = FIELD_FITS["linear"](scan.phase, scan.magnitude, ~hole, scan.times)
    scan.phase[hole] = 0
    figures = gate_figures(scan.phase, scan.magnitude, fitted.field_hz, fitted.quality, scan.brain, scan.times, VOXEL)
    assert 0.9 < figures.pop("Coverage") < 0.99 and figures.keys() == whole.keys() - {"Coverage"}
    assert judge(figures).verdict == "pass" and figures["Jumps"] == 0
    nothing = gate_figures(0 * scan.phase, scan.magnitude, fitted.field_hz, 0 * fitted.quality, scan.brain, scan.times, VOXEL)
    assert nothing == {"Coverage": 0.0} and judge(nothing).verdict == "fail"


@pytest.mark.parametrize("shift, degrees", [(1.0, 0), (0.5, 0), (0, 2), (0, 4)])
def test_motion_is_measured_in_voxels(shift, degrees):
    scan = Scan(7)
    scan.magnitude[..., 2] = moved(scan.magnitude[..., 2], shift, degrees)
    x, y, _ = np.nonzero(scan.brain)
    radius = np.sqrt(np.mean((x - (SHAPE[0] - 1) / 2) ** 2 + (y - (SHAPE[1] - 1) / 2) ** 2))
    expected = shift + radius * np.deg2rad(degrees)
    assert displacement_voxels(scan.magnitude, scan.brain, np.array(TIMES)) == pytest.approx(expected, rel=0.07)  # measured 0.94 … 1.03


def test_an_echo_is_measured_against_the_others():
    """Off by δ in one echo of a linear fit is off by δ against the field of the others, whatever its weight in the fit."""
    random, times = np.random.default_rng(0), np.array(TIMES, np.float32)
    weights, field, off = random.uniform(0.2, 1, (500, 4)), random.uniform(-50, 50, 500), random.uniform(-5, 5, 500)
    phase = 2 * np.pi * field[:, None] * times
    phase[:, 2] += off
    fitted = (weights * phase) @ times / (weights @ times**2) / (2 * np.pi)
    assert np.allclose(against_others(phase, weights, fitted, times)[:, 2], off, atol=1e-3)


def test_echo_wraps_is_the_share_of_voxels_that_are_off_by_more_than_half_a_turn():
    scan = Scan(snr=1e4)
    wrong = np.random.default_rng(0).random(SHAPE) < 0.2
    scan.phase[..., 2] += np.where(wrong, 1.1 * TURN / 2, 0.9 * TURN / 2 * (np.random.default_rng(1).random(SHAPE) < 0.2)).astype(np.float32)
    fitted = FIELD_FITS["linear"](scan.phase, scan.magnitude, np.ones(SHAPE, bool), TIMES)
    figures = gate_figures(scan.phase, scan.magnitude, fitted.field_hz, fitted.quality, scan.brain, TIMES, VOXEL)
    assert figures["EchoWraps"] == pytest.approx(0.2, abs=0.02)  # 20 000 voxels: 0.3 %; 0.9 of half a turn weighs less in other echoes


def test_the_worst_figure_decides_and_is_told_first():
    judgement = judge({"Coverage": 0.7, "Jumps": 0.1, "EchoMotion": 0.0, "NotACriterion": 9.0})
    assert judgement.verdict == "fail" and len(judgement.reasons) == 2
    assert judgement.reasons[0].startswith("Jumps 0.1 is above 0.0005: ") and judgement.reasons[1].startswith("Coverage 0.7 is below 0.8: ")
    assert judge({"Coverage": float("nan")}).verdict == "fail"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A good and a broken scan with their field maps, as files."""
    folder = tmp_path_factory.mktemp("gate")
    for name, fault in (("good", lambda scan: None), ("bad", flipped_sign)):
        scan = Scan()
        fault(scan)
        fitted = FIELD_FITS["linear"](scan.phase, scan.magnitude, np.ones(SHAPE, bool), TIMES)
        maps = {"phase": scan.phase, "magnitude": scan.magnitude, "field": fitted.field_hz, "quality": fitted.quality, "brain": scan.brain}
        for kind, volume in maps.items():
            save(folder / f"{name}_{kind}.nii", volume, Image(volume, np.diag([3.0, 3, 3, 1]), folder))
    (folder / "a.json").write_text(json.dumps({"EchoTimes": TIMES, "MagneticFieldStrength": 3, "Id": "sub-1"}))
    return folder


def gate(folder, name, *words):
    maps = [word for kind in ("phase", "magnitude", "field", "quality", "brain") for word in (f"--{kind}", f"{name}_{kind}.nii")]
    return run("gate", folder, [*maps, "--acquisition", "a.json", "--out", "gate.json", *words])


def test_the_record_holds_verdict_figures_thresholds_and_unwrapping(folder):
    done = gate(folder, "good", "--unwrapping", "individual")
    record = json.loads((folder / "gate.json").read_text())
    assert (done.returncode, done.stderr, record["Method"], record["Figures"]["Verdict"], "Warnings" in record and record["Warnings"]) == (0, "", "individual", "pass", [])
    jumps, coverage = ({check["Name"]: check for check in record["Checks"]}[name] for name in ("Jumps", "Coverage"))
    assert set(CRITERIA) < set(record["Figures"]) and set(CRITERIA) == {check["Name"] for check in record["Checks"]}
    assert (jumps["Good"], jumps["Fair"]) == ([None, CRITERIA["Jumps"].warn], [None, CRITERIA["Jumps"].fail]) and jumps["Value"] == record["Figures"]["Jumps"]
    assert (coverage["Good"], coverage["Fair"]) == ([CRITERIA["Coverage"].warn, None], [CRITERIA["Coverage"].fail, None]) and coverage["Verdict"] == "pass"


@pytest.mark.parametrize("words, status", [(["--gate", "stop"], 1), (["--gate", "fallback"], 0), (["--gate", "fallback", "--last"], 1), (["--gate", "warn", "--last"], 0)])
def test_what_a_fail_does_is_the_policy(folder, words, status):
    done = gate(folder, "bad", *words)
    assert done.returncode == status
    assert json.loads((folder / "gate.json").read_text())["Figures"]["Verdict"] == "fail"
    start = "error: the field map of sub-1 failed the gate: " if status else "warning: "
    assert done.stderr.startswith(start) and "MedianResidual" in done.stderr


def test_an_unknown_policy_is_one_line(folder):
    assert gate(folder, "good", "--gate", "hope").stderr == "error: unknown gate policy 'hope': choose from stop, fallback, warn\n"
