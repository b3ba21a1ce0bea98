"""What makes an executable of a function.

A user's mistake is one line on standard error and exit 1; a bug is a full traceback. What a second try with more memory may mend is one
line and the exit status of a process that was killed. Options that mean the same in every stage are defined once, here.
"""

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.errors import ChiflowError, NotFinished

ACQUISITION_HELP = "acquisition.json: EchoTimes (s), MagneticFieldStrength (T), ImagingFrequency (MHz), B0Direction (voxel axes; default: from the affine)."
KILLED = 137  # 128 + SIGKILL, as a process that the kernel killed for its memory
AcquisitionFile = Annotated[Path, typer.Option("--acquisition", help=ACQUISITION_HELP)]
MagnitudeFile = Annotated[Path, typer.Option("--magnitude", help="4D magnitude, one echo after the other, any unit.")]
PhaseFile = Annotated[Path, typer.Option("--phase", help="4D phase in rad, one echo after the other.")]
MaskFile = Annotated[Path, typer.Option("--mask", help="3D mask of 0 and another value; of a soft edge what is above half counts.")]
FieldFile = Annotated[Path, typer.Option("--field", help="3D field map, in the unit of --field-unit.")]
FieldUnit = Annotated[str, typer.Option("--field-unit", help="Unit of the field and noise maps: ppm or hz.")]
NOISE_HELP = "3D standard deviation of the field; without it the noise is estimated from the field."
NoiseFile = Annotated[Path | None, typer.Option("--noise", help=NOISE_HELP)]
OutFile = Annotated[Path, typer.Option("--out", help="Output .nii or .nii.gz; what was done is written beside it as .json.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda; a GPU that is not there is a warning, not an error.")]


def application(main: Callable) -> typer.Typer:
    """The Typer application of one executable; its help is the docstring of `main`."""
    help_names = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=help_names)
    app.command()(main)
    return app


def execute(main: Callable) -> None:
    """Run an executable. ChiflowError becomes one line and exit 1, too little memory one line and exit 137, anything else keeps its traceback."""
    try:
        application(main)()
    except NotFinished as error:
        stop(str(error), KILLED)
    except ChiflowError as error:
        stop(str(error), 1)
    except (MemoryError, OSError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        stop(f"out of memory: {error}", KILLED)


def stop(message: str, status: int) -> None:
    """Say an error in one line on standard error and end with an exit status."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python, NumPy, the system or torch (RuntimeError, on the CPU without a class of its own) had too little memory."""
    words = ("out of memory", "not enough memory", "can't allocate memory")
    is_named = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    return isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or is_named


def warn(message: str) -> str:
    """Say a warning on standard error; returns it, for the record."""
    print(f"warning: {message}", file=sys.stderr)
    return message


def choose(registry: dict, name: str, what: str):
    """The entry of a registry. Raises ChiflowError listing the names there are."""
    if name not in registry:
        raise ChiflowError(f"unknown {what} '{name}': choose from {', '.join(registry)}")
    return registry[name]
