"""A training of PyTorch's own layers: prints the seconds of each step as JSON.

    python training_program.py '{"text": ..., "cell": "lstm", "hidden_size": 256, ...}'

The settings are those of `Settings`. It imports PyTorch and its neighbour `torch_network` alone.
"""

import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch

sys.path.insert(0, str(Path(__file__).parent))

from torch_network import (  # type: ignore[import-not-found]
    LayerNetwork,
    Training,
    random_tensors,
)


class Settings(NamedTuple):
    """What is trained, and how."""

    text: str
    cell: str
    hidden_size: int
    precision: str
    batch_size: int
    window: int
    steps: int
    embedding_size: int


def main(settings: Settings) -> list[float]:
    """Take the steps; return the seconds of each."""
    text = Path(settings.text).read_text("utf-8")
    numbers = {character: number for number, character in enumerate(sorted(set(text)))}
    symbols = settings.batch_size * settings.window
    ids = torch.tensor([numbers[character] for character in text[: symbols * 20 + 1]])
    tensors = random_tensors(
        settings.cell, len(numbers), settings.embedding_size, settings.hidden_size
    )
    training = Training(
        LayerNetwork(settings.cell, tensors),
        learning_rate=1e-3,
        weight_decay=0.01,
        clip_norm=1.0,
        bfloat16=settings.precision == "bfloat16",
    )
    shape = (settings.batch_size, settings.window)
    seconds = []
    for step in range(settings.steps):
        first = step * symbols % (len(ids) - symbols)
        began = time.perf_counter()
        training.step(
            ids[first : first + symbols].view(shape),
            ids[first + 1 : first + symbols + 1].view(shape),
        )
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    print(json.dumps(main(Settings(**json.loads(sys.argv[1])))))
