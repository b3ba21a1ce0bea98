"""Maps as pictures: three planes through the middle of the mask, a mosaic of slices, a histogram. PNG bytes in, out of no file.

Volumes are drawn upright (right, anterior, superior; no resampling): the patient's left is on the left, as the letters say.
"""

import io

import matplotlib
import numpy as np

from chiflow.core.nifti import Image
from chiflow.report.panels import Panel

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  the backend first

PLANES = (("axial", 2, ("L", "R")), ("coronal", 1, ("L", "R")), ("sagittal", 0, ("P", "A")))
MOSAIC = (2, 6)
DPI = 100
OUTSIDE = "black"


def window_of(panel: Panel, values: np.ndarray) -> tuple[float, float]:
    """Lowest and highest value that the picture tells apart."""
    if panel.window:
        return panel.window
    low, high = np.percentile(values, (1, 99)) if values.size else (0.0, 1.0)
    if panel.signed:
        return float(-max(abs(low), abs(high), 1e-12)), float(max(abs(low), abs(high), 1e-12))
    return 0.0, float(max(high, 1e-12))


def shown(panel: Panel, image: Image, mask: np.ndarray) -> np.ma.MaskedArray:
    """The values (X, Y, Z) that are drawn: inside the mask, or of the whole head where it has any."""
    return np.ma.masked_where(image.data == 0 if panel.whole_head else ~mask, image.data)


def colours_of(panel: Panel) -> matplotlib.colors.Colormap:
    """The colours of a map, black where nothing is drawn."""
    return matplotlib.colormaps[panel.colours].with_extremes(bad=OUTSIDE)


def three_planes(panel: Panel, image: Image, mask: np.ndarray, outline: np.ndarray | None = None) -> bytes:
    """PNG of an upright map (X, Y, Z) in three planes through the middle of the mask (X, Y, Z), with its scale."""
    voxel = np.linalg.norm(image.affine[:3, :3], axis=0)
    centre = [int(np.median(np.nonzero(mask)[axis])) for axis in range(3)]
    low, high = window_of(panel, image.data[mask])
    volume = shown(panel, image, mask)
    figure, axes = pyplot.subplots(1, 3, figsize=(9.6, 3.7), facecolor=OUTSIDE, layout="constrained")
    for cell, (name, normal, letters) in zip(axes, PLANES):
        height, width = (voxel[axis] for axis in reversed([axis for axis in range(3) if axis != normal]))
        plane = np.ma.take(volume, centre[normal], axis=normal).T
        picture = cell.imshow(plane, cmap=colours_of(panel), vmin=low, vmax=high, origin="lower", aspect=height / width, interpolation="nearest")
        if outline is not None:
            cell.contour(np.take(outline, centre[normal], axis=normal).T, levels=[0.5], colors="yellow", linewidths=0.7)
        cell.set_axis_off()
        for x, letter in zip((0.02, 0.93), letters):
            cell.text(x, 0.94, letter, transform=cell.transAxes, color="white", fontsize=9)
    bar = figure.colorbar(picture, ax=axes, orientation="vertical", shrink=0.8, label=panel.units, pad=0.01)
    bar.ax.tick_params(colors="white", labelsize=8)
    bar.ax.yaxis.label.set_color("white")
    return _png(figure)


def mosaic(panel: Panel, image: Image, mask: np.ndarray) -> bytes:
    """PNG of axial slices of an upright map, evenly over the mask."""
    voxel = np.linalg.norm(image.affine[:3, :3], axis=0)
    inside = np.flatnonzero(mask.any(axis=(0, 1)))
    rows, columns = MOSAIC
    slices = np.linspace(inside[0], inside[-1], rows * columns + 2).round().astype(int)[1:-1]
    box = tuple(slice(n.min(), n.max() + 1) for n in (np.flatnonzero(mask.any(axis=(1, 2))), np.flatnonzero(mask.any(axis=(0, 2)))))
    low, high = window_of(panel, image.data[mask])
    volume = shown(panel, image, mask)
    figure, axes = pyplot.subplots(rows, columns, figsize=(9.6, 4.2), facecolor=OUTSIDE, gridspec_kw={"wspace": 0.02, "hspace": 0.02})
    for cell, number in zip(axes.flat, slices):
        cell.imshow(volume[(*box, number)].T, cmap=colours_of(panel), vmin=low, vmax=high, origin="lower", aspect=voxel[1] / voxel[0], interpolation="nearest")
        cell.set_axis_off()
    figure.subplots_adjust(0, 0, 1, 1)
    return _png(figure)


def histogram(panel: Panel, values: np.ndarray) -> bytes:
    """PNG of how often each value occurs inside the mask."""
    low, high = window_of(panel, values)
    figure, cell = pyplot.subplots(figsize=(6.4, 2.4), layout="constrained")
    cell.hist(np.clip(values, 2 * low, 2 * high), bins=120, range=(2 * low, 2 * high), color="#5b7fa6")
    cell.set_xlabel(f"χ, {panel.units}")
    cell.set_yticks([])
    cell.spines[["top", "right", "left"]].set_visible(False)
    return _png(figure)


def _png(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    pyplot.close(figure)
    return buffer.getvalue()
