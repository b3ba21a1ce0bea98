"""Sorting converted images into runs: what belongs together is found whatever the series numbers, and everything else has its reason."""

import json
import random
import re
import sys

import numpy as np
import pytest

import arrange as executable
from chiflow.arrange import arrange
from chiflow.core.cli import execute

BIDS_ID = re.compile(r"sub-[0-9a-zA-Z]+(_[a-z]+-[0-9a-zA-Z]+)*")
TIMES = (0.004, 0.009, 0.014)
AFFINE = [[-1.0, 0.02, 0, 90], [0.02, 1.0, 0, -100], [0, 0, 2.0, -50], [0, 0, 0, 1]]
ONE_ECHO = "a single echo without phase: export the phase images of the scan as well, if it is a gradient echo"
DIFFERENCE = {"EchoTime1": 0.004, "EchoTime2": 0.009}


@pytest.fixture
def series(tmp_path):
    """Writes the sidecars of one series and part; returns their paths."""

    def write(number, part, times=TIMES, *, first_echo=1, folder="one", uid=None, subject="a", session="b", content="", **keys):
        (tmp_path / folder).mkdir(exist_ok=True)
        paths = []
        for echo, time in enumerate(times, first_echo):
            name = f"sub-{subject}_ses-{session}_run-{number}_echo-{echo}_part-{part}_MEGRE.json"
            sidecar = {"Part": part, "Subject": subject, "Session": session, "Series": uid or f"uid{number}", "SeriesNumber": number,
                       "Content": f"{number}{part}{echo}{content}", "EchoNumber": echo, "Shape": [11, 12, 13], "Affine": AFFINE, "EchoTime": time,
                       "RepetitionTime": 0.03, "FlipAngle": 15.0, "ProtocolName": "gre_qsm", "Manufacturer": "Siemens"}
            paths.append(tmp_path / folder / name)
            paths[-1].write_text(json.dumps(sidecar | keys))
        return paths

    return write


def found(paths):
    """Files of each run by id, and reasons by name; the order of the input must not matter."""
    runs = arrange(paths)
    for seed in range(3):
        shuffled = random.Random(seed).sample(paths, len(paths))
        assert arrange(shuffled) == runs
    assert all(BIDS_ID.fullmatch(run.id) for run in runs.runs)
    assert len({run.id for run in runs.runs}) == len(runs.runs)
    return {run.id: run.files for run in runs.runs}, {entry.name: entry.reason for entry in runs.aside}


def test_magnitude_and_phase_of_two_series_are_one_run(series):
    runs, aside = found(series(6, "mag") + series(7, "phase", folder="other"))
    assert list(runs) == ["sub-a_ses-b_run-6"]
    assert runs["sub-a_ses-b_run-6"] == [f"sub-a_ses-b_run-{n}_echo-{e}_part-{p}_MEGRE.nii" for n, p in ((6, "mag"), (7, "phase")) for e in (1, 2, 3)]
    assert not aside


def test_one_series_may_hold_both_parts(series):
    runs, aside = found(series(1301, "mag", Manufacturer="Philips") + series(1301, "phase", Manufacturer="Philips"))
    assert [len(files) for files in runs.values()] == [6]
    assert not aside


def test_each_echo_may_be_a_series(series):
    echoes = list(enumerate(TIMES))
    paths = [path for e, time in echoes for path in series(9001 + e, "mag", [time], first_echo=e + 1)]
    paths += [path for e, time in echoes for path in series(10001 + e, "phase", [time], first_echo=e + 1)]
    runs, aside = found(paths)
    assert {name: len(files) for name, files in runs.items()} == {"sub-a_ses-b_run-9001": 6}
    assert not aside


def test_a_repeated_scan_is_a_run_of_its_own(series):
    runs, aside = found([p for n in (6, 8, 10) for p in series(n, "mag") + series(n + 1, "phase")])
    assert {name: {f.split("_")[2] for f in files} for name, files in runs.items()} == {
        f"sub-a_ses-b_run-{n}": {f"run-{n}", f"run-{n + 1}"} for n in (6, 8, 10)}
    assert not aside


def test_magnitudes_and_phases_may_be_sent_in_blocks(series):
    runs, aside = found([p for n, part in ((6, "mag"), (7, "mag"), (8, "phase"), (9, "phase")) for p in series(n, part)])
    assert [{f.split("_")[2] for f in files} for files in runs.values()] == [{"run-6", "run-8"}, {"run-7", "run-9"}]
    assert not aside


@pytest.mark.parametrize("order", [(6, 7, 8, 9), (6, 7, 9, 8), (7, 6, 8, 9)])
def test_what_was_processed_alike_belongs_together(series, order):
    kinds = [("mag", "M", "ND"), ("mag", "M", "DIS2D"), ("phase", "P", "ND"), ("phase", "P", "DIS2D")]
    runs, _ = found([p for n, (part, *words) in zip(order, kinds) for p in series(n, part, ImageType=["ORIGINAL", "PRIMARY", *words])])
    assert {frozenset(f.split("_")[2] for f in files) for files in runs.values()} == {
        frozenset({f"run-{order[0]}", f"run-{order[2]}"}), frozenset({f"run-{order[1]}", f"run-{order[3]}"})}


@pytest.mark.parametrize("names", [("gre_qsm_mag", "gre_qsm_pha"), ("QSM MAGNITUDE", "QSM phase"), ("gre_M", "gre_P")])
def test_words_for_the_part_do_not_part_a_scan(series, names):
    runs, _ = found(series(6, "mag", ProtocolName=names[0]) + series(7, "phase", ProtocolName=names[1]))
    assert len(runs) == 1


SHIFTED = [AFFINE[0], AFFINE[1], [0, 0, 2.0, -49.5], AFFINE[3]]


@pytest.mark.parametrize("other", [{"RepetitionTime": 0.04}, {"FlipAngle": 20.0}, {"Affine": SHIFTED}, {"Shape": [11, 12, 14]},
                                   {"ProtocolName": "gre_fast"}, {"subject": "z"}, {"session": "z"}])
def test_what_differs_is_no_pair(series, other):
    runs, aside = found(series(6, "mag") + series(7, "phase", **other))
    assert not runs
    assert sorted(aside.values()) == ["a magnitude without phase: export the phase images of the scan as well",
                                      "phase images without a magnitude of the same grid, protocol and echo times: export that too"]


@pytest.mark.parametrize("off", [np.full((4, 4), 1e-6), np.array([[0, 0, 0, 0.05]] * 3 + [[0, 0, 0, 0]])],
                         ids=["float32", "positions to 0.1 mm"])
def test_rounding_of_an_affine_does_not_part_a_scan(series, off):
    moved = (np.array(AFFINE) + off).tolist()
    assert len(found(series(6, "mag") + series(7, "phase", Affine=moved))[0]) == 1


@pytest.mark.parametrize("split", [False, True])
def test_a_phase_difference_is_a_run_with_the_magnitudes_of_its_echoes(series, split):
    magnitudes = series(2, "mag", TIMES[:1]) + series(3, "mag", TIMES[1:2], first_echo=2) if split else series(2, "mag")
    runs, aside = found(magnitudes + series(4, "phase", TIMES[1:2], first_echo=2, **DIFFERENCE))
    wanted = [f"echo-{e}_part-{p}_MEGRE.nii" for e, p in ((1, "mag"), (2, "mag"), (2, "phase"))]
    assert [file.split("_", 3)[3] for file in runs["sub-a_ses-b_run-2"]] == wanted
    assert len(runs) == 1
    assert not aside


def test_a_phase_difference_may_have_one_magnitude(series):
    runs, aside = found(series(2, "mag", TIMES[:1]) + series(4, "phase", TIMES[1:2], first_echo=2, **DIFFERENCE))
    assert [len(files) for files in runs.values()] == [2]
    assert not aside


def test_a_phase_difference_without_magnitude_says_what_is_missing(series):
    runs, aside = found(series(4, "phase", TIMES[1:2], first_echo=2, **DIFFERENCE))
    assert not runs
    assert aside == {"sub-a_ses-b series 4":
                     "the difference of two phases (TE 4 and 9 ms) is not an echo and has no magnitude: export the magnitude of the scan too"}


def test_a_phase_difference_beside_the_phase_of_each_echo_is_left(series):
    runs, aside = found(series(2, "mag") + series(3, "phase") + series(4, "phase", TIMES[1:2], content="d", first_echo=2, **DIFFERENCE))
    assert [len(files) for files in runs.values()] == [6]
    assert aside == {"sub-a_ses-b series 4": "the difference of two phases: the scan is processed from the phase of each echo"}


def test_repeated_phase_differences_each_take_their_own_magnitudes(series):
    paths = [p for n in (2, 5) for p in series(n, "mag", TIMES[:2]) + series(n + 1, "phase", TIMES[1:2], first_echo=2, **DIFFERENCE)]
    runs, aside = found(paths)
    assert {name.split("-")[-1]: {file.split("run-")[1][0] for file in files} for name, files in runs.items()} == {"2": {"2", "3"}, "5": {"5", "6"}}
    assert not aside


def test_the_first_of_two_echo_times_is_that_of_an_echo(series):
    runs, _ = found(series(2, "mag", TIMES[:1]) + series(3, "phase", TIMES[:1], **DIFFERENCE))
    assert [len(files) for files in runs.values()] == [2], "a difference stands at the second"


@pytest.mark.parametrize("sequence", ["EP", "EP\\\\GR", ["EP", "RM"]])
def test_a_single_volume_of_echo_planar_images_is_no_run(series, sequence):
    runs, aside = found(series(6, "mag", TIMES[:1], ScanningSequence=sequence) + series(7, "phase", TIMES[:1], ScanningSequence=sequence))
    assert not runs
    assert len(aside) == 2 and all("echo-planar" in reason for reason in aside.values())
    runs, _ = found(series(6, "mag", ScanningSequence=sequence) + series(7, "phase", ScanningSequence=sequence))
    assert len(runs) == 1, "several echoes are a scan"


def coils_of(series, number, part, coils=(1, 2, 3), **keys):
    """Sidecars of one series with an image a coil and echo."""
    paths = []
    for coil in coils:
        for path in series(number, part, content=f"coil{coil}", **keys, Coil=coil):
            paths.append(path.rename(path.with_name(path.name.replace("_echo-", f"_coil-{coil}_echo-"))))
    return paths


def test_single_coils_are_one_run(series):
    runs, aside = found(coils_of(series, 6, "mag") + coils_of(series, 7, "phase"))
    assert {name: len(set(files)) for name, files in runs.items()} == {"sub-a_ses-b_run-6": 18}
    assert not aside


def test_combined_coils_go_before_single_ones(series):
    runs, aside = found(coils_of(series, 6, "mag") + coils_of(series, 7, "phase") + series(8, "mag") + series(9, "phase"))
    assert {name: len(files) for name, files in runs.items()} == {"sub-a_ses-b_run-8": 6}
    assert aside == {f"sub-a_ses-b series {n}": "images of single coils: the scan is processed from its combined images" for n in (6, 7)}


def test_a_combined_magnitude_alone_does_not_cost_the_coils(series):
    runs, aside = found(coils_of(series, 6, "mag") + coils_of(series, 7, "phase") + series(8, "mag"))
    assert {name: len(files) for name, files in runs.items()} == {"sub-a_ses-b_run-6": 18}
    assert list(aside) == ["sub-a_ses-b series 8"]


def test_a_single_echo_with_phase_is_a_run(series):
    runs, aside = found(series(6, "mag", TIMES[:1]) + series(7, "phase", TIMES[:1]))
    assert [len(files) for files in runs.values()] == [2]
    assert not aside


def test_echoes_that_name_two_echo_times_are_echoes(series):
    runs, aside = found(series(6, "mag") + series(7, "phase", **DIFFERENCE))
    assert len(runs) == 1
    assert not aside


def test_what_has_no_phase_says_so(series):
    runs, aside = found(series(2, "mag", TIMES[:1], ProtocolName="t1") + series(6, "mag"))
    assert not runs
    no_phase = "a magnitude without phase: export the phase images of the scan as well"
    assert aside == {"sub-a_ses-b series 2": ONE_ECHO, "sub-a_ses-b series 6": no_phase}


def test_a_run_goes_on_without_an_echo_that_lacks_a_part(series):
    runs, aside = found(series(6, "mag") + series(7, "phase", TIMES[:2]))
    assert [{file.split("echo-")[1][0] for file in files} for files in runs.values()] == [{"1", "2"}]
    assert aside == {"sub-a_ses-b series 6": "the echo at 14 ms has no phase: the run goes on without it"}


def test_what_is_left_of_two_echoes_may_be_a_difference_and_is_left_for_the_intake_to_name(series):
    runs, aside = found(series(6, "mag", TIMES[:2]) + series(7, "phase", TIMES[1:2], first_echo=2))
    assert [len(files) for files in runs.values()] == [3]
    assert not aside


def test_the_nearest_of_two_magnitudes_is_used(series):
    runs, aside = found(series(5, "mag", content="earlier") + series(6, "mag") + series(7, "phase"))
    assert list(runs) == ["sub-a_ses-b_run-6"]
    assert aside == {"sub-a_ses-b series 5": "a second magnitude, the phase of the scan belongs to another one"}


def test_a_normalized_copy_of_the_magnitude_is_left(series):
    runs, aside = found(series(5, "mag", ImageType=["M", "ND"]) + series(6, "mag", ImageType=["M", "ND", "NORM"]) + series(7, "phase", ImageType=["P", "ND"]))
    assert list(runs) == ["sub-a_ses-b_run-5"]
    assert aside == {"sub-a_ses-b series 6": "a second magnitude, the phase of the scan belongs to another one"}


def test_a_copy_counts_once(series):
    paths = series(6, "mag") + series(7, "phase")
    copies = series(6, "mag", folder="copy") + [p for p in series(17, "phase", folder="copy", Content="x")]
    for echo, path in enumerate(copies[3:], 1):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"Content": f"7phase{echo}"}))
    runs, aside = found(paths + copies)
    assert [len(set(files)) for files in runs.values()] == [6]
    assert aside == {"sub-a_ses-b series 6": "a copy of series 6", "sub-a_ses-b series 17": "a copy of series 7"}


def test_one_name_for_different_images_is_refused(series):
    runs, aside = found(series(6, "mag") + series(7, "phase") + series(6, "mag", folder="other", content="half"))
    assert not runs
    assert aside["sub-a_ses-b series 6"] == "two folders hold different images of this series: put them into one"


@pytest.mark.parametrize("vendor, parts", [("GE", {"real", "imag"}), ("Siemens", {"mag", "phase"})])
def test_of_both_forms_one_is_used(series, vendor, parts):
    paths = [p for n, part in enumerate(("mag", "phase", "real", "imag"), 6) for p in series(n, part, Manufacturer=vendor)]
    runs, aside = found(paths)
    assert {f.split("part-")[1].split("_")[0] for files in runs.values() for f in files} == parts
    assert len(runs) == 1
    assert len(aside) == 2


def test_real_and_imaginary_part_need_no_magnitude(series):
    paths = [p for part in ("mag", "real", "imag") for p in series(9, part, TIMES[:2], Manufacturer="GE")]
    runs, aside = found(paths)
    assert {name: len(files) for name, files in runs.items()} == {"sub-a_ses-b_run-9": 4}
    assert not aside


def test_two_series_of_one_number_are_two_runs(series):
    first = series(6, "mag", uid="x") + series(7, "phase", uid="y")
    other = {"folder": "two", "content": "2", "ProtocolName": "other"}
    second = series(6, "mag", uid="z", **other) + series(7, "phase", uid="w", **other)
    renamed = [path.rename(path.with_name(path.name.replace("_run-", "_run-1"))) for path in second]
    runs, _ = found(first + renamed)
    assert len(runs) == 2


def test_a_sidecar_that_cannot_be_read_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "bad.json").write_text('{"Part": "mag"}')
    monkeypatch.setattr(sys, "argv", ["arrange.py", "--out", str(tmp_path / "runs.json"), str(tmp_path / "bad.json")])
    with pytest.raises(SystemExit) as stop:
        execute(executable.main)
    assert stop.value.code == 1
    assert re.fullmatch(r"error: \S*bad.json: Subject: Field required\n", capsys.readouterr().err)


def test_the_executable_writes_runs_and_says_what_it_left(series, tmp_path, monkeypatch, capsys):
    paths = series(6, "mag") + series(7, "phase") + series(2, "mag", TIMES[:1], ProtocolName="t1")
    monkeypatch.setattr(sys, "argv", ["arrange.py", "--out", str(tmp_path / "runs.json"), *map(str, paths)])
    with pytest.raises(SystemExit) as stop:
        execute(executable.main)
    written = json.loads((tmp_path / "runs.json").read_text())
    assert stop.value.code == 0
    assert [set(run) for run in written["Runs"]] == [{"Id", "Files"}]
    assert [entry["Name"] for entry in written["Aside"]] == ["sub-a_ses-b series 2"]
    assert capsys.readouterr().err == f"warning: sub-a_ses-b series 2: {ONE_ECHO}\n"
