"""`ricorda bench`: how fast this machine trains and samples."""

import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click

import ricorda
from ricorda.cli.output import print_json, say
from ricorda.cli.tables import print_table
from ricorda.cores import usable_cores
from ricorda.engine import load
from ricorda.runs import RunFolder, read_rows

NETWORKS: dict[str, dict[str, Any]] = {
    "small": {"cell": "lstm", "hidden_size": 128, "num_layers": 1, "batch_size": 16, "window": 64},
    "default": {},
}
"""The options of each training: a fixed size, the same in every version, and the default one."""

STEPS = 40
SAMPLED = 20_000  # symbols
SYMBOLS = 100_000  # of the text
ALPHABET = "\n abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:!?'-&$3"  # 65


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Measure how fast this machine trains and samples, in a few seconds.

    The figures are characters per second, for a small LSTM (128 units) and the default network, on
    random text. The machine should otherwise be idle.
    """
    found = measure()
    if as_json:
        print_json(found)
        return
    say(f"{found['cores']} cores, instruction set {found['instruction_set'] or 'none: NumPy'}")
    say("characters per second:")
    rows = [
        [
            name,
            found[name]["network"],
            f"{found[name]['training_characters_per_second']:,.0f}",
            f"{found[name]['sampling_characters_per_second']:,.0f}",
        ]
        for name in NETWORKS
    ]
    print_table(["size", "network", ">training", ">sampling"], rows)


def measure() -> dict[str, Any]:
    """Train and sample each network in a temporary folder."""
    found: dict[str, Any] = {"cores": usable_cores()}
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        text = Path(name, "text.txt")
        text.write_text("".join(random.Random(1).choices(ALPHABET, k=SYMBOLS)))
        for network, options in NETWORKS.items():
            run = ricorda.train(
                text, out=Path(name, network), steps=STEPS, seed=1, quiet=True, **options
            )
            model = load(run.folder)
            found["instruction_set"] = getattr(model.backend, "instruction_set", None)
            configuration = model.configuration
            found[network] = {
                "network": f"{configuration.cell} {configuration.hidden_size}",
                "parameters": configuration.parameters,
                "training_characters_per_second": _training_speed(run.folder),
                "sampling_characters_per_second": _sampling_speed(model),
            }
    return found


def _training_speed(folder: Path) -> float:
    """The speed of the median step; the first ones warm up."""
    rows = read_rows(RunFolder(folder).metrics)
    speeds = [row["characters_per_second"] for row in rows if row["event"] == "training"]
    return float(statistics.median(speeds[len(speeds) // 5 :]))


def _sampling_speed(model: ricorda.Model) -> float:
    began = time.perf_counter()
    model.generate(length=SAMPLED, seed=1)
    return SAMPLED / (time.perf_counter() - began)
