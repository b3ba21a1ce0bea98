#!/usr/bin/env python3
"""What the engine adds to many runs: seconds a task, memory of the head process, size of the work directory.

    source .venv/bin/activate; python benchmark/scale.py [--runs 200] [--profile standard] [--folder FOLDER] [-- --lean]

One small simulated head as so many BIDS subjects, through the quick methods, one processor a task. What stands behind -- goes to the pipeline. Profile slurm
needs a cluster (SLURM_CONF; tests/machine/slurm.sh makes one of this machine). Prints one row of the table of docs/scale.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from tasks import completed, cpu_seconds, seconds

ROOT = Path(__file__).resolve().parent.parent
HEAD = ("--plain", "--shape", "36", "40", "24", "--voxel-size", "5", "5", "6")
QUICK = ("--background", "vsharp", "--inversion", "tkd", "--brain_extraction", "surface")
SETTINGS = "process { withLabel: medium { cpus = 1\n memory = 2.GB } }\nexecutor { pollInterval = '1 sec'\n queueStatInterval = '5 sec' }\n"
COLUMNS = ("profile", "runs", "tasks", "minutes", "s a task, all in", "s a task beyond its own", "CPU s a task", "CPU s of the head a task", "head, MiB", "work, MiB a run", "files a run")


def subjects(folder: Path, runs: int) -> Path:
    """A BIDS folder with so many subjects, the files of the first one linked."""
    if not (folder / "one").is_dir():
        subprocess.run([sys.executable, ROOT / "bin" / "phantom.py", "--out", folder / "one", "--bids", "--no-dicom", *HEAD], check=True, stdout=subprocess.DEVNULL)
    bids = folder / f"bids-{runs}"
    for number in range(1, runs + 1):
        anat = bids / f"sub-{number:04d}" / "anat"
        anat.mkdir(parents=True, exist_ok=True)
        for source in (folder / "one" / "bids" / "sub-01" / "anat").iterdir():
            target = anat / source.name.replace("sub-01", f"sub-{number:04d}")
            if not target.exists():
                os.link(source, target)
    return bids


def measured(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds of a call of the engine, MiB at its peak, and its own CPU seconds."""
    start, peak, spent = time.monotonic(), 0, 0.0
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as head:
        process = psutil.Process(head.pid)
        while head.poll() is None:
            try:
                peak, spent = max(peak, process.memory_info().rss), sum(process.cpu_times()[:2])
            except psutil.Error:
                pass
            time.sleep(0.5)
    if head.returncode:
        raise SystemExit(f"scale: the pipeline ended with {head.returncode}, see {folder}/.nextflow.log")
    return time.monotonic() - start, peak / 2**20, spent


def main() -> None:
    """Make the subjects, run, print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=200)
    arguments.add_argument("--profile", default="standard")
    arguments.add_argument("--folder", type=Path, default=None)
    arguments.add_argument("options", nargs="*")
    given = arguments.parse_args()
    folder = (given.folder or Path(tempfile.mkdtemp(prefix="chiflow-scale-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scale.config").write_text(SETTINGS, encoding="utf8")
    work, out = folder / f"work-{given.profile}", folder / f"out-{given.profile}"
    for old in (work, out):
        shutil.rmtree(old, ignore_errors=True)
    places = ["--input", subjects(folder, given.runs), "--outdir", out, "-w", work]
    command = ["nextflow", "-q", "run", ROOT, "-c", "scale.config", "-profile", given.profile, *QUICK, *places, *given.options]
    wall, peak, spent = measured([str(part) for part in command], folder)
    rows = completed(out)
    own, tasks, slots = sum(seconds(row["realtime"]) for row in rows), len(rows), os.cpu_count() or 1
    disk = int(subprocess.run(["du", "-sm", work], capture_output=True, text=True, check=True).stdout.split()[0])
    files = sum(len(names) for _, _, names in os.walk(work))
    row = (given.profile, given.runs, tasks, f"{wall / 60:.1f}", f"{wall / tasks:.2f}", f"{(wall * slots - own) / tasks:.2f}", f"{sum(map(cpu_seconds, rows)) / tasks:.2f}",
           f"{spent / tasks:.3f}", f"{peak:.0f}", f"{disk / given.runs:.1f}", f"{files / given.runs:.0f}")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n| {' | '.join(map(str, row))} |")


if __name__ == "__main__":
    main()
