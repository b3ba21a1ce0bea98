#!/usr/bin/env python3
from pathlib import Path
from typing import Annotated

import typer

from chiflow.core.cli import Device, choose, execute
from chiflow.core.device import select_device
from chiflow.train.card import write_weights
from chiflow.train.heads import kept_folder, read_data
from chiflow.train.inversion import Config
from chiflow.train.session import trained
from chiflow.train.total_session import Config as TotalConfig
from chiflow.train.total_session import write_total
from chiflow.train.unwrapping import Config as UnwrappingConfig
from chiflow.train.unwrapping import write_unwrapping

NETWORKS = ("inversion", "total", "unwrapping")
NETWORK_HELP = (f"Which network, one of: {', '.join(NETWORKS)}. total takes --folder, --labels, --held-out, --out, --steps and --seed; "
                "unwrapping --folder, --out, --steps, --seed and --shards.")
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


def main(
    folder: Annotated[Path, typer.Option(help="Folder that keeps samples (100 MB for each shard), checkpoint and curve; its training goes on.")],
    labels: Annotated[Path | None, typer.Option(help="Folder of whole-head label maps at 1 mm, FreeSurfer's numbers; without it: random shapes alone.")] = None,
    held_out: Annotated[str, typer.Option(help="Ends of names of label maps, or patterns, to validate on, e.g. '17 18'; default: the last fifth.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the weights and their card.", show_default="weights")] = WEIGHTS,
    curve: Annotated[Path | None, typer.Option(help="Folder for curve.csv and curve.png; default: --folder.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of steps; default: that of the network.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = Config.seed,
    shards: Annotated[int | None, typer.Option(min=1, help="Number of shards to draw samples from; default: that of the network.")] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="Samples of a shard.")] = Config.shard_size,
    validation_samples: Annotated[int, typer.Option(min=1, help="Samples of each check.")] = Config.validation_samples,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw samples meanwhile.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the network on a CPU.")] = 1,
    device: Device = "auto",
    network: Annotated[str, typer.Option(help=NETWORK_HELP)] = "inversion",
) -> None:
    """Train the network of the learned inversion, of the total field or of the unwrapping on simulations, and write its weights and their card.

    Interrupted, the same command goes on from its last checkpoint, to the same weights. More --steps go on from there, too.
    """
    given = {name: value for name, value in (("steps", steps), ("shards", shards)) if value is not None}
    choose(dict.fromkeys(NETWORKS), network, "network")
    with kept_folder(folder):
        if network == "total":
            given.pop("shards", None)
            write_total(TotalConfig(seed=seed, **given), labels, held_out, folder, out, select_device(device), threads)
        elif network == "unwrapping":
            write_unwrapping(UnwrappingConfig(seed=seed, **given), folder, out)
        else:
            config = Config(seed=seed, shard_size=shard_size, validation_samples=validation_samples, **given)
            data = read_data(labels, held_out, folder, shard_size)
            state = trained(config, data, folder, curve or folder, select_device(device), workers, threads)
            write_weights(state, config, data, folder, out)


if __name__ == "__main__":
    execute(main)
