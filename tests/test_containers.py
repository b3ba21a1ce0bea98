"""Real containers, by podman: what is in the images, and that a run in them gives the maps of a run without."""

import json
import subprocess

import pytest
from conftest import ROOT, Engine, Run, maps_of

import chiflow

pytestmark = pytest.mark.usefixtures("podman")
IMAGES = {"light": f"chiflow-light:{chiflow.__version__}", "torch": f"chiflow-torch:{chiflow.__version__}"}
# As on an object store: every input is copied into an empty folder, and what is declared as output is copied out.
STAGED = "process { scratch = true\n stageInMode = 'copy' }\n"


def inside(image: str, command: str) -> str:
    """What a command prints in a container."""
    return subprocess.run(["podman", "run", "--rm", image, "bash", "-c", command], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def contained(project, heads, tmp_path_factory) -> Run:
    """The two heads in containers, each task in a folder that holds its inputs and nothing else."""
    engine = Engine(project, tmp_path_factory.mktemp("contained"))
    (engine.launch / "staged.config").write_text(STAGED, encoding="utf8")
    return engine.run("--input", heads / "bids", "-c", "staged.config", "-profile", "podman", out=engine.launch / "out")


def test_maps_are_those_without_containers(contained, local):
    assert contained.status == 0, contained.said
    assert maps_of(contained.out) == maps_of(local[1].out)


def test_the_provenance_names_the_images_by_their_digests(contained):
    found = json.loads(next(contained.out.glob("sub-01/anat/*_provenance.json")).read_text())["Pipeline"]["Images"]
    for kind, name in IMAGES.items():
        digest = subprocess.run(["podman", "image", "inspect", "--format", "{{.Id}}", name], capture_output=True, text=True, check=True).stdout.strip()
        assert found[kind] == {"Name": name, "Digest": digest} and len(digest) == 64


def test_tasks_use_the_packages_of_the_images(contained):
    runs = [path.read_text(encoding="utf8") for path in (contained.out.parent / "work").glob("*/*/.command.run")]
    assert len(runs) == 2 * 12 + 1 and all("podman run" in text for text in runs)


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_is_for_tasks_of_no_one_in_particular(kind):
    image = IMAGES[kind]
    assert inside(image, "id -u") == "1000"
    assert inside(image, "command -v bash ps python3 | wc -l") == "3" and inside(image, "command -v python3").startswith("/opt/chiflow/")
    label = ["podman", "image", "inspect", "--format", '{{index .Labels "org.opencontainers.image.version"}}', image]
    assert subprocess.run(label, capture_output=True, text=True, check=True).stdout.strip() == chiflow.__version__


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_has_the_pinned_packages_and_neither_code_nor_weights(kind):
    pinned = {line.split("==")[0].lower() for line in (ROOT / "requirements" / f"{kind}.txt").read_text().splitlines() if "==" in line}
    script = "import importlib.metadata as m; print(*(d.name.lower().replace(chr(95), chr(45)) for d in m.distributions()))"
    there = set(inside(IMAGES[kind], f"python3 -c '{script}'").split())
    assert there <= pinned and {"numpy", "scipy", "nibabel"} <= there and ("torch" in there) == (kind == "torch") and "triton" not in there
    assert inside(IMAGES[kind], "python3 -c 'import chiflow' 2>&1 | tail -n 1") == "ModuleNotFoundError: No module named 'chiflow'"
    assert inside(IMAGES[kind], "find / -xdev -name '*.safetensors' 2>/dev/null | wc -l") == "0"
