"""The page and the table of all runs: the worst first, every run in it, what stands out marked, and it sorts in a browser."""

import csv
import json
import re

import numpy as np
import pytest
from conftest import browser_says
from test_stages import run

from chiflow.cohort import write_cohort
from chiflow.cohort.spread import FEWEST, spread_of
from chiflow.cohort.strip import MARGIN, WIDTH
from chiflow.core.contracts import write_json
from chiflow.core.errors import ChiflowError
from chiflow.core.summary import FIGURES, Summary

FAILED = [["sub-90", "failed", "INTAKE", "phase.nii: 3 voxels are NaN"], ["sub-91", "failed", "", "did not finish"]]


def cohort(folder, count: int = 20, failed=FAILED):
    """Summaries of runs in a folder, two of them not green; what `write_cohort` makes of them."""
    random = np.random.default_rng(0)
    for number in range(count):
        figures = {name: round(float(random.normal(10, 1)), 4) for name in FIGURES}
        figures["Mask"] = 99.0 if number == 5 else figures["Mask"]
        verdict = {3: "warn", 7: "fail"}.get(number, "pass")
        summary = Summary(run=f"sub-{number:02}", page=f"sub-{number:02}/sub-{number:02}_qsm.html", verdict=verdict, figures=figures, reasons=["x <y>: z"] if verdict != "pass" else [])
        (folder / "runs").mkdir(parents=True, exist_ok=True)
        summary.write(folder / "runs" / f"sub-{number:02}_qsm.json")
    return write_cohort(folder / "runs", failed, folder / "out")


def table(folder) -> list[dict]:
    with open(folder / "out" / "cohort.tsv", encoding="utf8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def rows_of(page: str) -> list[tuple[str, str]]:
    """(run, verdict) of the rows of the page, in their order."""
    return re.findall(r'<tr data-verdict="(\w+)"[^>]*><th scope="row">(?:<a href="[^"]*">)?([^<]+)<', page)


def test_every_run_has_its_row_the_worst_first(tmp_path):
    page_path, _ = cohort(tmp_path)
    page, rows = page_path.read_text(encoding="utf8"), table(tmp_path)
    assert [(row["verdict"], row["run"]) for row in rows[:4]] == [("fail", "sub-07"), ("fail", "sub-90"), ("fail", "sub-91"), ("warn", "sub-03")]
    assert len(rows) == 22 and rows_of(page) == [(row["verdict"], row["run"]) for row in rows]
    assert "<b class=\"red\">3 red</b> (2 without maps)" in page and "<b class=\"amber\">1 amber</b>" in page and "<b class=\"green\">18 green</b>" in page
    assert set(re.findall(r'href="([^"]+)"', page)) == {f"sub-{number:02}/sub-{number:02}_qsm.html" for number in range(20)}
    assert "no maps: INTAKE: phase.nii: 3 voxels are NaN" in page and rows[1]["Mask"] == "n/a" and rows[1]["reasons"] == "no maps: INTAKE: phase.nii: 3 voxels are NaN"


def test_a_run_that_failed_after_its_page_counts_as_failed(tmp_path):
    cohort(tmp_path, failed=[["sub-04", "failed", "PUBLISH", "no space left"]])
    (row,) = [row for row in table(tmp_path) if row["run"] == "sub-04"]
    assert (row["verdict"], row["reasons"]) == ("fail", "no maps: PUBLISH: no space left")


def test_a_run_that_lacks_a_map_keeps_its_page_and_figures_and_is_not_green(tmp_path):
    cohort(tmp_path, failed=[["sub-04", "incomplete", "RELAX", "no space left"], ["sub-07", "incomplete", "SWI", "odd"], ["sub-60", "incomplete", "REPORT", "killed"]])
    rows = {row["run"]: row for row in table(tmp_path)}
    assert [rows[run]["verdict"] for run in ("sub-04", "sub-07", "sub-60")] == ["warn", "fail", "warn"]
    assert rows["sub-04"]["reasons"] == "without RELAX: no space left" and rows["sub-04"]["Mask"] != "n/a"
    page = (tmp_path / "out" / "cohort.html").read_text(encoding="utf8")
    assert 'href="sub-04/sub-04_qsm.html"' in page and "without maps" not in page


def test_what_stands_out_is_marked_in_page_and_table(tmp_path):
    page_path, _ = cohort(tmp_path)
    assert [row["run"] for row in table(tmp_path) if "Mask" in row["outliers"]] == ["sub-05"]
    row = next(line for line in page_path.read_text(encoding="utf8").splitlines() if ">sub-05<" in line)
    assert re.search(r'<td class="number out" data-value="99.0"><span title="[^"]+">◆ </span>99</td>', row)


@pytest.mark.parametrize("scale, shift", [(1, 0), (1e-3, 5), (-40, 1)])
def test_standing_out_does_not_depend_on_unit_or_origin(scale, shift):
    values = np.append(np.random.default_rng(1).normal(size=50), [2.5, -9.0, 7.0])
    moved = spread_of(list(scale * values + shift))
    assert [i for i, value in enumerate(scale * values + shift) if moved.stands_out(value)] == [51, 52]


def test_few_runs_or_equal_ones_have_no_outliers():
    few = [*np.linspace(0, 1, FEWEST - 2), 50.0]
    assert not spread_of(few).stands_out(50.0) and spread_of([*few, 0.5]).stands_out(50.0)
    assert not spread_of([0.0] * 20 + [1e-9]).stands_out(1e-9) and not spread_of([]).stands_out(1.0)


def test_a_strip_shows_every_run_from_the_least_to_the_most(tmp_path):
    page = cohort(tmp_path)[0].read_text(encoding="utf8")
    strips = re.findall(r"<svg.*?</svg>", page)
    assert len(strips) == len(FIGURES) and all(strip.count("h0") == 20 for strip in strips)
    dots = {colour: [tuple(map(float, dot)) for dot in re.findall(r"M([\d.]+) (\d+)h0", path)] for colour, path in re.findall(r'<path class="(\w+)" d="([^"]+)"', strips[0])}
    assert {colour: len(found) for colour, found in dots.items()} == {"green": 18, "amber": 1, "red": 1}
    assert max(dots["green"])[0] == WIDTH - MARGIN and "to 99" in strips[0], "the outlier is at the right end"
    assert min(x for found in dots.values() for x, _ in found) == MARGIN


def test_tables_of_regions_become_one(tmp_path):
    for name, value in (("sub-00", 1), ("sub-01", 2)):
        (tmp_path / "runs").mkdir(exist_ok=True)
        (tmp_path / "runs" / f"{name}_desc-regions_qsm.tsv").write_text(f"index\tmean\n11\t{value}\n")
        write_json(tmp_path / "runs" / f"{name}_desc-regions_qsm.json", {"mean": {"Description": "not a summary"}})
    written = cohort(tmp_path)
    assert written[2].read_text() == "run\tindex\tmean\nsub-00\t11\t1\nsub-01\t11\t2\n" and len(table(tmp_path)) == 22
    (tmp_path / "runs" / "sub-02_desc-regions_qsm.tsv").write_text("mean\n3\n")
    with pytest.raises(ChiflowError, match="different columns"):
        cohort(tmp_path)


def test_without_any_run_that_is_done_the_page_still_says_what_failed(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "failed.json").write_text(json.dumps(FAILED))
    done = run("cohort", tmp_path, ["--runs", "runs", "--failed", "failed.json", "--out", "."])
    assert done.returncode == 0, done.stderr
    assert [name for _, name in rows_of((tmp_path / "cohort.html").read_text(encoding="utf8"))] == ["sub-90", "sub-91"]


def clicked(page, folder, script: str) -> list[tuple[str, str]]:
    """The visible rows after a script has used the page as a hand would."""
    changed = page.with_name("used.html")
    changed.write_text(page.read_text(encoding="utf8").replace("</body>", f"<script>{script}</script></body>"), encoding="utf8")
    dom = browser_says(changed, folder)
    return rows_of(re.sub(r'<tr data-verdict="\w+" hidden.*?</tr>', "", dom, flags=re.S))


def test_it_sorts_and_filters_in_a_browser(tmp_path):
    page, _ = cohort(tmp_path)
    rows = table(tmp_path)
    column = list(FIGURES).index("R2star") + 3
    press = f'document.querySelectorAll("#runs thead button")[{column}].click();'
    figures = {row["run"]: float(row["R2star"]) for row in rows if row["R2star"] != "n/a"}
    rising = sorted(figures, key=figures.get)
    assert [name for _, name in clicked(page, tmp_path, press)] == rising + ["sub-90", "sub-91"], "what has no figure comes last"
    assert [name for _, name in clicked(page, tmp_path, 2 * press)] == rising[::-1] + ["sub-90", "sub-91"]
    bad = 'var box = document.getElementById("bad"); box.checked = true; box.dispatchEvent(new Event("change"));'
    assert [name for _, name in clicked(page, tmp_path, bad)] == ["sub-07", "sub-90", "sub-91", "sub-03"]
    find = 'var box = document.getElementById("find"); box.value = "SUB-1"; box.dispatchEvent(new Event("input"));'
    assert {name for _, name in clicked(page, tmp_path, find)} == {f"sub-1{digit}" for digit in range(10)}
