#!/usr/bin/env python3
"""Bias and spread of every R2* fit against truth, as a Markdown table.

    source .venv/bin/activate; PYTHONPATH=bin python benchmark/relaxation.py

20 000 Rician decays a cell; SNR is S0 / σ and σ is known to the fit. Each cell: mean error ± standard deviation in 1/s.
"""

import numpy as np

from chiflow.relax import RELAXATIONS

VOXELS = 20_000
RATES = (10, 20, 40, 70, 100)
SNRS = (10, 20, 50, 100)
TRAINS = {"4 echoes, 4 to 22 ms": [0.004, 0.010, 0.016, 0.022], "6 echoes, 4 to 34 ms": [0.004, 0.010, 0.016, 0.022, 0.028, 0.034]}


def decays(rate: float, snr: float, times: list[float]) -> np.ndarray:
    """Magnitudes (VOXELS, 1, 1, E) of S0 = 1."""
    random = np.random.default_rng(1)
    noise = random.normal(size=(2, VOXELS, 1, 1, len(times))) / snr
    return np.hypot(np.exp(-rate * np.asarray(times)) + noise[0], noise[1])


def main() -> None:
    """Print one row for each echo train, SNR and method."""
    print(f"| echoes | SNR | method | {' | '.join(f'R2* {rate}' for rate in RATES)} |\n|{'---|' * (3 + len(RATES))}")
    for train, times in TRAINS.items():
        for snr in SNRS:
            magnitudes = [decays(rate, snr, times) for rate in RATES]
            for name, fit in RELAXATIONS.items():
                errors = [fit(m, np.ones(m.shape[:3], bool), times, 1 / snr).r2star - rate for m, rate in zip(magnitudes, RATES)]
                print(f"| {train} | {snr} | {name} | {' | '.join(f'{error.mean():+.2f} ± {error.std():.2f}' for error in errors)} |")


if __name__ == "__main__":
    main()
