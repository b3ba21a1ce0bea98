"""Physical constants and the conversions between rad, Hz and ppm; the only place where a constant stands.

    φ(TE) = φ0 + 2π · field_hz · TE          field_ppm = field_hz / imaging_frequency_mhz

since 1 ppm of an imaging frequency of f MHz is f Hz.
"""

import math

GAMMA_BAR_MHZ_PER_T = 42.577478518  # proton gyromagnetic ratio / 2π, CODATA 2018
TWO_PI = 2 * math.pi


def larmor_frequency_mhz(field_strength_t: float) -> float:
    """Proton frequency in MHz at a field strength in T."""
    return GAMMA_BAR_MHZ_PER_T * field_strength_t


def hz_to_ppm(field_hz, imaging_frequency_mhz: float):
    """Field in ppm of B0 from a field in Hz."""
    return field_hz / imaging_frequency_mhz


def ppm_to_hz(field_ppm, imaging_frequency_mhz: float):
    """Field in Hz from a field in ppm of B0."""
    return field_ppm * imaging_frequency_mhz
