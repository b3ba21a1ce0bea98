#!/usr/bin/env python3
"""The gate on clean scans and on scans broken on purpose.

    source .venv/bin/activate; python benchmark/gate.py [--clean 20] [--heads 3]

Clean: heads of random geometry, orientation, echo times, SNR and readout; none may be held up. Broken: each fault put into the images of a
head after INTAKE has seen them; none may pass. Their slices are thin: alternate slices of 2 mm and more COMBINE puts right by itself, since to it
they are a phase offset that rises by π a slice. Prints one markdown table.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bin"))

from chiflow.combine import combine
from chiflow.core.signal_mask import signal_mask
from chiflow.fieldmap import FIELD_FITS
from chiflow.gate import CRITERIA, gate_figures, judge
from chiflow.mask.extract import extracted_brain
from chiflow.phantom.grid import ORIENTATIONS, rotation
from chiflow.phantom.scan import Protocol, Scan, simulate
from chiflow.unwrap import UNWRAPPINGS

WEIGHTS = ROOT / "weights" / "brain_mask.safetensors"
FIELD_OF_VIEW_MM = (192, 220, 160)


def random_protocol(rng: np.random.Generator) -> Protocol:
    """A protocol as sites choose them."""
    voxel = tuple(float(v) for v in rng.uniform(1.8, 3.2, 3).round(2))
    orientation = str(rng.choice(list(ORIENTATIONS)))
    extent = [FIELD_OF_VIEW_MM[axis] for axis in ORIENTATIONS[orientation]]
    count = int(rng.integers(3, 7))
    times = tuple((rng.uniform(0.003, 0.006) + rng.uniform(0.004, 0.007) * np.arange(count)).round(5).tolist())
    return Protocol(tuple(int(e / v) for e, v in zip(extent, voxel)), voxel, float(rng.uniform(-30, 30)), float(rng.uniform(-15, 15)), orientation, times,
                    snr=float(rng.uniform(20, 100)), bipolar=bool(rng.random() < 0.3))


def thin_slices(protocol: Protocol) -> Protocol:
    """The protocol on axial slices of 1.3 mm."""
    return replace(protocol, shape=(100, 115, 90), voxel_size=(1.9, 1.9, 1.3), orientation="axial", snr=40)


def figures_of(magnitude: np.ndarray, phase: np.ndarray, times: tuple[float, ...], scan: Scan, spoil: Callable = lambda phase, _times: phase) -> dict:
    """From wrapped phase to the gate's figures, with the brain that the pipeline finds; `spoil` changes the unwrapped phase."""
    combined = combine(lambda: [(magnitude, phase)], list(times), tuple(scan.grid.voxel_size))
    inside = signal_mask(combined.magnitude)
    unwrapped = spoil(UNWRAPPINGS["tree"](combined.phase, combined.magnitude, inside, list(times)), times)
    fitted = FIELD_FITS["nonlinear"](unwrapped, combined.magnitude, inside, list(times))
    brain = extracted_brain(combined.magnitude, scan.grid.affine, method="network", weights=WEIGHTS).brain
    return gate_figures(unwrapped, combined.magnitude, fitted.field_hz, fitted.quality, brain, list(times), tuple(scan.grid.voxel_size))


def moved(signal: np.ndarray, shift_voxels: float, degrees: float) -> np.ndarray:
    """A complex echo (X, Y, Z) of a head that was turned and shifted."""
    turn = rotation(2, degrees)
    middle = (np.array(signal.shape) - 1) / 2
    offset = middle - turn @ middle + shift_voxels
    return sum(unit * affine_transform(part, turn, offset, order=1, mode="nearest") for unit, part in ((1, signal.real), (1j, signal.imag)))


def swapped(m, p, t):
    """Echoes 2 and 3 in each other's place."""
    order = [0, 2, 1, *range(3, len(t))]
    return m[..., order], p[..., order], t


def flipped_sign(m, p, t):
    """The sign of echo 2 turned."""
    p[..., 1] *= -1
    return m, p, t


def flipped_slices(m, p, t):
    """Every other slice turned by π, as some scanners leave their real and imaginary images."""
    p[:, :, 1::2] += np.float32(np.pi)
    return m, p, t


def flipped_slices_of_one_echo(m, p, t):
    """Every other slice of echo 2 turned by π."""
    p[:, :, 1::2, 1] += np.float32(np.pi)
    return m, p, t


def reversed_slices(m, p, t):
    """The slices of echo 3 in the opposite order."""
    m[..., 2], p[..., 2] = m[:, :, ::-1, 2], p[:, :, ::-1, 2]
    return m, p, t


def wrong_echo_time(m, p, t):
    """Echo 3 is said to be 1 ms later than it was."""
    return m, p, tuple(time + 0.001 * (echo == 2) for echo, time in enumerate(t))


def small_wrong_echo_time(m, p, t):
    """Echo 1 is said to be 0.5 ms earlier than it was."""
    return m, p, (t[0] - 0.0005, *t[1:])


def moving(shift: float, degrees: float) -> Callable:
    """The head moved before echo 3."""

    def fault(m, p, t):
        signal = moved(m[..., 2] * np.exp(1j * p[..., 2]), shift, degrees)
        m[..., 2], p[..., 2] = np.abs(signal), np.angle(signal)
        return m, p, t

    fault.__doc__ = f"The head moved by {shift:g} voxels and {degrees:g}° before echo 3."
    return fault


def block_of(shape) -> tuple[slice, ...]:
    """A region in the middle of the head, a fifth of the volume wide."""
    return tuple(slice(n // 2, n // 2 + n // 5) for n in shape[:3])


def wrap_in_one_echo(phase, _times):
    """A turn of 2π left in a region of echo 3."""
    phase[block_of(phase.shape)][..., 2] += np.float32(2 * np.pi)
    return phase


def wrap_in_all_echoes(phase, times):
    """A turn of 2π left in a region of the first echo, and the later echoes unwrapped to go with it."""
    turns = np.rint(np.array(times) / times[0]) * 2 * np.pi
    phase[block_of(phase.shape)] += turns.astype(np.float32)
    return phase


WRAPS = {"wraps left in a region of one echo": wrap_in_one_echo, "wraps left in a region of all echoes": wrap_in_all_echoes}
FAULTS = {"echoes swapped": swapped, "sign flipped on one echo": flipped_sign, "alternate slices turned": flipped_slices, "alternate slices turned in one echo": flipped_slices_of_one_echo, "slices reversed in one echo": reversed_slices, "echo time wrong by 1 ms": wrong_echo_time, "echo time wrong by 0.5 ms": small_wrong_echo_time,
          "moved by 1 voxel": moving(1, 0), "turned by 3°": moving(0, 3), "moved by ½ voxel, turned by 2°": moving(0.5, 2)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=int, default=20, help="clean scans")
    parser.add_argument("--heads", type=int, default=3, help="heads that each fault is put into")
    options = parser.parse_args()
    print(f"| scan | verdict | {' | '.join(CRITERIA)} |\n|---|---|{'---|' * len(CRITERIA)}", flush=True)
    for seed in range(options.clean):
        protocol = random_protocol(np.random.default_rng([seed, 7]))
        scan = simulate(protocol, seed)
        tell(f"clean {seed + 1}", figures_of(scan.magnitude, scan.phase, protocol.echo_times_s, scan))
    for seed in range(options.heads):
        protocol = thin_slices(random_protocol(np.random.default_rng([seed, 8])))
        scan = simulate(protocol, 100 + seed)
        for name, fault in FAULTS.items():
            tell(name, figures_of(*fault(scan.magnitude.copy(), scan.phase.copy(), protocol.echo_times_s), scan))
        for name, spoil in WRAPS.items():
            tell(name, figures_of(scan.magnitude, scan.phase, protocol.echo_times_s, scan, spoil))


def tell(name: str, figures: dict[str, float]) -> None:
    """One row."""
    print(f"| {name} | {judge(figures).verdict} | " + " | ".join(f"{figures[c]:.2g}" if c in figures else "" for c in CRITERIA) + " |", flush=True)


if __name__ == "__main__":
    main()
