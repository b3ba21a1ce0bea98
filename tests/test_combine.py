"""What MCPC-3D-S leaves is proportional to echo time."""

import numpy as np
import pytest

from chiflow.combine import remove_offset
from chiflow.core.spanning_tree import wrapped

TIMES = [0.004, 0.010, 0.016]
SHAPE = (31, 32, 33)


def scan(offset_strength):
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE], indexing="ij")
    field = 40 * x * y + 30 * z
    offset = offset_strength * (1 + x - 0.5 * y + 0.3 * z * x)
    phase = wrapped(np.stack([offset + 2 * np.pi * field * t for t in TIMES], axis=-1).astype(np.float32))
    return phase, np.ones_like(phase), x**2 + y**2 + z**2 < 0.9, field, offset


@pytest.mark.parametrize("strength", [0.0, 0.7, 3.0])
def test_offset_is_found_and_removed(strength):
    phase, magnitude, mask, field, offset = scan(strength)
    combined, found = remove_offset(phase, magnitude, mask, TIMES, (2.0, 2.0, 2.0))
    tolerance = 1e-5 + 0.0244 * strength  # a plane leaves nothing, curvature 0.022 of it at the edge of the mask: measured × 1.1
    assert np.abs(wrapped(found - offset))[mask].max() < tolerance
    for echo, time in enumerate(TIMES):
        assert np.abs(wrapped(combined[..., echo] - 2 * np.pi * field * time))[mask].max() < tolerance


def test_offset_jumping_by_two_pi_is_no_jump():
    phase, magnitude, mask, _, _ = scan(3.0)
    shifted = wrapped(phase + np.float32(np.pi))
    one, _ = remove_offset(phase, magnitude, mask, TIMES, (2.0, 2.0, 2.0))
    two, _ = remove_offset(shifted, magnitude, mask, TIMES, (2.0, 2.0, 2.0))
    assert np.abs(wrapped(one - two))[mask].max() < 1e-3  # float32 phases of up to π pass through sin, cos and a Gaussian
