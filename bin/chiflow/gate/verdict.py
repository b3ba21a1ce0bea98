"""The one place of the gate's thresholds, and what a crossed one says."""

from dataclasses import dataclass, field

VERDICTS = ("pass", "warn", "fail")
POLICIES = {"stop": lambda last: True, "fallback": lambda last: last, "warn": lambda last: False}  # whether a verdict of fail ends the run


@dataclass(frozen=True)
class Criterion:
    """warn and fail thresholds of a figure, whether less of it is worse, and what it means with what to look at."""

    warn: float
    fail: float
    meaning: str
    less_is_worse: bool = False

    def verdict(self, value: float) -> str:
        """pass, warn or fail; what is not a number fails."""
        worse = (lambda limit: value < limit) if self.less_is_worse else (lambda limit: value > limit)
        return "fail" if not value == value or worse(self.fail) else "warn" if worse(self.warn) else "pass"


CRITERIA = {
    "Coverage": Criterion(0.8, 0.5, "too little of the brain has phase to rely on: look at the phase images and the brain mask", less_is_worse=True),
    "Jumps": Criterion(2e-5, 5e-4, "the field jumps between neighbours: wraps are left in a region"),
    "MedianResidual": Criterion(0.1, 0.3, "the echoes do not agree on a field: look for a flipped sign, flipped slices, or processed phase"),
    "EchoWraps": Criterion(0.01, 0.05, "echoes disagree by whole wraps"),
    "EchoMisfit": Criterion(0.15, 0.5, "the echoes' phases do not lie on one line: compare order and times of the echoes with the protocol"),
    "EchoGrowth": Criterion(0.2, 0.5, "the signal grows from one echo to the next: echoes are in the wrong order"),
    "EchoTimeError": Criterion(0.05, 0.25, "an echo's phase does not fit its echo time: compare the echo times with the protocol"),
    "EchoMotion": Criterion(0.25, 1.0, "an echo lies elsewhere than the others: the head moved, or an echo belongs to another scan"),
}


@dataclass(frozen=True)
class Judgement:
    """verdict (pass, warn or fail) and one sentence for each figure that did not pass."""

    verdict: str
    reasons: list[str] = field(default_factory=list)


def judge(figures: dict[str, float]) -> Judgement:
    """The worst verdict over all figures, with the reasons, the worst first."""
    found = [(CRITERIA[name].verdict(value), name, value) for name, value in figures.items() if name in CRITERIA]
    bad = sorted((entry for entry in found if entry[0] != "pass"), key=lambda entry: -VERDICTS.index(entry[0]))
    return Judgement(bad[0][0] if bad else "pass", [_reason(verdict, name, value) for verdict, name, value in bad])


def _reason(verdict: str, name: str, value: float) -> str:
    criterion = CRITERIA[name]
    side = "below" if criterion.less_is_worse else "above"
    limit = criterion.fail if verdict == "fail" else criterion.warn
    return f"{name} {value:.3g} is {side} {limit:g}: {criterion.meaning}"


def thresholds() -> dict[str, dict[str, float]]:
    """Warn and Fail of every figure, for the record."""
    return {name: {"Warn": criterion.warn, "Fail": criterion.fail} for name, criterion in CRITERIA.items()}
