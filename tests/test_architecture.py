"""The house plan: who may import whom, one name for one thing, and how long things may be."""

import ast
import json
import os
import re
from pathlib import Path

import grimp
import pytest
from conftest import ROOT

BIN = ROOT / "bin"
ROOMS = sorted({path.stem for path in (BIN / "chiflow").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()} - {"__init__", "core"})
EXECUTABLES = sorted(path.stem for path in BIN.glob("*.py"))
MODULES = {path.stem: path.read_text(encoding="utf8") for path in (ROOT / "modules").glob("*.nf")}
STAGES = sorted(name for name, text in MODULES.items() if re.search("^process ", text, re.MULTILINE))
ABOVE = {"train": ("simulate", "invert", "unwrap", "phantom"), "simulate": ("phantom",)}  # a room above others, and which it may import
NO_STAGE = {"evaluate", "phantom", "simulate"}


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("chiflow", cache_dir=None)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_itself_and_core_only(room, graph):
    own = {module for module in graph.modules if (module + ".").startswith(f"chiflow.{room}.")}
    imported = {target for module in own for target in graph.find_modules_directly_imported_by(module)} - own
    allowed = tuple(f"chiflow.{name}." for name in ("core", *ABOVE.get(room, ())))
    assert {target for target in imported if not (target + ".").startswith(allowed) and target != "chiflow"} == set()


@pytest.mark.parametrize("room", sorted(set(ABOVE) - NO_STAGE))
def test_what_a_room_imports_is_in_the_code_that_its_task_depends_on(room):
    assert f"codeOf('{room}', {list(ABOVE[room])})" in "".join(MODULES.values())


def test_core_imports_no_room(graph):
    own = {module for module in graph.modules if (module + ".").startswith("chiflow.core.")}
    assert {t for m in own for t in graph.find_modules_directly_imported_by(m)} <= own | {"chiflow"}


@pytest.mark.parametrize("stage", EXECUTABLES)
def test_an_executable_imports_its_room_and_core_only(stage):
    path = BIN / f"{stage}.py"
    froms = {node.module for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))) if isinstance(node, ast.ImportFrom)}
    rooms = {name.split(".")[1] for name in froms if name and name.startswith("chiflow.")}
    assert rooms <= {"core", stage}
    assert os.access(path, os.X_OK) and path.read_text(encoding="utf8").startswith("#!/usr/bin/env python3\n")


def test_a_stage_has_one_name_everywhere():
    assert STAGES == sorted(set(EXECUTABLES) - NO_STAGE) == sorted(set(ROOMS) - NO_STAGE)
    for stage in STAGES:
        text = MODULES[stage]
        assert text.count("process ") == text.count(f"process {stage.upper()} {{") == 1 and f"{stage}.py --help > /dev/null" in text and "val code" in text


def test_no_module_names_a_default():
    for stage in STAGES:
        assert "params." not in MODULES[stage] and "task.ext.args" in MODULES[stage]


def longest(path: Path) -> int:
    """Lines of the longest function in a file."""
    functions = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))) if isinstance(node, ast.FunctionDef)]
    return max((node.end_lineno - node.lineno + 1 for node in functions), default=0)


def test_sizes():
    sizes = {path: len(path.read_text(encoding="utf8").splitlines()) for path in [ROOT / "main.nf", *ROOT.glob("modules/*.nf"), *BIN.rglob("*.py")]}
    assert sizes[ROOT / "main.nf"] <= 150
    limits = {path: 45 if path.suffix == ".nf" and path.stem in STAGES else 250 for path in sizes}
    assert {str(path): size for path, size in sizes.items() if size > limits[path]} == {}
    assert {str(path): longest(path) for path in BIN.rglob("*.py") if longest(path) > 40} == {}


def test_versions_agree():
    import chiflow

    config = (ROOT / "nextflow.config").read_text(encoding="utf8")
    assert f"version = '{chiflow.__version__}'" in config
    assert f"chiflow-torch:{chiflow.__version__}" in (ROOT / "conf" / "containers.config").read_text(encoding="utf8")
    assert json.loads((ROOT / "nextflow_schema.json").read_text(encoding="utf8"))["title"]
