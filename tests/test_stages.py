"""Every executable by hand, on files: a good run, and the user's errors as one line and exit 1."""

import importlib.util
import io
import json
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from chiflow.core.cli import execute
from chiflow.core.contracts import Record, told
from chiflow.core.nifti import Image, load, save
from chiflow.report.verdicts import lines_of

BIN = Path(__file__).resolve().parent.parent / "bin"
SHAPE, TIMES = (22, 23, 24), [0.004, 0.010, 0.016]
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
CALLS = {
    "combine": "--phase phase.nii --magnitude magnitude.nii --acquisition a.json --out combined.nii --out-magnitude magnitude_combined.nii",
    "unwrap": "--phase combined.nii --magnitude magnitude.nii --acquisition a.json --out unwrapped.nii",
    "fieldmap": "--phase unwrapped.nii --magnitude magnitude.nii --acquisition a.json --out field.nii --noise noise.nii --quality quality.nii",
    "mask": "--magnitude magnitude.nii --quality quality.nii --acquisition a.json --out mask.nii --out-brain brain.nii --method surface",
    "gate": "--phase unwrapped.nii --magnitude magnitude.nii --field field.nii --quality quality.nii --brain brain.nii --acquisition a.json --out gate.json",
    "background": "--field field.nii --mask mask.nii --acquisition a.json --noise noise.nii --field-unit hz --magnitude magnitude.nii --out local.nii --out-mask eroded.nii",
    "invert": "--field local.nii --mask eroded.nii --acquisition a.json --noise noise.nii --noise-unit hz --magnitude magnitude.nii --out chi.nii --residual residual.nii --ratio ratio.nii",
    "relax": "--magnitude magnitude.nii --mask mask.nii --acquisition a.json --out r2star.nii --s0 s0.nii --t2star t2star.nii",
    "swi": "--phase unwrapped.nii --magnitude magnitude.nii --mask mask.nii --acquisition a.json --out swi.nii --mip minip.nii "
    "--magnitude-out combined_magnitude.nii",
    "publish": "--acquisition a.json --maps . --out bids",
    "evaluate": "--map chi.nii --truth chi.nii --mask eroded.nii --figure chi.png",
}


def call(stage, folder, *changes):
    """One executable in a folder; `changes` replace what stands behind an option, or add it."""
    words = CALLS[stage].split()
    for option, value in zip(changes[::2], changes[1::2]):
        words = words[: words.index(option)] + [option, value] + words[words.index(option) + 2 :] if option in words else [*words, option, value]
    return run(stage, folder, words)


@dataclass
class Done:
    """What a call left."""

    returncode: int
    stdout: str
    stderr: str


def run(stage, folder, words):
    """The executable in this process: torch is imported once for all of them."""
    specification = importlib.util.spec_from_file_location(f"executable_{stage}", BIN / f"{stage}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    out, err, code = io.StringIO(), io.StringIO(), 0
    with mock.patch.object(sys, "argv", [f"{stage}.py", *words]), chdir(folder), redirect_stdout(out), redirect_stderr(err):
        try:
            execute(module.main)
        except SystemExit as stop:
            code = stop.code or 0
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A ball with a known field, taken through every stage by hand."""
    folder = tmp_path_factory.mktemp("by hand ä")
    x, y, z = np.meshgrid(*[np.arange(n) - n // 2 for n in SHAPE], indexing="ij")
    ball = x**2 + y**2 + z**2 < 81
    field = 2.0 * x - z + 20 * (x**2 + y**2 + z**2 < 9)
    phase = np.stack([0.5 + 2 * np.pi * field * t for t in TIMES], axis=-1)
    phase = (phase + np.pi) % (2 * np.pi) - np.pi
    magnitude = np.stack([np.where(ball, 100 * np.exp(-30 * t), 0.5) for t in TIMES], axis=-1)
    for name, volume in (("phase.nii", phase), ("magnitude.nii", magnitude)):
        save(folder / name, volume.astype(np.float32), Image(volume, AFFINE, folder / name))
    acquisition = {"EchoTimes": TIMES, "MagneticFieldStrength": 3, "ImagingFrequency": 123.2, "B0Direction": [0, 0, 1], "Id": "sub-01_ses-a_run-1"}
    (folder / "a.json").write_text(json.dumps(acquisition))
    for stage in CALLS:
        done = call(stage, folder)
        expected = {"mask": "no skull is seen", "invert": "outside the range of the network"}.get(stage, "no warning")  # a ball is no head
        assert done.returncode == 0 and (not done.stderr or expected in done.stderr), f"{stage}: {done.stderr}"
    return folder


def test_by_hand_from_phase_to_derivatives(folder):
    for name in ("combined", "unwrapped", "field", "mask", "local", "chi", "r2star", "swi"):
        record = json.loads((folder / f"{name}.json").read_text())
        assert record["Made"]["Software"]["chiflow"] and record["Method"], name
    assert np.allclose(load(folder / "field.nii").data[11, 11, 12], 20, atol=1.5)  # Hz; the offset takes 1/13 of the inclusion's step
    anat = folder / "bids" / "sub-01" / "ses-a" / "anat"
    chi = anat / "sub-01_ses-a_run-1_Chimap.nii.gz"
    assert np.array_equal(load(chi).data, load(folder / "chi.nii").data)
    assert np.array_equal(load(anat / "sub-01_ses-a_run-1_desc-field_mask.nii.gz").data, load(folder / "mask.nii").data)
    assert {f"sub-01_ses-a_run-1_{suffix}.nii.gz" for suffix in ("S0map", "swi", "minIP")} <= {p.name for p in anat.iterdir()}
    assert (anat.parent / "fmap" / "sub-01_ses-a_run-1_magnitude.nii.gz").is_file()
    sidecar = json.loads((anat / "sub-01_ses-a_run-1_Chimap.json").read_text())
    assert (sidecar["Units"], sidecar["Reference"]) == ("ppm", "mean of the whole mask")
    assert [stage["Stage"] for stage in sidecar["Processing"]] == ["combine", "unwrap", "fieldmap", "mask", "gate", "background", "invert"]
    assert json.loads((folder / "bids" / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    assert sorted(p.name for p in anat.iterdir() if p.name.endswith(".part")) == []


def test_evaluate_prints_one_json_line_and_draws(folder):
    done = call("evaluate", folder, "--labels", "mask.nii")
    assert json.loads(done.stdout)["nrmse_percent"] == 0
    assert (folder / "chi.png").read_bytes()[:4] == b"\x89PNG"


def test_several_masks_count_where_all_of_them_do(folder):
    image, mask = load(folder / "chi.nii"), load(folder / "eroded.nii")
    half = np.zeros_like(mask.data)
    half[:, :12] = 1
    save(folder / "half.nii", half, mask)
    spoiled = image.data + 5 * (half == 0) * np.arange(SHAPE[1])[:, None]
    save(folder / "spoiled.nii", spoiled.astype(np.float32), image)
    assert json.loads(call("evaluate", folder, "--map", "spoiled.nii").stdout)["nrmse_percent"] > 100
    words = "--map spoiled.nii --truth chi.nii --mask eroded.nii --mask half.nii".split()
    assert json.loads(run("evaluate", folder, words).stdout)["nrmse_percent"] == 0


def test_a_learned_unwrapping_says_how_like_its_training_the_scan_is_and_the_page_shows_it(folder):
    assert call("unwrap", folder, "--method", "net", "--out", "by_net.nii").returncode == 0
    record = Record.read(folder / "by_net.json")
    assert [check.name for check in record.checks] == ["Echoes", "LastToFirst", "AskedShare", "PhaseNoiseRad"]
    assert {check.name: check.value for check in record.checks}.items() <= record.figures.items() and record.warnings == told(record.checks)
    assert [(line.stage, line.name) for line in lines_of({"unwrap": record}, [])] == [("unwrap", check.name) for check in record.checks]


def test_the_network_of_the_total_field_gives_a_local_field_and_a_map_and_names_its_weights(folder):
    total = ("--field", "field.nii", "--field-unit", "hz", "--mask", "mask.nii")
    assert call("background", folder, "--method", "net", "--out", "by_net.nii", "--out-mask", "kept.nii").returncode == 0
    assert call("invert", folder, "--method", "net-total", *total, "--out", "single.nii", "--uncertainty", "doubt.nii", "--residual", "r.nii", "--ratio", "q.nii").returncode == 0
    inside = load(folder / "mask.nii").data > 0
    assert np.isfinite(load(folder / "by_net.nii").data).all() and (load(folder / "doubt.nii").data[inside] > 0).all() and load(folder / "single.nii").data[inside].std() > 0
    for name, known in (("by_net", "HalfWidthsPpm"), ("single", "Reference")):
        record = Record.read(folder / f"{name}.json")
        assert record.parameters["Weights"] == "total.safetensors" and known in record.parameters and {"LocalRmsPpm", "RelativeNoise"} <= {check.name for check in record.checks}
        assert {"total.safetensors", "total.json"} <= set(record.inputs)


def test_units_of_the_field_are_honoured(folder):
    field = load(folder / "field.nii")
    save(folder / "field_ppm.nii", field.data / 123.2, field)
    for out, *unit in (("hz.nii", "--field-unit", "hz"), ("ppm.nii", "--field-unit", "ppm", "--field", "field_ppm.nii")):
        assert call("background", folder, "--out", out, "--method", "joint", *unit).returncode == 0
    assert np.allclose(load(folder / "hz.nii").data, load(folder / "ppm.nii").data, atol=1e-6)


@pytest.fixture
def bad(folder):
    """Files that no stage can use."""
    image = load(folder / "magnitude.nii", dimensions=(4,))
    save(folder / "short.nii", image.data[..., :2], image)
    save(folder / "moved.nii", image.data[..., 0], Image(image.data, AFFINE + np.array([[0, 0, 0, 5]] + [[0] * 4] * 3), image.path))
    save(folder / "zero.nii", 0 * image.data[..., 0], image)
    save(folder / "zero4d.nii", 0 * image.data, image)
    nan = image.data.copy()
    nan[0, 0, 0] = np.nan
    save(folder / "nan.nii", nan, image)
    (folder / "ms.json").write_text('{"EchoTimes": [4, 10, 16], "MagneticFieldStrength": 3}')
    (folder / "empty.json").write_text("{}")
    (folder / "file").write_text("")
    return folder


@pytest.mark.parametrize("stage, option, value, said", [
    *[(stage, "--acquisition", "ms.json", "ms.json: EchoTimes: EchoTime 16 looks like milliseconds: BIDS wants s, that is 0.016") for stage in ("combine", "invert", "relax")],
    ("unwrap", "--acquisition", "empty.json", "empty.json: EchoTimes: Field required"),
    ("combine", "--magnitude", "short.nii", "short.nii: 2 echoes, but the acquisition has 3 echo times"),
    ("combine", "--phase", "nan.nii", "nan.nii: 3 voxels are NaN or infinite"),
    ("combine", "--phase", "missing.nii", "missing.nii: no such file"),
    ("combine", "--phase", "zero.nii", "zero.nii: 1 echoes, but the acquisition has 3 echo times"),
    ("unwrap", "--method", "magic", "unknown unwrapping 'magic': choose from tree, individual, laplacian, net"),
    ("unwrap", "--mask", "zero.nii", "zero.nii: the mask is zero everywhere"),
    ("fieldmap", "--phase", "zero4d.nii", "zero4d.nii: 0 in every voxel"),
    ("mask", "--magnitude", "zero4d.nii", "the magnitude is zero everywhere"),
    ("gate", "--brain", "zero.nii", "zero.nii: the mask is zero everywhere"),
    ("gate", "--magnitude", "short.nii", "short.nii: 2 echoes, but the acquisition has 3 echo times"),
    ("mask", "--method", "magic", "unknown brain extraction 'magic': choose from network, surface"),
    ("mask", "--mask", "moved.nii", "moved.nii: lies up to 5 mm off the grid of magnitude.nii"),
    ("background", "--mask", "moved.nii", "moved.nii: lies up to 5 mm off the grid of field.nii"),
    ("background", "--mask", "zero.nii", "zero.nii: the mask is zero everywhere"),
    ("background", "--method", "magic", "unknown background method 'magic'"),
    ("background", "--field-unit", "tesla", "unknown field unit 'tesla': choose from ppm, hz"),
    ("invert", "--device", "tpu", "unknown device 'tpu': choose from auto, cpu, cuda"),
    ("invert", "--method", "magic", "unknown inversion 'magic'"),
    ("invert", "--out", "file/chi.nii", "cannot be written"),
    ("relax", "--mask", "zero.nii", "zero.nii: the mask is zero everywhere"),
    ("relax", "--method", "magic", "unknown relaxation fit 'magic': choose from loglinear, arlo"),
    ("swi", "--mask", "moved.nii", "moved.nii: lies up to 5 mm off the grid of unwrapped.nii"),
    ("publish", "--maps", "bids", "chi.nii: no such file"),
    ("publish", "--acquisition", "ms.json", "milliseconds"),
    ("evaluate", "--truth", "moved.nii", "moved.nii: lies up to 5 mm off the grid of chi.nii"),
])
def test_bad_input_is_one_line_and_exit_1(bad, stage, option, value, said):
    done = call(stage, bad, option, value)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert said in done.stderr


def test_a_missing_gpu_is_a_warning(folder):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = call("invert", folder, "--device", "cuda", "--method", "tkd", "--out", "gpu.nii")
    assert done.returncode == 0 and "no GPU found" in done.stderr


@pytest.mark.parametrize("stage", CALLS)
def test_help_teaches(stage, tmp_path):
    done = run(stage, tmp_path, ["--help"])
    assert done.returncode == 0
    assert all(option in done.stdout for option in CALLS[stage].split() if option.startswith("--"))


def test_an_executable_is_one_file_that_runs(folder):
    words = [BIN / "relax.py", *CALLS["relax"].split()]
    done = subprocess.run(words, cwd=folder, env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    failed = subprocess.run([*words[:-1], "file/t2star.nii"], cwd=folder, env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
                            capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1
