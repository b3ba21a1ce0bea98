"""chiflow: from multi-echo gradient-echo MRI to quantitative susceptibility maps."""

import os

__version__ = "0.1.0"

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait by spinning take a busy machine ten times as long
