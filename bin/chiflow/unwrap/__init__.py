"""Unwrapping of every echo. Every method: (phase, magnitude, mask, echo times in s) → unwrapped phase, (X, Y, Z, E) float32 rad, 0 outside the mask.

The methods stand in the order in which they are tried. Those in EXACT_METHODS add multiples of 2π and nothing else.
"""

from chiflow.unwrap.exact import EXACT, marked, require_exact
from chiflow.unwrap.individual import individual
from chiflow.unwrap.laplacian import laplacian
from chiflow.unwrap.net import Unwrapped, by_net, net
from chiflow.unwrap.tree import tree

UNWRAPPINGS = {"tree": tree, "individual": individual, "laplacian": laplacian, "net": net}
EXACT_METHODS = frozenset({"tree", "individual", "net"})
APPROXIMATE = "approximate: part of the background field is removed with the wraps"

__all__ = ["APPROXIMATE", "EXACT", "EXACT_METHODS", "UNWRAPPINGS", "marked", "require_exact"]
