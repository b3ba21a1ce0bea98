"""What the engine's own trace says of a run, in numbers.

    python benchmark/tasks.py OUT REFERENCE      prints CPU seconds, most memory of a task in GiB, and whether both have the same maps
"""

import csv
import sys
from pathlib import Path

BYTES = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}
SECONDS = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """Seconds of a duration of the trace such as '1m 3.2s'."""
    parts = [(part.rstrip("msh"), part.lstrip("0123456789.")) for part in text.split() if part != "-"]
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


def gigabytes(text: str) -> float:
    """GiB of a size of the trace such as '812.3 MB'."""
    number, unit = text.split() if " " in text else ("0", "B")
    return float(number) * BYTES[unit] / 2**30


def cpu_seconds(row: dict) -> float:
    """Seconds of all processors that a task took."""
    return seconds(row["realtime"]) * float(row["%cpu"].rstrip("%").replace("-", "0")) / 100


def completed(outdir: Path) -> list[dict]:
    """The rows of the trace of the tasks that ran and ended well."""
    with open(outdir / "pipeline_info" / "trace.txt", encoding="utf8", newline="") as table:
        return [row for row in csv.DictReader(table, delimiter="\t") if row["status"] == "COMPLETED"]


def maps(outdir: Path) -> dict[str, bytes]:
    """The published images of a run: content by name."""
    return {path.name: path.read_bytes() for path in outdir.glob("sub-*/**/*.nii.gz")}


def main(out: Path, reference: Path) -> None:
    """Print one run beside another."""
    rows = completed(out)
    same = maps(out) == maps(reference) and maps(out)
    print(f"{sum(map(cpu_seconds, rows)):.0f} | {max(gigabytes(row['peak_rss']) for row in rows):.2f} | {'yes' if same else 'no'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
