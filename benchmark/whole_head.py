#!/usr/bin/env python3
"""Seconds and memory of every stage on a 1 mm whole head, and the error of its χ map.

    source .venv/bin/activate; python benchmark/whole_head.py [FOLDER]

Simulates a head (192×224×176, 1 mm, 4 echoes, SNR 60) as BIDS in FOLDER once, runs the pipeline on it without resuming, and prints
the table of README.md from the engine's own trace.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tasks import completed, cpu_seconds, gigabytes, seconds

ROOT = Path(__file__).resolve().parent.parent
HEAD = ("--plain", "--shape", "192", "224", "176", "--voxel-size", "1", "1", "1", "--seed", "1")


def simulated(folder: Path) -> Path:
    """The folder with bids/ and truth/, made when it is not there."""
    if not (folder / "bids").is_dir():
        subprocess.run([sys.executable, ROOT / "bin" / "phantom.py", "--out", folder, "--bids", "--no-dicom", *HEAD], check=True)
    return folder


def size_of(folder: Path) -> float:
    """GiB that the files of a folder take on the disk, links not followed."""
    return sum(path.lstat().st_blocks for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) * 512 / 2**30


def main(folder: Path) -> None:
    """Simulate, run, print."""
    head = simulated(folder)
    for old in ("work", "results"):
        shutil.rmtree(folder / old, ignore_errors=True)
    start = time.monotonic()
    subprocess.run(["nextflow", "-q", "run", ROOT, "--input", head / "bids", "--outdir", folder / "results", "-w", folder / "work"], cwd=folder, check=True)
    whole = time.monotonic() - start
    rows = completed(folder / "results")
    print("| stage | seconds | CPU seconds | peak memory, GiB |\n|---|---|---|---|")
    for row in sorted(rows, key=lambda row: row["submit"]):
        print(f"| {row['name'].split(' ')[0].split(':')[-1].lower()} | {seconds(row['realtime']):.1f} | {cpu_seconds(row):.1f} | {gigabytes(row['peak_rss']):.2f} |")
    peak = max(gigabytes(row["peak_rss"]) for row in rows)
    print(f"| whole pipeline, BIDS to BIDS | {whole:.0f} | {sum(map(cpu_seconds, rows)):.0f} | {peak:.2f} |")
    print(f"input {size_of(head / 'bids'):.2f} GiB, work directory {size_of(folder / 'work'):.2f} GiB, results {size_of(folder / 'results'):.2f} GiB")
    chi = next(path for path in (folder / "results").glob("sub-*/anat/*_Chimap.nii.gz") if "_desc-" not in path.name)
    truth, mask = head / "truth" / "sub-01", chi.with_name(chi.name.replace("Chimap", "desc-chi_mask"))
    judged = ["--map", chi, "--truth", truth / "chi.nii.gz", "--mask", mask, "--mask", truth / "mask.nii.gz", "--labels", truth / "labels.nii.gz"]
    command = [sys.executable, ROOT / "bin" / "evaluate.py", *judged]
    print(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="chiflow-benchmark-")))
