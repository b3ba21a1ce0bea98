"""Brain mask: brain extraction AND phase quality."""

from chiflow.mask.quality import LEAST_QUALITY, brain_mask, reliable_part

__all__ = ["LEAST_QUALITY", "brain_mask", "reliable_part"]
