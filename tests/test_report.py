"""The page of a run: every figure of its own map, the verdict that the records give, the consensus beside it; it loads nothing and opens in a browser."""

import base64
import html.parser
import json
import re

import nibabel
import numpy as np
import pytest
from conftest import browser_says

from chiflow.core.contracts import Acquisition, Check, Record
from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import Image, load, save
from chiflow.core.summary import FIGURES, Summary
from chiflow.report import write_page
from chiflow.report.consensus import NAMES, checklist, methods_text
from chiflow.report.drawing import three_planes
from chiflow.report.panels import DIFFERENCE, PANELS
from chiflow.report.verdicts import lines_of, overall

ID = "sub-1_ses-b"
SHAPE, AFFINE = (20, 24, 16), np.diag([-2.0, 2, 3, 1])
FACTS = {"MRAcquisitionType": "3D", "VoxelSize": [2.0, 2.0, 3.0], "Manufacturer": "Siemens", "RepetitionTime": 0.03}
ACQUISITION = Acquisition(echo_times_s=[0.004, 0.01, 0.02], magnetic_field_strength_t=3, id=ID, **FACTS)
LIMITS = {"Jumps": ((None, 2e-5), (None, 5e-4)), "Coverage": ((0.8, None), (0.5, None))}
SCALES = {"r2star.nii": 40, "quality.nii": 0.5}


def gate_record(**figures: float) -> Record:
    """The record of the gate with these figures."""
    checks = [Check(name=name, value=value, good=LIMITS[name][0], fair=LIMITS[name][1], advice=f"about {name}") for name, value in figures.items()]
    return Record(stage="gate", method="tree", figures=figures, checks=checks, warnings=[check.told for check in checks if check.verdict != "pass"])


RECORDS = {
    "combined": Record(stage="combine", method="mcpc-3d-s", figures={"Readout": "monopolar"}),
    "unwrapped": Record(stage="unwrap", method="tree", figures={"Exact": True}),
    "field": Record(stage="fieldmap", method="nonlinear"),
    "mask": Record(stage="mask", method="network", parameters={"LeastQuality": 0.7}, figures={"VolumeMl": 1400.5}),
    "gate": gate_record(Jumps=0.0, Coverage=0.99),
    "local": Record(stage="background", method="vsharp"),
    "chi": Record(stage="invert", method="tv", parameters={"Reference": "mean of the whole mask"}, figures={"WholeMaskSdPpm": 0.03}),
}


FILES = [panel.key for panel in PANELS if panel.key != DIFFERENCE]


@pytest.fixture
def maps(tmp_path):
    """Every map that the page shows, and the records of a run without trouble."""
    random = np.random.default_rng(0)
    inside = np.zeros(SHAPE, bool)
    inside[4:-4, 4:-4, 3:-3] = True
    for name in (*FILES, "mask.nii", "eroded.nii"):
        volume = inside if name in ("mask.nii", "eroded.nii") else random.normal(scale=SCALES.get(name, 0.05), size=SHAPE).astype(np.float32) * inside
        save(tmp_path / "maps" / name, volume, Image(volume, AFFINE, tmp_path))
    for name, record in RECORDS.items():
        record.model_copy(deep=True).write_beside(tmp_path / "maps" / f"{name}.nii")
    return tmp_path / "maps"


def page_of(maps, acquisition=ACQUISITION) -> str:
    """The page as text."""
    written = write_page(maps, acquisition, maps.parent / "out")
    assert written[:3] == [maps.parent / "out" / "sub-1" / "ses-b" / f"{ID}_{ending}" for ending in ("qsm.html", "desc-methods_qsm.md", "qsm.json")]
    return written[0].read_text(encoding="utf8")


def summary(maps) -> Summary:
    """What the page that was written last tells of the run."""
    return Summary.read(maps.parent / "out" / "sub-1" / "ses-b" / f"{ID}_qsm.json")


def pictures_of(page: str) -> dict[str, list[str]]:
    """Data of the pictures of each figure, by the map's name."""
    figures = re.findall(r'<figure id="(\w+)">(.*?)</figure>', page, re.S)
    return {name: re.findall(r'base64,([^"]+)"', body) for name, body in figures}


def test_every_figure_is_of_its_own_map(maps):
    found = pictures_of(page_of(maps))
    inside = load(maps / "eroded.nii").data > 0
    assert list(found) == [panel.key.removesuffix(".nii") for panel in PANELS] and len(found["chi"]) == 3
    drawn = set()
    for panel in PANELS:
        turned = [nibabel.as_closest_canonical(nibabel.load(maps / name)) for name in (("chi.nii", "start.nii") if panel.key == DIFFERENCE else (panel.key,))]
        volumes = [image.get_fdata(dtype=np.float32) for image in turned]
        image = Image(volumes[0] - volumes[1] if panel.key == DIFFERENCE else volumes[0], turned[0].affine, maps)
        outline = inside[::-1] if panel.key == "combined_magnitude.nii" else None
        expected = base64.b64encode(three_planes(panel, image, inside[::-1], outline)).decode()
        assert found[panel.key.removesuffix(".nii")][0] == expected, panel.key
        drawn.add(expected)
    assert len(drawn) == len(PANELS), "no two maps look alike here"


def test_left_is_left_whatever_the_order_of_the_axes(maps):
    before = pictures_of(page_of(maps))
    for path in maps.glob("*.nii"):
        image = load(path)
        turned = image.affine @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
        save(path, image.data[::-1] > 0 if path.name in ("mask.nii", "eroded.nii") else image.data[::-1], Image(image.data, turned, path))
    assert pictures_of(page_of(maps)) == before


def test_a_map_that_is_not_there_has_no_figure(maps):
    (maps / "uncertainty.nii").unlink()
    assert "uncertainty" not in pictures_of(page_of(maps))


class Reader(html.parser.HTMLParser):
    """Addresses that a page loads, pictures without words, and headings."""

    def __init__(self):
        super().__init__()
        self.loaded, self.wordless, self.ids, self.targets = [], 0, set(), set()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.add(given.get("id"))
        if tag == "a":
            self.targets.add(given["href"])
        if tag != "a":
            self.loaded += [given[key] for key in ("src", "href", "action", "data", "poster") if key in given]
        self.wordless += tag == "img" and len(given.get("alt", "")) < 20


def test_the_page_loads_nothing_says_everything_in_words_and_is_small(maps):
    page = page_of(maps)
    reader = Reader()
    reader.feed(page)
    assert all(address.startswith("data:image/png;base64,") for address in reader.loaded) and len(reader.loaded) == len(PANELS) + 2
    assert reader.wordless == 0 and "@import" not in page and "url(" not in page and "fetch(" not in page
    assert {target[1:] for target in reader.targets if target.startswith("#")} <= reader.ids
    assert len(page.encode()) < 5e6
    assert all(base64.b64decode(data).startswith(b"\x89PNG") for pictures in pictures_of(page).values() for data in pictures)


@pytest.mark.parametrize("jumps, coverage, verdict, colour", [(0.0, 0.99, "pass", "Green"), (1e-4, 0.99, "warn", "Amber"), (0.0, 0.6, "warn", "Amber"), (1e-4, 0.4, "fail", "Red")])
def test_the_verdict_is_the_worst_of_the_checks(maps, jumps, coverage, verdict, colour):
    gate = gate_record(Jumps=jumps, Coverage=coverage)
    lines = lines_of({"gate": gate}, [])
    assert overall(lines) == verdict and len(lines) == 2, "what a check says is not said again as a warning"
    assert [line.advice for line in lines] == ["about Jumps" if jumps else "", "about Coverage" if coverage < 0.8 else ""]
    assert [line.thresholds for line in lines] == ["amber above 2e-05, red above 0.0005", "amber below 0.8, red below 0.5"]
    gate.write_beside(maps / "gate.nii")
    assert re.search(rf'id="verdict"[^>]*><b class="{colour.lower()}">{colour}\.</b>', page_of(maps))
    told = summary(maps)
    assert (told.verdict, len(told.reasons)) == (verdict, sum(line.verdict != "pass" for line in lines))
    assert not told.reasons or told.reasons[0].startswith("gate: Coverage" if coverage < 0.5 or not jumps else "gate: Jumps")


def test_thresholds_on_both_sides_are_said_as_a_range():
    check = Check(name="Voxel", value=3.0, good=(0.5, 2.5), fair=(0.25, 5.0), advice="look")
    (line,) = lines_of({"invert": Record(stage="invert", method="net", checks=[check], warnings=[check.told])}, [])
    assert (line.verdict, line.thresholds, line.told) == ("warn", "green from 0.5 to 2.5, red outside 0.25 to 5", "invert: Voxel 3 is above 2.5: look")
    one_sided = Check(name="Skew", value=-9.0, good=(-0.15, None), fair=(None, None), advice="look")
    assert (one_sided.verdict, lines_of({"invert": Record(stage="invert", method="tv", checks=[one_sided])}, [])[0].thresholds) == ("warn", "amber below -0.15")
    nothing = Check(name="Skew", value=float("nan"), good=(-0.15, None), fair=(None, None), advice="look")
    assert (nothing.verdict, nothing.value) == ("fail", None)


def test_the_summary_has_the_figures_of_the_records_and_what_they_cost(maps):
    page = page_of(maps)
    told, records = summary(maps), [Record.read(path) for path in maps.glob("*.json")]
    assert told.page == f"sub-1/ses-b/{ID}_qsm.html" and set(told.figures) < set(FIGURES)
    assert (told.figures["Mask"], told.figures["Coverage"], told.figures["ChiSd"]) == (1400.5, 0.99, 0.03)
    assert told.figures["Seconds"] == pytest.approx(sum(record.made.cost["Seconds"] for record in records)) and told.figures["Memory"] > 0
    assert f"<td>{records[0].made.cost['Seconds']:.1f}</td><td>{records[0].made.cost['PeakMemoryGib']:.2f}</td>" in page


def test_the_map_that_the_network_began_from_stands_beside_it(maps):
    assert list(pictures_of(page_of(maps)))[:3] == ["chi", "start", "difference"]
    (maps / "start.nii").unlink()
    assert list(pictures_of(page_of(maps)))[:2] == ["chi", "uncertainty"]


def test_regions_are_on_the_page_and_beside_it(maps):
    assert 'id="regions"' not in page_of(maps)
    (maps / "regions.tsv").write_text("index\tname\tmap\tunits\tn\tmean\tsd\tmedian\n11\tleft <caudate>\tChimap\tppm\t120\t0.0441\t0.02\t0.043\n")
    Record(stage="regions", method="labels").write_beside(maps / "regions.json")
    page = page_of(maps)
    assert '<th scope="row">left &lt;caudate&gt;</th>' in page and "<td>0.0441</td>" in page
    folder = maps.parent / "out" / "sub-1" / "ses-b"
    assert (folder / f"{ID}_desc-regions_qsm.tsv").read_bytes() == (maps / "regions.tsv").read_bytes()
    assert "Description" in json.loads((folder / f"{ID}_desc-regions_qsm.json").read_text())["mean"]


def test_a_warning_of_any_stage_makes_it_amber_and_says_what_it_is(maps):
    record = RECORDS["chi"].model_copy(deep=True)
    record.warnings = ["the scan is <unlike> the training"]
    record.write_beside(maps / "chi.nii")
    page = page_of(maps)
    assert '<b class="amber">Amber.</b>' in page and "the scan is &lt;unlike&gt; the training" in page
    assert '<b class="amber">' in page_of(maps, ACQUISITION.model_copy(update={"warnings": ["taken in without echo 3"]}))


def states(acquisition=ACQUISITION, **changed) -> dict[str, str]:
    stages = {record.stage: record for record in RECORDS.values()} | changed
    return {item.asked.split(" ")[0] + item.asked.split(" ")[1]: item.state for item in checklist(acquisition, {k: v for k, v in stages.items() if v})}


def test_the_consensus_beside_a_run():
    assert list(states().values()) == ["met", "met", "met", "unknown", "not met", "met", "met", "met", "met", "met", "met", "met"]
    assert states(invert=RECORDS["chi"].model_copy(update={"method": "net"}))["inversionwith"] == "not met"
    beside = RECORDS["chi"].model_copy(update={"method": "net", "parameters": {"BeginsFrom": "gtv"}})
    assert states(invert=beside)["inversionwith"] == "met", "guided TV is there as well"
    assert states(unwrap=Record(stage="unwrap", method="laplacian", figures={"Exact": False}))["exactunwrapping"] == "not met"
    assert states(background=RECORDS["local"].model_copy(update={"method": "lbv"}))["backgroundremoval"] == "not met"
    assert states(combine=Record(stage="combine", method="mcpc-3d-s"))["monopolarreadout,"] == "unknown"
    assert states(Acquisition(echo_times_s=[0.01], magnetic_field_strength_t=3, id=ID))["3Dacquisition"] == "unknown"
    fine = Acquisition(echo_times_s=[0.004, 0.01], magnetic_field_strength_t=3, id=ID, **FACTS | {"VoxelSize": [1.0, 1.0, 1.0]})
    assert (states(fine)["voxelsof"], states(fine)["threeechoes"]) == ("met", "not met")


def test_the_methods_text_names_what_was_done_with_its_figures():
    text = methods_text(ACQUISITION, {record.stage: record for record in RECORDS.values()}, "9.9")
    for part in ("Siemens (3 T, centre frequency 127.7 MHz)", "4, 10, 20 ms", "TR 30 ms", "2 × 2 × 3 mm", "chiflow 9.9", NAMES["mcpc-3d-s"], NAMES["tree"], NAMES["nonlinear"],
                 NAMES["network"], NAMES["vsharp"], NAMES["tv"], "at least 0.7", "relative to the mean of the whole mask", "0 ± 0.0300 ppm"):
        assert part in text


def test_a_single_echo_has_fewer_checks_and_a_page(maps):
    gate = gate_record(Jumps=0.0)
    assert [line.name for line in lines_of({"gate": gate}, [])] == ["Jumps"]
    gate.write_beside(maps / "gate.nii")
    RECORDS["field"].model_copy(update={"method": "single echo"}).write_beside(maps / "field.nii")
    (maps / "r2star.nii").unlink()
    alone = Acquisition(echo_times_s=[0.01], magnetic_field_strength_t=3, id=ID, **FACTS)
    assert "the field was fitted by single echo" in page_of(maps, alone)


def test_every_method_has_a_name_for_the_text():
    from chiflow.background import BACKGROUND_METHODS
    from chiflow.fieldmap import FIELD_FITS
    from chiflow.invert import INVERSIONS, TOTAL_FIELD_INVERSIONS
    from chiflow.mask.extract import BRAIN_EXTRACTIONS
    from chiflow.relax import RELAXATIONS
    from chiflow.unwrap import UNWRAPPINGS

    assert {*BACKGROUND_METHODS, *FIELD_FITS, *INVERSIONS, *TOTAL_FIELD_INVERSIONS, *BRAIN_EXTRACTIONS, *RELAXATIONS, *UNWRAPPINGS} <= set(NAMES)


def test_a_missing_record_is_told(maps):
    (maps / "gate.json").unlink()
    with pytest.raises(ChiflowError, match="no record of gate"):
        page_of(maps)


@pytest.mark.parametrize("options", [(), ("--force-dark-mode",), ("--window-size=390,844",)])
def test_a_browser_opens_the_page_without_a_word_and_without_a_request(maps, tmp_path, options):
    page_of(maps)
    assert 'id="verdict"' in browser_says(maps.parent / "out" / "sub-1" / "ses-b" / f"{ID}_qsm.html", tmp_path, *options)
