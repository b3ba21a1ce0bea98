"""What several test files share: the real data, a small simulated data set, and the engine."""

import csv
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAD = ("--shape", "36", "40", "24", "--voxel-size", "5", "5", "6", "--tilt", "20", "--subjects", "2")
ENGINE_SECONDS = 600
SMALL_TASKS = "process { withLabel: medium { cpus = 1\n memory = 2.GB } }\nexecutor.queueSize = 4\n"


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the real scans; CHIFLOW_DATA names another one."""
    folder = Path(os.environ.get("CHIFLOW_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; CHIFLOW_DATA names their folder")
    return folder


@pytest.fixture(scope="session")
def heads(tmp_path_factory) -> Path:
    """Folder with dicom/, bids/ and truth/ of two small simulated heads. Copy what is to be changed."""
    folder = tmp_path_factory.mktemp("heads")
    subprocess.run([sys.executable, ROOT / "bin" / "phantom.py", "--out", folder, "--dicom", "--bids", *HEAD], check=True, capture_output=True)
    return folder


@dataclass
class Run:
    """What one call of the engine left."""

    status: int
    said: str
    out: Path

    def rows(self, name: str) -> list[dict]:
        """A table of pipeline_info."""
        with open(self.out / "pipeline_info" / name, encoding="utf8", newline="") as table:
            return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))

    def tasks(self, *statuses: str) -> set[tuple[str, str]]:
        """(process, tag) of the tasks with one of these statuses."""
        return {(row["name"].split(" ")[0].split(":")[-1], row["tag"]) for row in self.rows("trace.txt") if row["status"] in statuses}


class Engine:
    """Calls `nextflow run` on a copy of the pipeline, from one launch folder."""

    def __init__(self, project: Path, launch: Path):
        self.project, self.launch = project, launch
        launch.mkdir(parents=True, exist_ok=True)
        (launch / "small.config").write_text(SMALL_TASKS, encoding="utf8")

    def command(self, *options: str | Path) -> list[str]:
        """The command line of one call."""
        nextflow = shutil.which("nextflow") or pytest.skip("no nextflow on PATH: run 'make setup'")
        return [nextflow, "run", str(self.project), "-c", "small.config", *map(str, options)]

    def run(self, *options: str | Path, out: Path | None = None, **environment: str) -> Run:
        """One call to its end; --outdir is `out`."""
        where = [] if out is None else ["--outdir", out]
        done = subprocess.run(
            self.command(*options, *where), cwd=self.launch, env=os.environ | environment, capture_output=True, text=True, timeout=ENGINE_SECONDS
        )
        return Run(done.returncode, done.stdout + done.stderr, out or self.launch)

    def start(self, *options: str | Path) -> subprocess.Popen:
        """A call that goes on in a process group of its own; end it with `kill`."""
        return subprocess.Popen(self.command(*options), cwd=self.launch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def kill(head: subprocess.Popen) -> None:
    """SIGKILL to the head process and whatever it started in its group."""
    os.killpg(head.pid, signal.SIGKILL)
    head.wait()


def copy_of_the_pipeline(target: Path) -> Path:
    """A copy of the pipeline that tests may edit; it shares .venv with the original."""
    ignored = shutil.ignore_patterns(".*", "demo", "work", "tests", "benchmark", "__pycache__")
    shutil.copytree(ROOT, target, ignore=ignored)
    (target / ".venv").symlink_to(ROOT / ".venv")
    return target


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """A copy of the pipeline."""
    return copy_of_the_pipeline(tmp_path_factory.mktemp("pipeline") / "chiflow")


@pytest.fixture(scope="session")
def odd_project(tmp_path_factory) -> Path:
    """A copy at a path with a blank and an umlaut; the engine's strict parser cannot include modules from there."""
    return copy_of_the_pipeline(tmp_path_factory.mktemp("pipeline") / "chi flöw")
