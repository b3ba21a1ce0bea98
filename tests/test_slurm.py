"""A real SLURM of this one machine: what a cluster does to a run, and what the run makes of it."""

import re
import shutil
import subprocess

import pytest
from conftest import Engine, Run, change_stage, copy_of_the_pipeline, kill, maps_of, wait_for

pytestmark = pytest.mark.usefixtures("slurm")

# The first try of the subject that comes first is killed from outside, together with its shell: no exit status is left.
KILLED_WHOLE = """__import__("subprocess").run(
        "mkdir {marker} && scancel --full --signal=KILL ${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID && sleep 60", shell=True)"""
# One subject needs more memory, and more time, than its first try is given.
NEEDS_MEMORY = """'"sub-02"' in open("acquisition.json").read() and (bytearray(5 * 2**29), __import__("time").sleep(8))"""
NEEDS_TIME = """'"sub-01"' in open("acquisition.json").read() and __import__("time").sleep(45)"""
SETTINGS = "process { withName: RELAX { time = { 1.min * task.attempt } } }\n"


def jobs_of(run: Run, stage: str) -> dict[str, list[dict]]:
    """Rows of the trace of a stage, by subject, in the order of the attempts."""
    rows = sorted((row for row in run.rows("trace.txt") if row["name"].split(" ")[0].endswith(f":{stage}")), key=lambda row: int(row["attempt"]))
    return {tag: [row for row in rows if row["tag"] == tag] for tag in {row["tag"] for row in rows}}


def header(row: dict) -> str:
    """What the job of a task asked SLURM for."""
    with open(f"{row['workdir']}/.command.run", encoding="utf8") as script:
        return "".join(line for line in script if line.startswith("#SBATCH"))


@pytest.fixture(scope="module")
def troubled(heads, tmp_path_factory) -> Run:
    """Two heads as job arrays, the inversion with a GPU; a job killed whole, one over its memory, one over its time."""
    folder = tmp_path_factory.mktemp("troubled")
    project = copy_of_the_pipeline(folder / "chiflow")
    change_stage(project, "unwrap", KILLED_WHOLE.format(marker=folder / "killed"))
    change_stage(project, "fieldmap", NEEDS_MEMORY)
    change_stage(project, "relax", NEEDS_TIME)
    engine = Engine(project, folder / "launch")
    (engine.launch / "short.config").write_text(SETTINGS, encoding="utf8")
    options = ("-c", "short.config", "-profile", "slurm,gpu", "--array", "2", "--queue", "cpu", "--gpu_queue", "gpu", "--account", "lab")
    return engine.run("--input", heads / "bids", *options, out=folder / "out")


def test_no_trouble_costs_a_run_its_maps_and_they_are_those_of_this_machine(troubled, local):
    assert troubled.status == 0, troubled.said
    assert maps_of(troubled.out) == maps_of(local[1].out)


def test_a_job_that_was_killed_whole_runs_again(troubled):
    attempts = sorted(len(rows) for rows in jobs_of(troubled, "UNWRAP").values())
    assert attempts == [1, 2]


def test_a_job_over_its_memory_gets_more(troubled):
    first, second = jobs_of(troubled, "FIELDMAP")["sub-02"]
    assert (first["status"], second["status"]) == ("FAILED", "COMPLETED")
    assert (first["memory"], second["memory"]) == ("2 GB", "4 GB")
    assert [len(rows) for rows in jobs_of(troubled, "FIELDMAP").values()].count(1) == 1


def test_a_job_over_its_time_gets_more(troubled):
    first, second = jobs_of(troubled, "RELAX")["sub-01"]
    assert (first["status"], second["status"]) == ("FAILED", "COMPLETED") and first["exit"] in ("140", "143"), "SIGUSR2 half a minute before, or SIGTERM"
    assert "-t 00:01:00" in header(first) and "-t 00:02:00" in header(second)


def test_jobs_ask_for_partition_account_and_gpu(troubled):
    (background,), (invert,) = jobs_of(troubled, "BACKGROUND")["sub-01"], jobs_of(troubled, "INVERT")["sub-01"]
    assert re.search(r"-p cpu\b", header(background)) and "--gres" not in header(background)
    assert re.search(r"-p gpu\b", header(invert)) and "--gres=gpu:1" in header(invert)
    assert "--account=lab" in header(background) and "--account=lab" in header(invert)


def test_tasks_of_a_stage_go_as_one_job_array(troubled):
    (work,) = troubled.out.parent.glob("launch/work")
    arrays = [path for path in work.glob("*/*/.command.run") if "#SBATCH --array 0-1" in path.read_text(encoding="utf8")]
    assert len(arrays) >= 8


def test_what_was_done_on_one_executor_is_not_done_again_on_the_other(project, heads, tmp_path):
    engine, more = Engine(project, tmp_path / "launch"), tmp_path / "bids"
    shutil.copytree(heads / "bids" / "sub-01", more / "sub-01")
    here = engine.run("--input", more, out=tmp_path / "here")
    shutil.copytree(heads / "bids" / "sub-02", more / "sub-02")
    there = engine.run("--input", more, "-profile", "slurm", "-resume", out=tmp_path / "there")
    back = engine.run("--input", more, "-resume", out=tmp_path / "back")
    assert here.status == there.status == back.status == 0, here.said + there.said + back.said
    first, second = here.tasks("COMPLETED"), there.tasks("COMPLETED")
    assert {run for _, run in first} == {"sub-01"} and {run for _, run in second} == {"sub-02"} and len(first) == len(second)
    assert there.tasks("CACHED") == first and back.tasks("CACHED") == first | second and not back.tasks("COMPLETED")


def test_a_drained_node_and_a_killed_head_lose_nothing_that_was_done(project, heads, tmp_path):
    engine = Engine(project, tmp_path / "launch")
    node = subprocess.run(["sinfo", "-h", "-o", "%n"], capture_output=True, text=True, check=True).stdout.split()[0]
    head = engine.start("--input", heads / "bids", "--outdir", tmp_path / "out", "-profile", "slurm")
    wait_for(lambda: "COMBINE" in {stage for stage, _ in engine.unfinished("COMPLETED")})
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=drain", "reason=test"], check=True)
    try:
        waiting = lambda state: subprocess.run(["squeue", "-h", "-t", state, "-o", "%r"], capture_output=True, text=True, check=True).stdout
        wait_for(lambda: not waiting("running") and waiting("pending"))
        before = engine.unfinished("COMPLETED")
        kill(head)
    finally:
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=True)
    done = engine.run("--input", heads / "bids", "-profile", "slurm", "-resume", out=tmp_path / "out")
    assert done.status == 0, done.said
    assert before and before - {task for task in before if task[0] == "PUBLISH"} <= done.tasks("CACHED")
    assert {tag for stage, tag in done.tasks("COMPLETED") if stage == "PUBLISH"} == {"sub-01", "sub-02"}
