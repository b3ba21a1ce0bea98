"""Clean scans pass the gate whatever the field strength, the echo times and what lies in or beside the brain; wraps that are left do not."""

from dataclasses import dataclass

import numpy as np
import pytest

from chiflow.core.signal_mask import signal_mask
from chiflow.core.units import TWO_PI, larmor_frequency_mhz
from chiflow.fieldmap import FIELD_FITS
from chiflow.gate import gate_figures, judge
from chiflow.unwrap import UNWRAPPINGS

SHAPE, VOXEL = (60, 68, 56), (2.4, 2.4, 2.6)
AIR_PPM, AIR_MM = 9.4, 12.0  # a sinus, 3 mm below the brain
SNR = 60.0


@dataclass(frozen=True)
class Ball:
    """A ball of a susceptibility (ppm) and radius in mm about a place in mm from the middle of the brain; it has no signal."""

    ppm: float
    radius: float
    place: tuple[float, float, float]


SINUS = Ball(AIR_PPM, AIR_MM, (0, 20, -68))
HAEMORRHAGE = Ball(1.0, 11.9, (18, -10, 8))  # 7 ml
CALCIFICATION = Ball(-1.0, 11.9, (18, -10, 8))


def scan(strength, times, balls=(), planes=slice(None)):
    """Wrapped phase and magnitude (X, Y, Z, E) of a brain between sources, with intravoxel dephasing and noise; the brain (X, Y, Z) and its R2* of tissue."""
    x, y, z = (v * (np.arange(n) - (n - 1) / 2) for v, n in zip(VOXEL, SHAPE))
    x, y, z = np.meshgrid(x, y, z, indexing="ij")
    brain = (x / 60) ** 2 + (y / 72) ** 2 + (z / 60) ** 2 < 1
    brain[..., :4], brain[..., -4:] = False, False
    ppm = 0.05 * (x * y + z * x) / 3600
    dark = np.zeros(SHAPE, bool)
    for ball in (SINUS, *balls):
        dx, dy, dz = (axis - at for axis, at in zip((x, y, z), ball.place))
        r2 = dx**2 + dy**2 + dz**2
        outside = ball.ppm / 3 * ball.radius**3 * (3 * dz**2 - r2) / np.maximum(r2, ball.radius**2) ** 2.5
        ppm = ppm + np.where(r2 > ball.radius**2, outside, 0)
        dark |= r2 < ball.radius**2
    field = larmor_frequency_mhz(strength) * ppm
    gradients = np.gradient(field)
    random, signals = np.random.default_rng(0), []
    for time in times:
        dephasing = np.prod([np.sinc(step * time) for step in gradients], axis=0)
        tissue = np.where(brain & ~dark, 1.0, 0.02) * np.exp(-(12 + 4 * strength) * time) * dephasing
        noise = random.normal(size=(*SHAPE, 2)) @ [1, 1j] * np.exp(-(12 + 4 * strength) * times[0]) / SNR
        signals.append((tissue * np.exp(1j * TWO_PI * field * time) + noise)[..., planes])
    signal = np.stack(signals, axis=-1)
    return np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32), brain[..., planes]


def judged(phase, magnitude, brain, times, spoil=lambda unwrapped: None):
    """Figures and verdict of the default chain."""
    mask = signal_mask(magnitude)
    unwrapped = UNWRAPPINGS["tree"](phase, magnitude, mask, times)
    spoil(unwrapped)
    fitted = FIELD_FITS["nonlinear"](unwrapped, magnitude, mask, times)
    figures = gate_figures(unwrapped, magnitude, fitted.field_hz, fitted.quality, brain, times, VOXEL)
    return figures, judge(figures)


SINGLE = {1.5: 0.04, 3.0: 0.025, 7.0: 0.015}


@pytest.mark.parametrize("balls", [(), (HAEMORRHAGE,), (CALCIFICATION,)], ids=["", "haemorrhage", "calcification"])
@pytest.mark.parametrize("strength, time", SINGLE.items())
def test_a_single_echo_whose_mask_reaches_a_sinus_does_not_fail(strength, time, balls):
    figures, judgement = judged(*scan(strength, [time], balls), [time])
    assert judgement.verdict != "fail", judgement.reasons
    assert judgement.verdict == "pass" or balls, judgement.reasons


@pytest.mark.parametrize("strength, time", SINGLE.items())
def test_a_wrap_left_in_it_fails(strength, time):
    def spoil(unwrapped):
        unwrapped[30:42, 36:48, 28:38] += TWO_PI

    figures, judgement = judged(*scan(strength, [time]), [time], spoil)
    assert judgement.verdict == "fail" and "Jumps" in judgement.reasons[0]


MULTI = {"1.5 T": (1.5, [0.005, 0.015, 0.025, 0.035, 0.045]), "3 T": (3.0, [0.004, 0.01, 0.016, 0.022]), "7 T": (7.0, [0.003, 0.008, 0.013, 0.018]),
         "7 T, late echoes in the noise": (7.0, [0.004, 0.012, 0.02, 0.05, 0.08, 0.1, 0.12]), "3 T, late echoes in the noise": (3.0, [0.01, 0.03, 0.06, 0.12, 0.18, 0.24])}


@pytest.mark.parametrize("strength, times", MULTI.values(), ids=MULTI)
def test_echoes_in_their_order_are_in_their_order(strength, times):
    figures, judgement = judged(*scan(strength, times, (HAEMORRHAGE,)), times)
    assert judgement.verdict == "pass", judgement.reasons


@pytest.mark.parametrize("times", [SINGLE[3.0], MULTI["3 T"][1]], ids=["one echo", "four"])
@pytest.mark.parametrize("count", [6, 12])
def test_a_thin_slab_passes(times, count):
    times = times if isinstance(times, list) else [times]
    figures, judgement = judged(*scan(3.0, times, planes=slice(24, 24 + count)), times)
    assert judgement.verdict == "pass", judgement.reasons


def test_echoes_out_of_order_are_seen_beside_late_ones_in_the_noise():
    times = MULTI["3 T, late echoes in the noise"][1]
    phase, magnitude, brain = scan(3.0, times)
    order = [1, 0, 2, 3, 4, 5]
    figures, judgement = judged(phase[..., order], magnitude[..., order], brain, times)
    assert figures["EchoGrowth"] > 0.5 and "wrong order" in " ".join(judgement.reasons)
