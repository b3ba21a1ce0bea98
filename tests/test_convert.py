"""DICOM to NIfTI: what comes out is right, the same every time, and knows no patient."""

import json
import re
import shutil
import sys
import tarfile

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

import convert as executable
from chiflow.arrange import arrange
from chiflow.convert import convert
from chiflow.convert.kind import coil_of, part_or_reason
from chiflow.core.cli import execute
from chiflow.core.errors import ChiflowError, NotFinished

SHAPE = (12, 11, 7)  # columns, rows, slices
TIMES_MS = (4.0, 9.0)
STUDY, SERIES = "1.2.826.0.1.3680043.8.498.4711", "1.2.826.0.1.3680043.8.498.4712"
SECRETS = ("Mustermann", "Zaphod", "PID-31415", "19770523", "ACC-2718", "Sanktanna", "Drhibbert", "4711", "20240229",
           "131415.16", "Lampenfieber", "DEV-1618")


def levels(part, echo, patient=0):
    """Stored values (columns, rows, slices) uint16 of an echo."""
    rng = np.random.default_rng([echo, part == "P", patient])
    return rng.integers(0, 4096, SHAPE).astype(np.uint16)


def tags_of(part, number, patient):
    tags = Dataset()
    tags.SOPClassUID, tags.Modality = "1.2.840.10008.5.1.4.1.1.4", "MR"
    tags.ImageType = ["ORIGINAL", "PRIMARY", part, "ND"]
    tags.StudyDate = tags.SeriesDate = tags.AcquisitionDate = tags.ContentDate = "20240229"
    tags.StudyTime = tags.SeriesTime = tags.AcquisitionTime = tags.ContentTime = "131415.16"
    tags.AccessionNumber, tags.ReferringPhysicianName, tags.OperatorsName = "ACC-2718", "Drhibbert^J", "Drhibbert^O"
    tags.Manufacturer, tags.ManufacturerModelName, tags.DeviceSerialNumber = "SIEMENS", "Prisma", "DEV-1618"
    tags.InstitutionName, tags.InstitutionAddress, tags.StationName = "Sanktanna", "Sanktanna 1", "Sanktanna-3T"
    tags.PatientName, tags.PatientID, tags.PatientBirthDate = "Mustermann^Zaphod", f"PID-31415{patient or ''}", "19770523"
    tags.PatientSex, tags.PatientAge, tags.PatientWeight = "O", "046Y", "70"
    tags.PatientComments = tags.ImageComments = "Lampenfieber"
    tags.StudyInstanceUID, tags.SeriesInstanceUID = f"{STUDY}{patient}", f"{SERIES}{patient}.{number}"
    tags.FrameOfReferenceUID = f"{STUDY}{patient}.1"
    tags.StudyID, tags.SeriesNumber, tags.AcquisitionNumber = "4711", number, 1
    tags.StudyDescription = tags.SeriesDescription = tags.ProtocolName = "gre_mustermann_qsm"
    tags.ScanningSequence, tags.SequenceVariant, tags.MRAcquisitionType, tags.SequenceName = "GR", "SP", "3D", "*fl3d2"
    tags.SliceThickness = tags.SpacingBetweenSlices = "2"
    tags.RepetitionTime, tags.FlipAngle, tags.EchoTrainLength, tags.PixelBandwidth = "30", "15", 2, "300"
    tags.ImagingFrequency, tags.MagneticFieldStrength, tags.PatientPosition = "123.2", "3", "HFS"
    tags.ImageOrientationPatient, tags.PixelSpacing = ["1", "0", "0", "0", "1", "0"], ["1.5", "1.25"]
    tags.Rows, tags.Columns, tags.SamplesPerPixel, tags.PhotometricInterpretation = SHAPE[1], SHAPE[0], 1, "MONOCHROME2"
    tags.BitsAllocated, tags.BitsStored, tags.HighBit, tags.PixelRepresentation = 16, 12, 11, 0
    return tags


def write_series(folder, part="M", number=6, *, times=TIMES_MS, patient=0, skip=(), **changes):
    """One series as classic DICOM, a file a slice and echo."""
    folder.mkdir(parents=True, exist_ok=True)
    tags = tags_of(part, number, patient)
    for name, value in changes.items():
        setattr(tags, name, value)
    for echo, time in enumerate(times, 1):
        for position in range(SHAPE[2]):
            if (echo, position) in skip:
                continue
            instance = (echo - 1) * SHAPE[2] + position + 1
            tags.SOPInstanceUID, tags.InstanceNumber = f"{tags.SeriesInstanceUID}.{instance}", instance
            tags.EchoTime, tags.EchoNumbers = str(time), echo
            tags.ImagePositionPatient = ["-8", "-9", str(2.0 * position)]
            tags.PixelData = levels(part, echo, patient)[:, :, position].T.tobytes()
            tags["PixelData"].VR = "OW"
            tags.file_meta = FileMetaDataset()
            tags.file_meta.MediaStorageSOPClassUID, tags.file_meta.MediaStorageSOPInstanceUID = tags.SOPClassUID, tags.SOPInstanceUID
            tags.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            tags.save_as(folder / f"IM{number}_{instance:03d}", enforce_file_format=True)


@pytest.fixture
def scan(tmp_path):
    """A folder with magnitude (series 6) and phase (series 7) of one patient."""
    write_series(tmp_path / "Mustermann Zaphod" / "a")
    write_series(tmp_path / "Mustermann Zaphod" / "b", "P", 7)
    return tmp_path / "Mustermann Zaphod"


@pytest.fixture
def call(tmp_path, monkeypatch, capfd):
    """Runs the executable; returns exit status, everything it said, and the output folder."""
    (tmp_path / "key").write_text("open sesame\n")

    def run(dicom, *options, out="out", key="key"):
        places = [f"--key={tmp_path / key}", f"--out={tmp_path / out}", f"--subjects={tmp_path / 'subjects.tsv'}"]
        monkeypatch.setattr(sys, "argv", ["convert.py", f"--dicom={dicom}", *places, *options])
        with pytest.raises(SystemExit) as stop:
            execute(executable.main)
        said = capfd.readouterr()
        return stop.value.code, said.out + said.err, tmp_path / out

    return run


def names(out):
    return sorted(re.sub(r"^sub-[0-9a-f]{10}_ses-[0-9a-f]{10}_", "", path.name) for path in out.iterdir())


def aside(out):
    return {entry["Name"]: entry["Reason"] for entry in json.loads((out / "convert.json").read_text())["Aside"]}


def test_a_scan_becomes_an_image_an_echo_and_part(scan, call):
    status, said, out = call(scan)
    stems = [f"run-{number}_echo-{echo}_part-{part}_MEGRE" for number, part in ((6, "mag"), (7, "phase")) for echo in (1, 2)]
    assert (status, said) == (0, "")
    assert names(out) == sorted(["convert.json"] + [stem + ending for stem in stems for ending in (".json", ".nii")])
    image = nibabel.load(next(out.glob("*run-7_echo-2_part-phase_MEGRE.nii")))
    assert np.array_equal(np.sort(np.asarray(image.dataobj).ravel()), np.sort(levels("P", 2).ravel())), "voxels are moved, not changed"
    assert image.header.get_zooms() == (1.25, 1.5, 2.0)
    sidecar = json.loads(next(out.glob("*run-7_echo-2*.json")).read_text())
    expected = {"EchoTime": 0.009, "RepetitionTime": 0.03, "FlipAngle": 15, "MagneticFieldStrength": 3, "ImagingFrequency": 123.2,
                "Manufacturer": "Siemens", "Part": "phase", "SeriesNumber": 7, "EchoNumber": 2, "Shape": list(SHAPE)}
    assert {key: sidecar[key] for key in expected} == expected
    assert np.allclose(sidecar["Affine"], image.affine, atol=1e-5)


def test_no_identity_leaves(scan, call, tmp_path):
    _, said, out = call(scan)
    for path in out.rglob("*"):
        content = (path.name.encode() + path.read_bytes()).lower()
        found = [secret for secret in SECRETS if secret.lower().encode() in content]
        assert not found, f"{path.name} holds {found}"
    assert not [secret for secret in SECRETS if secret.lower() in said.lower()]
    assert not [path for path in out.iterdir() if path.is_dir()], "no folder with names is left"
    table = (tmp_path / "subjects.tsv").read_text().splitlines()
    label = next(out.glob("*.nii")).name.split("_")[0]
    assert table[1:] == [f"{label}\tPID-31415\t{scan}"]
    assert (tmp_path / "subjects.tsv").stat().st_mode & 0o077 == 0


def test_names_in_an_old_encoding_stay_inside_too(scan, call, tmp_path):
    shutil.rmtree(scan)
    names_of = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Größenwahn^Änne", "PatientID": "Größenwahn7", "ProtocolName": "gre Größenwahn"}
    write_series(scan, **names_of)
    status, said, out = call(scan)
    assert (status, said, len(names(out))) == (0, "", 5)
    for path in out.iterdir():
        assert not [word for word in (b"enwahn", "Größe".encode(), "Größe".encode("latin1"), b"nne") if word in path.read_bytes()]
    assert "enwahn7" in (tmp_path / "subjects.tsv").read_text(encoding="utf8")


def test_echoes_without_numbers_are_numbered_by_their_times(scan, call):
    for path in [*scan.glob("*/*")]:
        image = pydicom.dcmread(path)
        image.EchoNumbers = 1
        image.save_as(path)
    _, _, out = call(scan)
    times = {path.name.split("_echo-")[1][0]: json.loads(path.read_text())["EchoTime"] for path in out.glob("sub-*part-mag*.json")}
    assert times == {"1": 0.004, "2": 0.009}


def test_labels_hold_for_a_key_whatever_else_is_there(scan, call, tmp_path):
    _, _, alone = call(scan)
    write_series(scan / "c", patient=2)
    _, _, more = call(scan, out="more")
    assert {path.name for path in alone.iterdir()} < {path.name for path in more.iterdir()}
    assert len({path.name.split("_")[0] for path in more.glob("*.nii")}) == 2
    (tmp_path / "other").write_text("another")
    _, _, other = call(scan, out="third", key="other")
    assert not {path.name for path in other.glob("*.nii")} & {path.name for path in more.iterdir()}


def test_order_nesting_and_copies_change_nothing(scan, call, tmp_path):
    _, _, out = call(scan)
    deep = tmp_path / "/".join(["other"] + ["x"] * 12)
    deep.mkdir(parents=True)
    for n, path in enumerate(sorted((p for p in scan.rglob("*") if p.is_file()), reverse=True)):
        shutil.copy(path, deep / f"{n} ä;$(x)'")
    shutil.copytree(scan / "a", tmp_path / "other" / "copy")
    (tmp_path / "other" / "loop").symlink_to(tmp_path / "other")
    _, _, again = call(tmp_path / "other", out="again")
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {p.name: p.read_bytes() for p in again.iterdir()}


def test_a_file_that_is_no_image_changes_nothing_but_the_sum_of_the_folder(scan, call):
    _, _, out = call(scan)
    (scan / "a" / "DICOMDIR").write_bytes(b"no image")
    _, _, again = call(scan, out="again")
    assert {p.name: p.read_bytes() for p in out.glob("*.nii")} == {p.name: p.read_bytes() for p in again.glob("*.nii")}
    for path in out.glob("*_MEGRE.json"):
        before, after = json.loads(path.read_text()), json.loads((again / path.name).read_text())
        assert before.pop("Converted")["Dicom"] != after.pop("Converted")["Dicom"] and before == after


def test_depth_0_takes_the_files_of_the_folder_only(scan, call):
    for path in (scan / "a").iterdir():
        path.rename(scan / path.name)
    _, _, out = call(scan, "--depth", "0")
    assert {name.split("_")[0] for name in names(out)} == {"run-6", "convert.json"}


def test_a_folder_without_images_is_named_by_its_label(tmp_path, call):
    (tmp_path / "Mustermann").mkdir()
    (tmp_path / "Mustermann" / "Zaphod.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"rubbish" * 99)
    status, said, out = call(tmp_path / "Mustermann")
    assert status == 0
    assert re.fullmatch(r"warning: folder-[0-9a-f]{10}: no DICOM image that can be read was found in the folder\n", said)
    assert list(aside(out)) == [said.split(": ")[1]]
    assert (tmp_path / "subjects.tsv").read_text().splitlines()[1] == f"{said.split(': ')[1]}\t\t{tmp_path / 'Mustermann'}"


def test_a_converter_that_was_killed_has_not_converted(scan, tmp_path, monkeypatch):
    (tmp_path / "killed").write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / "killed").chmod(0o755)
    monkeypatch.setattr("dcm2niix.bin", str(tmp_path / "killed"))
    (tmp_path / "key").write_text("secret")
    with pytest.raises(NotFinished, match="signal 9"):
        convert(scan, tmp_path / "key", tmp_path / "out", tmp_path / "subjects.tsv")
    assert not list((tmp_path / "out").iterdir())


def test_damaged_files_do_not_cost_the_others(scan, call):
    damaged = sorted((scan / "b").iterdir())[3]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    status, said, out = call(scan)
    assert status == 0
    assert any("part-mag" in name for name in names(out))
    assert aside(out), "the damage is told"
    assert "Mustermann" not in said


@pytest.mark.parametrize("what, said", [
    ("folder", "error: .*nowhere: no such folder"),
    ("key", "error: .*the key file cannot be read"),
    ("empty", "error: .*the key file is empty"),
])
def test_a_mistake_is_one_line(scan, call, tmp_path, what, said):
    (tmp_path / "empty").write_text("\n")
    status, line, _ = call(tmp_path / "nowhere" if what == "folder" else scan, key={"key": "gone", "empty": "empty"}.get(what, "key"))
    assert status == 1
    assert re.fullmatch(said + ".*\n", line)


def test_two_series_of_one_number_stay_two(scan, call):
    write_series(scan / "c", "M", 6, patient=0, SeriesInstanceUID=f"{SERIES}9.9", RepetitionTime="40")
    for path in (scan / "c").iterdir():
        image = pydicom.dcmread(path)
        image.PixelData = image.PixelData[::-1]
        image.save_as(path)
    _, _, out = call(scan)
    runs = {name.split("_")[0] for name in names(out)}
    assert runs == {"run-6", "run-7", "run-602", "convert.json"}


def test_a_slice_missing_from_all_echoes_is_told(scan, call):
    shutil.rmtree(scan)
    write_series(scan, skip={(1, 3), (2, 3)})
    _, _, out = call(scan)
    assert set(aside(out).values()) == {"its slices are not evenly spaced: slices are missing, export the series again"}


@pytest.mark.parametrize("image_type, ending, part", [
    (["ORIGINAL", "PRIMARY", "M", "ND", "MAGNITUDE"], "_e1", "mag"),
    (["ORIGINAL", "PRIMARY", "P", "ND", "PHASE"], "_e2_ph", "phase"),
    (["ORIGINAL", "PRIMARY", "P", "ND"], "_e2", "phase"),
    (["ORIGINAL", "PRIMARY", "OTHER", "REAL"], "_e1_real", "real"),
    (["ORIGINAL", "PRIMARY", "OTHER", "IMAGINARY"], "_e1_imaginary", "imag"),
    (["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE", "PHASE"], "_e1_ph", "phase"),
    (["ORIGINAL", "PRIMARY", "M", "FFE", "M", "FFE", "MAGNITUDE"], "_e1", "mag"),
    (["ORIGINAL", "PRIMARY", "T1", "MIXED"], "_e1", "mag"),
    (["DERIVED", "PRIMARY", "R", "FFE"], "_e1", "real"),
])
def test_the_part_of_an_image(image_type, ending, part):
    assert part_or_reason({"ImageType": image_type, "ScanningSequence": "GR"}, ending, SHAPE) == (part, None)


@pytest.mark.parametrize("changes, ending", [({"ImageType": ["ORIGINAL", "PRIMARY", "OTHER", "FIELDMAPHZ"]}, "_e1"), ({"Units": "Hz"}, "_e2"),
                                             ({"ImageType": ["ORIGINAL", "B0 MAP"]}, "_e1"), ({}, "_e1_fieldmaphz")])
def test_a_field_map_of_the_scanner_is_told_from_phase(changes, ending):
    assert part_or_reason({"ImageType": ["ORIGINAL", "PRIMARY", "P"]} | changes, ending, SHAPE) == ("fieldmap", None)


@pytest.mark.parametrize("changes, ending, shape, said", [
    ({"ImageType": ["ORIGINAL", "PRIMARY", "OTHER", "FIELDMAPHZ"]}, "_fieldmaphz", SHAPE[:2], "a single slice"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "LOCALIZER"]}, "", SHAPE, "a localizer"),
    ({"ImageType": ["DERIVED", "PRIMARY", "M", "SWI"]}, "", SHAPE, "a susceptibility-weighted image"),
    ({"ImageType": ["DERIVED", "PRIMARY", "T2_STAR_MAP"]}, "_e2", SHAPE, "a map made by the scanner"),
    ({"ScanningSequence": "GR\\IR", "SequenceVariant": "SK\\SP\\MP"}, "", SHAPE, "magnetization-prepared"),
    ({"ScanningSequence": "SE"}, "_e1", SHAPE, "a spin echo"),
    ({}, "_e1", (*SHAPE, 5), "5 volumes of one echo"),
    ({}, "_e1", (12, 11), "a single slice"),
    ({}, "_e1", (12, 11, 1), "a single slice"),
])
def test_what_is_no_echo_has_its_reason(changes, ending, shape, said):
    part, reason = part_or_reason({"ImageType": ["ORIGINAL", "PRIMARY", "M"], "ScanningSequence": "GR"} | changes, ending, shape)
    assert part is None
    assert reason.startswith(said)


NO_PHASE_MAP = {"a field map in Hz made by the scanner is not phase: export the phase images of the echoes",
                "a single echo without phase: export the phase images of the scan as well, if it is a gradient echo"}
REAL = {
    "siemens_prisma3T_6echo_phantom": ({"run-6": ("mag", "phase", 12)}, set()),
    "philips_achieva3T_dualecho_phantom": ({"run-1301": ("mag", "phase", 4)}, set()),
    "ge_mr750_3T_3Ddualecho_magrealimag_abdomen": ({"run-9": ("imag", "real", 4)}, set()),
    "ge_architect3T_head_b0map_hz": ({}, NO_PHASE_MAP),
    "philips_enhanced_phantom_b0map_hz": ({}, NO_PHASE_MAP),
    "siemens_prisma3T_head_gre_fieldmap": ({"run-2": ("mag", "phase", 3)}, set()),
    "siemens_xa30_classic_head_gre_fieldmap": ({"run-9001": ("mag", "phase", 3)}, set()),
    "siemens_xa30_enhanced_head_gre_fieldmap": ({"run-8": ("mag", "phase", 3)}, set()),
}


@pytest.mark.parametrize("name", REAL)
def test_real_scans(name, data, tmp_path):
    with tarfile.open(data / "dicom" / f"{name}.tar.xz") as tar:
        tar.extractall(tmp_path / "dicom", filter="data")
    (tmp_path / "key").write_text("secret")
    converted = convert(tmp_path / "dicom", tmp_path / "key", tmp_path / "out", tmp_path / "subjects.tsv")
    runs = arrange([path for path in (tmp_path / "out").glob("sub-*.json")])
    wanted_runs, wanted_reasons = REAL[name]
    found = {run.id.split("_")[-1]: (*sorted({file.split("part-")[1].split("_")[0] for file in run.files}), len(run.files)) for run in runs.runs}
    assert found == wanted_runs
    reasons = {entry.reason for entry in converted.aside + runs.aside}
    assert reasons == wanted_reasons


@pytest.mark.parametrize("ending, coil", [("_cH1_e2_ph", "H1"), ("_c12_e1", "12"), ("_cHEA_e1", "HEA"), ("_cHEA_HEP_e1", None),
                                          ("_cHC1-7_e1", None), ("_cHE1_NE2_e1_ph", None), ("_cHE1-4_NE1,2_e1", None), ("_e2", None), ("", None)])
def test_single_and_combined_coils(ending, coil):
    assert coil_of(ending) == coil


def test_coils_and_their_combination_in_one_series_stay_apart(tmp_path, call):
    for n, name in enumerate(("H2", "H10", "H1", "HC1-3")):
        write_series(tmp_path / "scan" / name, times=TIMES_MS[:1], patient=0)
        for path in (tmp_path / "scan" / name).iterdir():
            image = pydicom.dcmread(path)
            image.private_block(0x0051, "SIEMENS MR HEADER", create=True).add_new(0x0F, "LO", name)
            image.InstanceNumber += 100 * n
            image.SOPInstanceUID += f".{n}"
            image.PixelData = (np.frombuffer(image.PixelData, np.uint16) // 2 + n).tobytes()
            image.save_as(path)
    _, said, out = call(tmp_path / "scan")
    assert said == ""
    wanted = [f"run-6_{coil}echo-1_part-mag_MEGRE.nii" for coil in ("coil-1_", "coil-2_", "coil-3_", "")]
    assert [name for name in names(out) if name.endswith(".nii")] == wanted
    coils = [json.loads(path.read_text()).get("Coil") for path in sorted(out.glob("sub-*.json"))]
    assert coils == [1, 2, 3, None]
    lowest = [int(np.asarray(nibabel.load(path).dataobj).min()) for path in sorted(out.glob("*.nii"))]
    assert [low - min(lowest) for low in lowest] == [2, 0, 1, 3], "H1, H2, H10, combined: by number, not by letter"


def test_a_place_that_cannot_be_written_is_one_line(scan, tmp_path):
    (tmp_path / "key").write_text("secret")
    (tmp_path / "file").write_text("")
    with pytest.raises(ChiflowError, match="file: cannot be made"):
        convert(scan, tmp_path / "key", tmp_path / "file", tmp_path / "subjects.tsv")
