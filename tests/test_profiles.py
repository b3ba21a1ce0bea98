"""Profiles that no machine here can run: they resolve, hold what their service needs, and nothing in a task depends on this machine's disk."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import ROOT

PROFILES = ("standard", "slurm", "docker", "podman", "apptainer", "singularity", "awsbatch", "googlebatch", "azurebatch", "k8s", "gpu", "demo", "debug")
THREADS = "process.beforeScript"
REMOTE = {"process.disk": "'20 GB'", "process.'withName:CONVERT'.disk": "'100 GB'", "workflow.failOnIgnore": "true"}
NEEDED = {
    "awsbatch": {"process.executor": "'awsbatch'", "process.queue": "params.gpu_queue", "aws.batch.maxSpotAttempts": "5", "aws.region": ""},
    "googlebatch": {"process.executor": "'google-batch'", "process.machineType": "params.gpu_machine", "google.batch.maxSpotAttempts": "5", "google.batch.spot": "false"},
    "azurebatch": {"process.executor": "'azurebatch'", "azure.batch.pools.gpu.vmType": "Standard_NC4as_T4_v3", "azure.batch.pools.cpu.lowPriority": "false",
                   "azure.batch.deletePoolsOnCompletion": "true", "azure.batch.autoPoolMode": "false", "process.queue": "'gpu' : 'cpu'"},
    "k8s": {"process.executor": "'k8s'", "k8s.storageMountPath": "'/chiflow'", "k8s.computeResourceType": "'Job'", "k8s.storageClaimName": "", "k8s.namespace": "'default'"},
}


def configuration(profile: str, parser: str) -> dict[str, str]:
    """The resolved configuration of a profile, without the plugins that only its service needs."""
    nextflow = shutil.which("nextflow") or pytest.skip("no nextflow on PATH: run 'make setup'")
    environment = os.environ | {"NXF_PLUGINS_DEFAULT": "false", "NXF_SYNTAX_PARSER": parser}
    done = subprocess.run([nextflow, "config", str(ROOT), "-profile", profile, "-flat"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(line.split(" = ", 1) for line in done.stdout.splitlines() if " = " in line)
    kept = {label: {key for key in ("cpus", "memory", "time") if f"process.'withLabel:{label}'.{key}" in found} for label in ("small", "medium", "long")}
    assert "task.executor == 'local' ? [cpus: nextflow.util.SysHelper.availCpus" in found["process.resourceLimits"], "what runs here asks for no more than there is"
    assert kept == dict.fromkeys(kept, {"cpus", "memory", "time"}), "no profile takes a setting of a label away"
    return found


def test_the_profiles_there_are():
    config = (ROOT / "conf" / "profiles.config").read_text(encoding="utf8")
    assert re.findall(r"^    (\w+) \{$", config, re.M) == list(PROFILES)


@pytest.mark.parametrize("parser", ["v1", "v2"])
@pytest.mark.parametrize("profile", NEEDED)
def test_a_batch_service_gets_what_it_needs(profile, parser):
    found = configuration(f"{profile},gpu", parser)
    missing = {key: value for key, value in (REMOTE | NEEDED[profile]).items() if value not in found.get(key, "nothing at all")}
    assert missing == {}
    assert "process.container" in found and "process.'withName:MASK|BACKGROUND|INVERT|TRAIN'.container" in found
    assert "gpu_type" in found["process.'withLabel:gpu'.accelerator"]
    assert THREADS in found and "projectDir" not in found[THREADS] and ".venv" not in found[THREADS]


@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_slurm_gets_what_it_needs(parser):
    found = configuration("slurm,apptainer,gpu", parser)
    assert "params.account" in found["process.clusterOptions"] and "--gres=gpu:" in found["process.clusterOptions"]
    assert (found["process.executor"], found["executor.queueSize"], found["executor.submitRateLimit"]) == ("'slurm'", "200", "'20/1sec'")
    assert found["apptainer.enabled"] == "true" and "params.gpu_queue" in found["process.queue"]


@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_tasks_that_run_here_are_known_as_such_and_python_is_the_pipeline_s_own(parser):
    found = configuration("docker,gpu", parser)
    assert found["process.executor"] == "'local'" and "unset PYTHONPATH PYTHONHOME PYTHONSAFEPATH" in found["process.beforeScript"]


@pytest.mark.parametrize("parser", ["v1", "v2"])
def test_the_demo_changes_the_memory_alone(parser):
    found = configuration("standard,demo,debug", parser)
    assert found["process.'withLabel:medium'.memory"] == "{ 2.GB * task.attempt }" and found["process.executor"] == "'local'"


def test_nothing_is_published_past_the_table_of_what_was_published():
    sources = [ROOT / "main.nf", ROOT / "nextflow.config", *(ROOT / "conf").iterdir(), *(ROOT / "modules").iterdir()]
    assert [source.name for source in sources if "publishDir" in source.read_text(encoding="utf8")] == []


def test_no_script_of_a_task_names_a_place_of_this_machine(local):
    engine, _ = local
    scripts = [path.read_text(encoding="utf8").split("\n", 1)[1] for path in (engine.launch / "work").glob("*/*/.command.sh")]
    assert len(scripts) >= 24
    assert {place for text in scripts for place in re.findall(r"(?<![\w.*}])/[\w.]+[\w./]*", text)} <= {"/dev/stdin", "/dev/null"}


def test_a_path_is_only_taken_for_a_file_of_this_machine_where_that_was_checked():
    modules = {path.stem for path in (ROOT / "modules").glob("*.nf") if re.search(r"\.toFile\(|new File\(", path.read_text(encoding="utf8"))}
    assert modules == {"lean"}
