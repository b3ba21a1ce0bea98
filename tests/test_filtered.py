"""Phase that the scanner has filtered for SWI is named as that; phase that it has not is taken, whatever its echo time and slab."""

import json

import numpy as np
import pytest
from test_gate_clean import VOXEL, Ball, scan

from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import Image, save
from chiflow.intake import take_in
from chiflow.intake.filtered import is_filtered

VEINS = tuple(Ball(0.3, 4.0, tuple(place)) for place in np.random.default_rng(1).uniform(-45, 45, (70, 3)))
PLANES = {"whole": slice(None), "slab of 31 mm": slice(28, 40)}


def homodyne(magnitude, phase, share):
    """Phase (X, Y, Z) less that of each slice's central k space, `share` of its sides under a Hann window."""
    signal, windows = magnitude * np.exp(1j * phase), []
    for n in signal.shape[:2]:
        half = int(n * share / 2)
        windows.append(np.pad(np.hanning(2 * half), (n // 2 - half, n - n // 2 - half)))
    k = np.fft.fftshift(np.fft.fft2(signal, axes=(0, 1)), axes=(0, 1)) * np.outer(*windows)[..., None]
    return np.angle(signal * np.conj(np.fft.ifft2(np.fft.ifftshift(k, axes=(0, 1)), axes=(0, 1))))


@pytest.mark.parametrize("planes", PLANES.values(), ids=PLANES)
@pytest.mark.parametrize("strength, time", [(1.5, 0.04), (3.0, 0.022), (7.0, 0.015)])
def test_a_filtered_phase_is_told_from_one_that_is_not(strength, time, planes):
    phase, magnitude, _ = scan(strength, [time], VEINS, planes)
    magnitude, phase = magnitude[..., 0], phase[..., 0]
    assert not is_filtered(magnitude, phase, VOXEL)
    assert all(is_filtered(magnitude, homodyne(magnitude, phase, share), VOXEL) for share in (0.25, 0.5))


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
def test_an_even_object_without_a_field_is_not_taken_for_filtered(noise):
    signal = np.zeros((60, 68, 56), complex)
    signal[8:-8, 8:-8, 8:-8] = 1
    signal += noise * np.random.default_rng(0).normal(size=(*signal.shape, 2)) @ [1, 1j]
    assert not is_filtered(np.abs(signal), np.angle(signal), VOXEL)


@pytest.mark.parametrize("named, said", [({"SeriesDescription": "Pha_Images"}, "SeriesDescription Pha_Images"), ({}, "as for SWI, and the field is lost: give")])
def test_a_filtered_scan_is_refused_by_that_name(tmp_path, named, said):
    phase, magnitude, _ = scan(3.0, [0.022], VEINS)
    filtered = homodyne(magnitude[..., 0], phase[..., 0], 0.5)
    for part, data in (("mag", magnitude[..., 0]), ("phase", filtered)):
        save(tmp_path / f"sub-1_part-{part}_MEGRE.nii", data, Image(data, np.diag([*VOXEL, 1.0]), tmp_path))
        (tmp_path / f"sub-1_part-{part}_MEGRE.json").write_text(json.dumps({"EchoTime": 0.022, "MagneticFieldStrength": 3} | named))
    with pytest.raises(ChiflowError, match=f"part-phase.*no low frequencies: the scanner has high-pass filtered it.*{said}"):
        take_in(sorted(tmp_path.iterdir()), [], "sub-1")
