"""What a run tells to the page of all runs."""

from chiflow.core.contracts import Record
from chiflow.core.summary import FIGURES, Summary
from chiflow.report.verdicts import Line, overall


def summary_of(run: str, page: str, stages: dict[str, Record], lines: list[Line]) -> Summary:
    """The summary of a run from its records and from what was judged."""
    bad = sorted((line for line in lines if line.verdict != "pass"), key=lambda line: line.verdict != "fail")
    return Summary(run=run, page=page, verdict=overall(lines), reasons=[line.told for line in bad], figures=figures_of(stages))


def figures_of(stages: dict[str, Record]) -> dict[str, float]:
    """Those of FIGURES that are known, from figures, checks and costs."""
    known = {(stage, key): value for stage, record in stages.items() for key, value in record.figures.items()}
    known |= {(stage, check.name): check.value for stage, record in stages.items() for check in record.checks}
    costs = [record.made.cost for record in stages.values() if record.made and record.made.cost]
    if costs:
        known |= {("", "Seconds"): sum(cost["Seconds"] for cost in costs), ("", "PeakMemoryGib"): max(cost["PeakMemoryGib"] for cost in costs)}
    found = {name: known.get((figure.stage, figure.key)) for name, figure in FIGURES.items()}
    return {name: round(float(value), 6) for name, value in found.items() if value is not None}
