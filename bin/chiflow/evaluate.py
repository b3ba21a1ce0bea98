"""A map beside the truth, in numbers and as a picture."""

import io
from pathlib import Path

import numpy as np

from chiflow.core.errors import ChiflowError
from chiflow.core.nifti import Image, load, upright, write_bytes
from chiflow.core.spaces import SAME_PLACE_MM, grid_distance

WINDOW_PPM = 0.1


def load_together(paths: list[Path | None]) -> list[Image | None]:
    """Volumes that lie on one grid up to flips and swaps of axes, made equal. Raises ChiflowError naming the one that does not."""
    images = [None if path is None else upright(load(path)) for path in paths]
    for image in images[1:]:
        if image is None:
            continue
        if image.data.shape != images[0].data.shape:
            raise ChiflowError(f"{image.path}: shape {image.data.shape} != {images[0].data.shape} of {images[0].path.name}")
        if (distance := grid_distance(image.affine, images[0].affine, image.data.shape)) > SAME_PLACE_MM:
            raise ChiflowError(f"{image.path}: lies up to {distance:.3g} mm off the grid of {images[0].path.name}")
    return images


def draw_comparison(path: Path, map_: Image, truth: Image, mask: np.ndarray, caption: str) -> None:
    """Write a PNG: map, truth and difference in three planes through the middle of the mask, −0.1…0.1 ppm."""
    import matplotlib  # half a second that the metrics alone need not pay

    matplotlib.use("Agg")
    from matplotlib import pyplot

    voxel = np.linalg.norm(map_.affine[:3, :3], axis=0)
    centre = [int(np.mean(np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))))) for axis in range(3)]
    volumes = {"χ map": map_.data, "truth": truth.data, "difference": np.where(mask, map_.data - truth.data, 0)}
    figure, axes = pyplot.subplots(3, 3, figsize=(9, 9.6), facecolor="black", layout="constrained")
    for row, (name, volume) in zip(axes, volumes.items()):
        for axis, (panel, normal) in enumerate(zip(row, (2, 1, 0))):
            plane = np.take(volume, centre[normal], axis=normal).T
            height, width = (voxel[a] for a in reversed([a for a in range(3) if a != normal]))
            picture = panel.imshow(plane, cmap="gray", vmin=-WINDOW_PPM, vmax=WINDOW_PPM, origin="lower", aspect=height / width)
            panel.set_axis_off()
            if axis == 0:
                panel.set_title(name, color="white", loc="left")
    bar = figure.colorbar(picture, ax=axes, orientation="horizontal", shrink=0.4, label="ppm", ticks=[-WINDOW_PPM, 0, WINDOW_PPM])
    bar.ax.tick_params(colors="white")
    bar.ax.xaxis.label.set_color("white")
    figure.suptitle(caption, color="white")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    write_bytes(path, buffer.getvalue())
