"""nanoGPT's recipe for a processor, run as its authors document it, and its own log read.

nanoGPT is no part of ricorda: the person names a checkout. What a run needs of it is copied into a
temporary folder, together with the text in the layout that its training reads, and goes with it.
"""

import os
import pickle
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ricorda.errors import ConfigurationError, RicordaError

CONFIGURATION = "config/train_shakespeare_char.py"
NEEDED = ("train.py", "model.py", "configurator.py", CONFIGURATION)
DATASET = "data/shakespeare_char"
RECIPE: Mapping[str, object] = {
    "device": "cpu",
    "compile": False,
    "eval_iters": 20,
    "log_interval": 1,
    "block_size": 64,
    "batch_size": 12,
    "n_layer": 4,
    "n_head": 4,
    "n_embd": 128,
    "max_iters": 2000,
    "lr_decay_iters": 2000,
    "dropout": 0.0,
}
"""What its README gives a machine without a GPU."""

GPU_RECIPE: Mapping[str, object] = {
    "device": "cuda",
    "compile": True,
    "eval_iters": 200,
    "block_size": 256,
    "batch_size": 64,
    "n_layer": 6,
    "n_head": 6,
    "n_embd": 384,
    "max_iters": 5000,
    "lr_decay_iters": 5000,
    "dropout": 0.2,
}
"""What it gives a machine with a GPU."""

EVALUATED = re.compile(r"^step (\d+): train loss [\d.]+, val loss ([\d.]+)", re.MULTILINE)
TIMED = re.compile(r"^iter (\d+): .*\btime ([\d.]+)ms", re.MULTILINE)
TRAINING_SHARE = 0.9
LARGEST_VOCABULARY = 1 << 16


@dataclass(frozen=True)
class Moment:
    """The validation loss after some seconds of training."""

    seconds: float
    nats_per_character: float


def check(folder: Path) -> None:
    """See that a folder is a checkout. Raises ConfigurationError if it lacks a file."""
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"expected a checkout of nanoGPT in {folder}, but it has no {missing[0]}: "
            "clone github.com/karpathy/nanoGPT and name its folder"
        )


def learn(checkout: Path, text: str, changes: Mapping[str, object] | None = None) -> list[Moment]:
    """Run the recipe on a text, changed as said -> every validation loss and its time.

    It runs in a process of its own, with PyTorch's threads as they come. Raises RicordaError with
    its last line if it fails.
    """
    check(checkout)
    options = [f"--{name}={value}" for name, value in {**RECIPE, **(changes or {})}.items()]
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        folder = Path(name)
        for needed in NEEDED:
            (folder / needed).parent.mkdir(exist_ok=True)
            shutil.copyfile(checkout / needed, folder / needed)
        prepare(text, folder / DATASET)
        done = subprocess.run(
            [sys.executable, "train.py", CONFIGURATION, *options],
            cwd=folder,
            env=untuned_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RicordaError(f"nanoGPT's training ended with status {done.returncode}: {last}")
    return read_log(done.stdout)


def prepare(text: str, folder: Path) -> None:
    """Write a text as its training reads it: ids of sorted characters, the last tenth apart."""
    characters = sorted(set(text))
    if len(characters) > LARGEST_VOCABULARY:
        raise ConfigurationError(
            f"expected at most {LARGEST_VOCABULARY:,} different characters for nanoGPT, "
            f"got {len(characters):,}: leave --nanogpt out"
        )
    numbers = {character: number for number, character in enumerate(characters)}
    ids = np.array([numbers[character] for character in text], np.uint16)
    split = int(len(text) * TRAINING_SHARE)
    folder.mkdir(parents=True)
    ids[:split].tofile(folder / "train.bin")
    ids[split:].tofile(folder / "val.bin")
    meta = {
        "vocab_size": len(characters),
        "stoi": numbers,
        "itos": dict(enumerate(characters)),
    }
    (folder / "meta.pkl").write_bytes(pickle.dumps(meta))


def read_log(log: str) -> list[Moment]:
    """Its validation losses, each with the seconds of the iterations before it.

    An iteration that begins with an evaluation is logged with the evaluation's time: in its place
    stands the median of those without.
    """
    evaluated = {int(number): float(nats) for number, nats in EVALUATED.findall(log)}
    times = {int(number): float(time) / 1e3 for number, time in TIMED.findall(log)}
    plain = [seconds for number, seconds in times.items() if number not in evaluated]
    typical = statistics.median(plain) if plain else 0.0
    spent = np.cumsum(
        [0.0, *(typical if number in evaluated else times[number] for number in sorted(times))]
    )
    return [
        Moment(float(spent[number]), nats)
        for number, nats in evaluated.items()
        if number < len(spent)
    ]


def first_to_reach(moments: Sequence[Moment], target: float) -> Moment | None:
    """The first moment with a loss of the target or less; None if there is none."""
    return next((each for each in moments if each.nats_per_character <= target), None)


def untuned_environment() -> dict[str, str]:
    """This process's environment without what `require_torch` sets: PyTorch as it comes."""
    return {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
