"""chiflow: from multi-echo gradient-echo MRI to quantitative susceptibility maps."""

__version__ = "0.1.0"
