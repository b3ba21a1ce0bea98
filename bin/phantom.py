#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import execute
from chiflow.phantom.dicom.vendors import VENDORS
from chiflow.phantom.scan import InVivo, Protocol
from chiflow.phantom.write import write_subjects


def main(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to: dicom/, bids/ and truth/ below it.")],
    dicom: Annotated[bool, typer.Option(help="Write DICOM, as the vendor exports it.")] = True,
    bids: Annotated[bool, typer.Option(help="Write a raw BIDS data set.")] = False,
    shape: Annotated[tuple[int, int, int], typer.Option(help="Voxels along the three axes of the slab.")] = Protocol.shape,
    voxel_size: Annotated[tuple[float, float, float], typer.Option(help="Voxel size in mm.")] = Protocol.voxel_size,
    tilt: Annotated[float, typer.Option(help="Tilt of the slab about the left-right axis, degrees.")] = 0.0,
    turn: Annotated[float, typer.Option(help="Turn of the slab about the head-foot axis, before the tilt, degrees.")] = 0.0,
    orientation: Annotated[str, typer.Option(help="axial, coronal or sagittal.")] = "axial",
    echo_times: Annotated[str, typer.Option(help="Echo times in s, with blanks or commas between them.")] = "0.004 0.010 0.016 0.022",
    field_strength: Annotated[float, typer.Option(help="Nominal field in T; a 3 T runs at 123.2 MHz.")] = 3.0,
    snr: Annotated[float, typer.Option(help="Signal to noise ratio of white matter at the first echo.")] = 60.0,
    bipolar: Annotated[bool, typer.Option(help="Bipolar readout along the first axis: even echoes differ by a linear phase.")] = False,
    oversampling: Annotated[int, typer.Option(min=1, help="Simulate on voxels this much finer (down to 0.8 mm) and average.")] = 1,
    complex_parts: Annotated[bool, typer.Option(help="BIDS with part-real and part-imag in place of part-mag and part-phase.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="A head of even tissues and one water, whose phase is linear in TE, averaged over voxels.")] = False,
    anisotropy: Annotated[float, typer.Option(help="χ∥ − χ⊥ of white matter in ppm; 0 for none. Not in a plain scan.")] = InVivo.anisotropy_ppm,
    pools: Annotated[bool, typer.Option(help="Three waters in white matter, so that phase is not linear in TE. Not in a plain scan.")] = True,
    motion: Annotated[float, typer.Option(min=0, help="Standard deviation of the movement between echoes, in voxels. Not in a plain scan.")] = InVivo.motion_voxels,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same scan.")] = 0,
    vendor: Annotated[str, typer.Option(help=f"How the DICOM is written: {', '.join(VENDORS)}.")] = "siemens",
    coils: Annotated[int, typer.Option(min=0, help="BIDS with this many single coils (coil-<n>) in place of combined ones.")] = 0,
    subjects: Annotated[int, typer.Option(min=1, help="Number of heads, each of its own anatomy.")] = 1,
) -> None:
    """Write simulated multi-echo gradient-echo scans of whole heads, with the truth of every map beside them.

    The heads are as in vivo: texture, trees of veins, fibres in white matter; the signal is k space cut off on a finer grid. --plain where exact numbers
    are the point. Truths: chi and local_ppm in ppm (of the isotropic part of χ, demeaned in the mask), background_ppm, field_hz in Hz, phase and offset in rad,
    r2star in 1/s, mask, labels; in vivo also anisotropic_ppm, which field_hz holds, and pools_rad of each echo, which phase holds.
    """
    times = tuple(float(time) for time in echo_times.replace(",", " ").split())
    protocol = Protocol(shape, voxel_size, tilt, turn, orientation, times, field_strength, snr, bipolar, oversampling,
                        None if plain else InVivo(anisotropy, pools, motion))
    write_subjects(protocol, out, subjects, seed, vendor=vendor if dicom else None, bids=bids, complex_parts=complex_parts, coils=coils)


if __name__ == "__main__":
    execute(main)
