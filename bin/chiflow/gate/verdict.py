"""The one place of the gate's thresholds, and what a crossed one says."""

from dataclasses import dataclass

from chiflow.core.contracts import Check, told, worst

POLICIES = {"stop": lambda last: True, "fallback": lambda last: last, "warn": lambda last: False}  # whether a verdict of fail ends the run


@dataclass(frozen=True)
class Criterion:
    """warn and fail thresholds of a figure, whether less of it is worse, and what it means with what to look at."""

    warn: float
    fail: float
    meaning: str
    less_is_worse: bool = False

    def check(self, name: str, value: float) -> Check:
        """A figure beside the thresholds."""
        limits = [(limit, None) if self.less_is_worse else (None, limit) for limit in (self.warn, self.fail)]
        return Check(name=name, value=value, good=limits[0], fair=limits[1], advice=self.meaning)


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
    """Every figure beside its thresholds."""

    checks: list[Check]

    @property
    def verdict(self) -> str:
        """The worst of all: pass, warn or fail."""
        return worst(self.checks)

    @property
    def reasons(self) -> list[str]:
        """One sentence for each figure that did not pass, the worst first."""
        return told(self.checks)


def judge(figures: dict[str, float]) -> Judgement:
    """Each figure that has a criterion."""
    return Judgement([CRITERIA[name].check(name, value) for name, value in figures.items() if name in CRITERIA])
