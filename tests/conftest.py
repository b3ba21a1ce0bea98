"""What several test files share: the real data, a small simulated data set, the engine, and the machines it can run on."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAD = ("--plain", "--shape", "36", "40", "24", "--voxel-size", "5", "5", "6", "--tilt", "20", "--subjects", "2")
VALIDATOR = "bids-validator-deno==3.0.2"
ENGINE_SECONDS = 600
MACHINE_SECONDS = 1200
QUICK = ("--background", "vsharp", "--inversion", "tkd", "--brain_extraction", "surface")
SMALL_TASKS = """process { withLabel: medium { cpus = 1\n memory = { 2.GB * task.attempt } } }
executor { queueSize = 4\n $slurm { queueSize = 20\n pollInterval = '1 sec'\n queueStatInterval = '1 sec'\n exitReadTimeout = '10 sec' } }
"""


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
        return rows_in(self.out / "pipeline_info" / name)

    def tasks(self, *statuses: str) -> set[tuple[str, str]]:
        """(process, tag) of the tasks of runs with one of these statuses; the page of all runs is of none."""
        return tasks_in(self.rows("trace.txt"), *statuses)


def rows_in(path: Path) -> list[dict]:
    """The rows of a table."""
    with open(path, encoding="utf8", newline="") as table:
        return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


def tasks_in(rows: list[dict], *statuses: str) -> set[tuple[str, str]]:
    """(process, tag) of the tasks of runs in a trace."""
    return {(row["name"].split(" ")[0].split(":")[-1], row["tag"]) for row in rows if row["status"] in statuses and row["tag"] != "all runs"}


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

    def unfinished(self, *statuses: str) -> set[tuple[str, str]]:
        """(process, tag) of the tasks of launches that have not ended, or were killed."""
        traces = (self.launch / ".nextflow" / "chiflow").glob("*/trace.txt")
        return {task for trace in traces for task in tasks_in(rows_in(trace), *statuses)}


def maps_of(out: Path) -> dict[str, bytes]:
    """What a run published, images only: content by name."""
    return {path.name: path.read_bytes() for path in out.glob("sub-*/**/*.nii.gz")}


def kill(head: subprocess.Popen) -> None:
    """SIGKILL to the head process and whatever it started in its group."""
    os.killpg(head.pid, signal.SIGKILL)
    head.wait()


def wait_for(condition, seconds: float = 120) -> None:
    """Wait until the condition holds. Raises TimeoutError when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain")
        time.sleep(0.2)


def copy_of_the_pipeline(target: Path) -> Path:
    """A copy of the pipeline that tests may edit; it shares .venv with the original."""
    ignored = shutil.ignore_patterns(".*", "demo", "work", "tests", "benchmark", "__pycache__")
    shutil.copytree(ROOT, target, ignore=ignored)
    (target / ".venv").symlink_to(ROOT / ".venv")
    return target


def change_stage(project: Path, stage: str, deed: str) -> None:
    """Make an executable of a copy do something else first; `deed` is Python."""
    path = project / "bin" / f"{stage}.py"
    path.write_text(path.read_text(encoding="utf8").replace('if __name__ == "__main__":\n', f'if __name__ == "__main__":\n    {deed}\n'), encoding="utf8")


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """A copy of the pipeline."""
    return copy_of_the_pipeline(tmp_path_factory.mktemp("pipeline") / "chiflow")


@pytest.fixture(scope="session")
def local(project, heads, tmp_path_factory) -> tuple[Engine, Run]:
    """The two heads through the default methods on this machine: what other executors must equal, and can resume."""
    engine = Engine(project, tmp_path_factory.mktemp("local"))
    done = engine.run("--input", heads / "bids", out=engine.launch / "out")
    assert done.status == 0, done.said
    return engine, done


def installed(program: str, packages: str) -> None:
    """Skip when a program is missing; with CHIFLOW_TEST_INSTALL=1 (as .ci/run has it) Debian's packages are installed first."""
    if shutil.which(program) is None and os.environ.get("CHIFLOW_TEST_INSTALL") == "1" and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"check": False, "capture_output": True, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages.split()], **quiet)
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: {packages}); CHIFLOW_TEST_INSTALL=1 lets root's tests install it")


def browser_says(page: Path, folder: Path, *options: str) -> str:
    """The page as headless Chromium has it after its scripts; fails when the console has a word or anything is asked from the network."""
    installed("chromium", "chromium fonts-dejavu-core")
    log = folder / "net.json"
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={folder / 'browser'}", f"--log-net-log={log}", *options]
    done = subprocess.run([*browser, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    own = ("google", "gstatic", "gvt1", "chrome")  # of the browser itself
    asked = set(re.findall(r'"url":"(https?://[^"/]+)', log.read_text(encoding="utf8")))
    assert [host for host in asked if not any(name in host for name in own)] == []
    return done.stdout


def bids_errors(folder: Path, tools: Path) -> list[str]:
    """What the official BIDS validator calls an error in a data set. It is installed into `tools` when CHIFLOW_TEST_INSTALL=1, else skip without it."""
    program = shutil.which("bids-validator-deno") or tools / "bin" / "bids-validator-deno"
    if not Path(program).exists():
        if os.environ.get("CHIFLOW_TEST_INSTALL") != "1":
            pytest.skip(f"no bids-validator-deno on PATH (PyPI: {VALIDATOR}); CHIFLOW_TEST_INSTALL=1 lets the tests install it")
        uv = ROOT / ".venv" / "bin" / "uv"
        subprocess.run([uv, "venv", "-q", tools], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", tools / "bin" / "python", VALIDATOR], check=True)
    done = subprocess.run([program, folder, "--format", "json"], capture_output=True, text=True, timeout=300)
    issues = json.loads(done.stdout)["issues"]["issues"]
    return [f"{issue['code']} {issue.get('subCode') or ''} {issue['location']}" for issue in issues if issue["severity"] == "error"]


def machine(script: str, *arguments: str | Path) -> str:
    """What a script of tests/machine prints last; skip with its own reason when it cannot do its work here."""
    try:
        done = subprocess.run([ROOT / "tests" / "machine" / script, *arguments], capture_output=True, text=True, timeout=MACHINE_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{script}: not ready after {MACHINE_SECONDS} s")
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        pytest.skip(next((line for line in said if line.startswith(f"{Path(script).stem}: ")), said[-1]))
    return (done.stdout.strip().splitlines() or [""])[-1]


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A SLURM cluster of this machine, in the environment of all that is called while it is there."""
    installed("slurmctld", "slurm-wlm munge")
    folder = tmp_path_factory.mktemp("slurm")
    os.environ["SLURM_CONF"] = machine("slurm.sh", "up", folder)
    yield
    machine("slurm.sh", "down", folder)
    del os.environ["SLURM_CONF"]


@pytest.fixture(scope="session")
def podman():
    """Both images in podman, in the environment of all that is called from here on."""
    installed("podman", "podman runc debootstrap")
    if os.environ.get("CHIFLOW_TEST_INSTALL") == "1" or subprocess.run(["podman", "image", "exists", "localhost/chiflow-base"], check=False).returncode == 0:
        os.environ["CONTAINERS_CONF"] = machine("podman.sh")
    else:
        pytest.skip("the images are not built: tests/machine/podman.sh builds them, with CHIFLOW_TEST_INSTALL=1 the tests do")


@pytest.fixture(scope="session")
def odd_project(tmp_path_factory) -> Path:
    """A copy at a path with a blank and an umlaut; the engine's strict parser cannot include modules from there."""
    return copy_of_the_pipeline(tmp_path_factory.mktemp("pipeline") / "chi flöw")
