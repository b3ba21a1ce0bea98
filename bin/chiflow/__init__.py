"""chiflow: from multi-echo gradient-echo MRI to quantitative susceptibility maps."""

import os

__version__ = "0.1.0"

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # a thread that waits spins that often, then sleeps: by default it spins on, and on a busy machine everything waits for it
