"""BIDS names."""

import re

from chiflow.core.errors import ChiflowError

RUN_ID = re.compile(r"sub-[0-9a-zA-Z]+(_[a-z]+-[0-9a-zA-Z]+)*")


def entities(name: str) -> dict[str, str]:
    """The BIDS entities in a file name or run id: sub-1_echo-2_MEGRE.nii → {sub: 1, echo: 2}."""
    return dict(part.split("-", 1) for part in name.split(".")[0].split("_") if "-" in part)


def run_folder(run: str) -> str:
    """The folder of a run in a data set: sub-1_ses-b_run-2 → sub-1/ses-b. Raises ChiflowError when the id is not a BIDS one."""
    require_run_id(run)
    named = entities(run)
    return f"sub-{named['sub']}" + (f"/ses-{named['ses']}" if "ses" in named else "")


def require_run_id(run: str) -> None:
    """Raise ChiflowError unless a run id is made of BIDS entities, the subject first."""
    if not RUN_ID.fullmatch(run):
        raise ChiflowError(f"run id '{run}' is not of the form sub-<label>[_<key>-<label>…]")
