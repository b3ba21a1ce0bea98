"""What was judged on the way, in one form: green, amber or red, the figure, its thresholds, and what to do."""

from dataclasses import dataclass

from chiflow.core.contracts import Record

COLOURS = {"pass": "green", "warn": "amber", "fail": "red"}


@dataclass(frozen=True)
class Line:
    """One figure that was judged; advice is empty when there is nothing to do."""

    name: str
    verdict: str
    figure: str
    thresholds: str
    advice: str

    @property
    def colour(self) -> str:
        """green, amber or red."""
        return COLOURS[self.verdict]


def gate_lines(gate: Record) -> list[Line]:
    """A line for each criterion that the gate could judge (a single echo lacks some), from its record."""
    lines = []
    for name, limits in ((name, limits) for name, limits in gate.parameters.items() if name in gate.figures):
        value, warn, fail = gate.figures[name], limits["Warn"], limits["Fail"]
        side, sign = ("below", -1) if fail < warn else ("above", 1)
        verdict = "fail" if sign * value > sign * fail else "warn" if sign * value > sign * warn else "pass"
        advice = next((text.split(": ", 1)[1] for text in gate.warnings if text.startswith(f"{name} ")), "")
        lines.append(Line(name, verdict, f"{value:.3g}", f"amber {side} {warn:g}, red {side} {fail:g}", advice))
    return lines


def other_lines(stages: dict[str, Record], warnings: list[str]) -> list[Line]:
    """A line for each warning of a stage other than the gate, and of the acquisition."""
    found = [("acquisition", text) for text in warnings] + [(stage, text) for stage, record in stages.items() if stage != "gate" for text in record.warnings]
    return [Line(stage, "warn", "", "", text) for stage, text in found]


def overall(lines: list[Line]) -> str:
    """The worst of the verdicts."""
    return max((line.verdict for line in lines), key=list(COLOURS).index, default="pass")
