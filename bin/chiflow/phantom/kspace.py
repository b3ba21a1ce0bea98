"""What a scanner keeps of a signal that lives on a finer grid than its voxels: the frequencies that they
resolve.

    S_scan = F⁻¹ [F S]_kept exp(2πi k·d)
"""

import numpy as np
import torch

FOLD_VOXELS = 4  # over which the two ends of an axis are joined


def truncated(signal: torch.Tensor, factors: tuple[int, ...], shift_voxels: tuple[float, ...] = (0.0, 0.0, 0.0)) -> torch.Tensor:
    """The complex signal (fine) at the middles of voxels of `factors` fine ones, with the frequencies that
    they resolve; an object moved by shift_voxels.
    """
    for axis, (count, factor, moved) in enumerate(zip(signal.shape, factors, shift_voxels)):
        if factor == 1 and not moved:
            continue
        kept = count // factor
        k = (torch.fft.fftfreq(kept) * kept).round()  # float32 gives 11.999999 for 12 when kept is 100
        spectrum = torch.fft.fft(signal, dim=axis).index_select(axis, (k % count).long())
        form = [1, 1, 1]
        form[axis] = -1
        shift = torch.polar(torch.ones(kept), 2 * torch.pi * k * ((factor - 1) / 2 - moved * factor) / count).reshape(form)
        signal = torch.fft.ifft(spectrum * shift, dim=axis) / factor
    return signal


def acquired(signal: np.ndarray, factors: tuple[int, ...], shift_voxels: tuple[float, ...] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """The signal (fX, fY, fZ) complex64 as the voxels (X, Y, Z) have it.

    The ends of each axis are joined smoothly outside the slab, as slices beyond it would, or its ends would
    ring through it.
    """
    shape = [n // f for n, f in zip(signal.shape, factors)]
    joined = torch.from_numpy(signal)
    for axis, factor in enumerate(factors):
        between = torch.linspace(0, 1, FOLD_VOXELS * factor + 2)[1:-1].reshape([-1 if a == axis else 1 for a in range(3)])
        first, last = joined.narrow(axis, 0, 1), joined.narrow(axis, joined.shape[axis] - 1, 1)
        joined = torch.cat([joined, last + between * (first - last)], dim=axis)
    scan = truncated(joined, tuple(factors), tuple(shift_voxels))
    return scan[: shape[0], : shape[1], : shape[2]].contiguous().numpy()
