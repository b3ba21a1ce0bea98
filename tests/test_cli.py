"""How an executable ends: what a second try may mend has the exit status of a killed process, a mistake has 1, a bug its traceback."""

import errno
import sys

import numpy as np
import pytest
import torch

from chiflow.core.cli import KILLED, execute
from chiflow.core.errors import ChiflowError, NotFinished


def raises(error: BaseException):
    def main() -> None:
        raise error
    return main


def numpy_without_memory() -> None:
    np.ones(2**50)


def torch_without_memory() -> None:
    torch.ones(2**50)


def ended(main, monkeypatch, capsys) -> tuple[int, str]:
    """Exit status, and what was said on standard error."""
    monkeypatch.setattr(sys, "argv", ["stage.py"])
    with pytest.raises(SystemExit) as end:
        execute(main)
    return end.value.code, capsys.readouterr().err


WITHOUT_MEMORY = [numpy_without_memory, torch_without_memory, raises(MemoryError()), raises(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")),
                  raises(OSError(errno.ENOMEM, "Cannot allocate memory")), raises(NotFinished("dcm2niix was ended by signal 9"))]


@pytest.mark.parametrize("main", WITHOUT_MEMORY)
def test_too_little_memory_ends_as_a_kill_does(main, monkeypatch, capsys):
    status, said = ended(main, monkeypatch, capsys)
    assert status == KILLED == 137 and said.startswith("error: ") and said.count("\n") == 1


def test_a_mistake_is_one_line(monkeypatch, capsys):
    assert ended(raises(ChiflowError("a.nii: not\n what it says")), monkeypatch, capsys) == (1, "error: a.nii: not what it says\n")


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError(errno.ENOSPC, "No space left"), ValueError("out of memory")])
def test_a_bug_keeps_its_traceback(error, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stage.py"])
    with pytest.raises(type(error)):
        execute(raises(error))


def test_the_engine_tries_again_what_ends_as_a_kill_does():
    from conftest import ROOT

    (line,) = [line for line in (ROOT / "modules" / "tasks.nf").read_text(encoding="utf8").splitlines() if "task.exitStatus in [" in line and "retry" not in line and "MAX_VALUE]" in line]
    assert str(KILLED) in line
