"""What was judged on the way, in one form: green, amber or red, the figure, its thresholds, and what to do."""

from dataclasses import dataclass

from chiflow.core.contracts import VERDICTS, Check, Record
from chiflow.core.page import COLOURS


@dataclass(frozen=True)
class Line:
    """One figure that was judged, or a warning without a figure; advice is empty when there is nothing to do."""

    stage: str
    name: str
    verdict: str
    figure: str
    thresholds: str
    advice: str
    sentence: str

    @property
    def colour(self) -> str:
        """green, amber or red."""
        return COLOURS[self.verdict]

    @property
    def told(self) -> str:
        """The line as one sentence, with its stage."""
        return f"{self.stage}: {self.sentence}"


def lines_of(stages: dict[str, Record], warnings: list[str]) -> list[Line]:
    """A line for each check of each stage, then for each warning of a stage, and of the acquisition, that no check has told."""
    judged = [line_of(stage, check) for stage, record in stages.items() for check in record.checks]
    told = [("acquisition", text) for text in warnings]
    told += [(stage, text) for stage, record in stages.items() for text in record.warnings if text not in [check.told for check in record.checks]]
    return judged + [Line(stage, "", "warn", "", "", text, text) for stage, text in told]


def line_of(stage: str, check: Check) -> Line:
    """A check as the page says it."""
    figure = "not a number" if check.value is None else f"{check.value:.3g}"
    return Line(stage, check.name, check.verdict, figure, thresholds(check), check.advice, check.told)


def thresholds(check: Check) -> str:
    """From where on a figure is amber, and red when it can be."""
    if None not in (*check.good, *check.fair):
        return f"green from {check.good[0]:.3g} to {check.good[1]:.3g}, red outside {check.fair[0]:.3g} to {check.fair[1]:.3g}"
    parts = []
    for side, end in (("below", 0), ("above", 1)):
        good, fair = check.good[end], check.fair[end]
        if good is not None and fair != good:
            parts.append(f"amber {side} {good:.3g}")
        if fair is not None:
            parts.append(f"red {side} {fair:.3g}")
    return ", ".join(parts)


def overall(lines: list[Line]) -> str:
    """The worst of the verdicts."""
    return max((line.verdict for line in lines), key=VERDICTS.index, default="pass")
