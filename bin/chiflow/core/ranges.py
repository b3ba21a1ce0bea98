"""Whether a scan is like what a network was trained on: its figures beside the ranges that the card of the weights states.

Outside a range the run warns; farther out than FARTHEST times a limit the network is not to be used, and another method takes over.
"""

from chiflow.core.contracts import Check

FARTHEST = 1.5
OUTSIDE = "outside the range of the network's training: compare with another "


def in_ranges(figures: dict[str, float], ranges: dict[str, list[float]], advice: str) -> list[Check]:
    """A check for each figure that has a range [low, high]; figures without one are compared with nothing. advice : where it is not good."""
    limits = {name: ranges[name] for name in figures if name in ranges}
    return [Check(name=name, value=figures[name], good=(low, high), fair=(low / FARTHEST, high * FARTHEST), advice=advice) for name, (low, high) in limits.items()]


def reasons(judged: list[Check]) -> str:
    """Why the network is not to be used: a sentence for each check that failed, empty where none did."""
    return "; ".join(check.told for check in judged if check.verdict == "fail")


def lowered(judged: list[Check]) -> list[Check]:
    """The same for the result of another method: what failed is why the network is not used, and no fault of that result."""
    return [check.model_copy(update={"verdict": "warn"} if check.verdict == "fail" else {}) for check in judged]
