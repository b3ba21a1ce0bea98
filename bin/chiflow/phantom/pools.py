"""The water of white matter: in the axon, between the sheaths of myelin, outside. Phase is not linear in TE.

    P(TE) = 1 + Σ w Σ_p c_p (exp(−ΔR_p TE + 2πi f_p TE) − 1)          times the signal of the water outside

w are the shares of the two directions of fibres, c_p the share of the signal of a fibre's axon or sheath at TE 0.
For a hollow cylinder of susceptibility χ_I + χ_A (radial) at the angle θ to B0, in ppm of B0 relative to the
water outside,

    f_axon   = ¾ χ_A sin²θ ln(1/g)
    f_myelin = χ_I/2 (⅔ − sin²θ) + χ_A/2 (c₁ sin²θ − ⅓) + E,        c₁ = ¼ − 3/2 g²/(1 − g²) ln(1/g)

References: Wharton and Bowtell 2012 (10.1073/pnas.1211075109) for the frequencies and χ_I, χ_A, E and g; Nam 2015
(10.1016/j.neuroimage.2015.03.081) for T2* at 3 T, 10 ms in myelin, 64 ms in the axon and 48 ms outside, and for
9 to 14 % of the water in myelin: half of the volume in fibres gives 13 %.
"""

from dataclasses import dataclass

import numpy as np

from chiflow.core.units import TWO_PI
from chiflow.phantom.fibres import Fibres

CHI_I_PPM, CHI_A_PPM, EXCHANGE_PPM = -0.1, -0.1, 0.02
RADII = 0.8  # g, inner over outer
FIBRE_VOLUME, MYELIN_WATER = 0.5, 0.7  # share of the tissue; protons relative to the other water
RATES = {"axon": 1 / 0.064, "myelin": 1 / 0.010, "outside": 1 / 0.048}  # R2*, 1/s at 3 T


@dataclass(frozen=True)
class Pools:
    """Fibres where they are: index (N,) into a raveled grid of `shape`, shares (2, N) and sin²θ (2, N)."""

    shape: tuple[int, ...]
    index: np.ndarray
    shares: np.ndarray
    sin2: np.ndarray


def pools_of(fibres: Fibres, b0: tuple[float, ...]) -> Pools:
    """The pools of fibres whose directions are in the axes of b0."""
    shares = fibres.shares.numpy().reshape(2, -1)
    index = np.flatnonzero(shares.sum(0) > 1e-3)
    along = sum(component * fibres.directions[:, axis].numpy().reshape(2, -1)[:, index] for axis, component in enumerate(b0))
    return Pools(tuple(fibres.shares.shape[1:]), index, shares[:, index], 1 - along**2)


def water_shares() -> dict[str, float]:
    """c of the axon, the sheath and the water outside: they add up to 1."""
    volumes = {"axon": FIBRE_VOLUME * RADII**2, "myelin": MYELIN_WATER * FIBRE_VOLUME * (1 - RADII**2), "outside": 1 - FIBRE_VOLUME}
    return {pool: volume / sum(volumes.values()) for pool, volume in volumes.items()}


def frequencies_ppm(sin2: np.ndarray) -> dict[str, np.ndarray]:
    """f of each pool in ppm for sin²θ."""
    log = np.log(1 / RADII)
    c1 = 1 / 4 - 3 / 2 * RADII**2 / (1 - RADII**2) * log
    myelin = CHI_I_PPM / 2 * (2 / 3 - sin2) + CHI_A_PPM / 2 * (c1 * sin2 - 1 / 3) + EXCHANGE_PPM
    return {"axon": 3 / 4 * CHI_A_PPM * sin2 * log, "myelin": myelin, "outside": 0 * sin2}


def pools_factor(pools: Pools, echo_time_s: float, frequency_mhz: float, field_strength_t: float) -> np.ndarray:
    """P (X, Y, Z) complex64 of one echo; R2* is in proportion to the field, as everywhere in the phantom."""
    result, water = np.ones(pools.shape, np.complex64), water_shares()
    change = np.zeros(len(pools.index), np.complex64)
    for shares, sin2 in zip(pools.shares, pools.sin2):
        for pool, ppm in frequencies_ppm(sin2.astype(np.float32)).items():
            if pool != "outside":
                decay = np.exp(-(RATES[pool] - RATES["outside"]) * field_strength_t / 3 * echo_time_s)
                turn = np.exp(1j * np.float32(TWO_PI * frequency_mhz * echo_time_s) * ppm)
                change += shares * np.float32(water[pool]) * (np.float32(decay) * turn - 1)
    result.ravel()[pools.index] += change
    return result
