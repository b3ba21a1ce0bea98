"""The course of a training as a table and as a picture."""

import csv
import io
from pathlib import Path

from chiflow.core.nifti import write_bytes

RATIOS = {"guided_over_start": "with a guide", "unguided_over_start": "without"}


def write_curve(folder: Path, rows: list[dict]) -> None:
    """Write curve.csv, a row for each check, and curve.png."""
    if not rows:
        return
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows)
    write_bytes(folder / "curve.csv", text.getvalue().encode())
    write_bytes(folder / "curve.png", picture(rows))


def picture(rows: list[dict]) -> bytes:
    """PNG of the loss, and of the error over that of the map that it begins from on the held-out samples, against the step."""
    import matplotlib  # half a second that an import of this room need not pay

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(7, 6), sharex=True, layout="constrained")
    steps = [row["step"] for row in rows]
    above.plot(steps, [row["loss"] for row in rows], marker=".")
    above.set_ylabel("loss of training")
    for name, label in RATIOS.items():
        below.plot(steps, [row[name] for row in rows], marker=".", label=label)
    below.axhline(1, color="black", linewidth=0.8)
    below.set(ylabel="error / error of the start\non held-out samples", xlabel="step")
    below.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    return buffer.getvalue()
