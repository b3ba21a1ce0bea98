"""The gate: a field map is judged before it is used."""

from chiflow.gate.figures import gate_figures
from chiflow.gate.verdict import CRITERIA, POLICIES, Judgement, judge

__all__ = ["CRITERIA", "POLICIES", "Judgement", "gate_figures", "judge"]
