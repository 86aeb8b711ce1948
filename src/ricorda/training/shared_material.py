"""One reading of the text a machine: the processes beside the reader map what it encoded."""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ricorda.durable import partial_name, remove_file
from ricorda.errors import TextError
from ricorda.text import EncodedText, Ids, Vocabulary
from ricorda.text.id_file import MappedIds, mapped
from ricorda.training.data.dataset import Dataset
from ricorda.training.process_group import ProcessGroup

BLOCK = 1 << 22  # ids copied at a time


def share_dataset(ranks: ProcessGroup, folder: Path, read: Callable[[Path], Dataset]) -> Dataset:
    """Have one process of each machine read and encode the text; the others there map its file.

    read: encodes into a folder. Raises TextError where another machine's text is another.
    """
    if ranks.size == 1:
        return read(folder)
    with tempfile.TemporaryDirectory(prefix="ricorda-") as own:
        reader = _Reader(read, folder if ranks.is_first else Path(own))
        first = ranks.first_does(reader.work)
        here = ranks.first_of_machine_does(reader.work)
        try:
            _check_same(ranks, here, first)
            dataset = reader.dataset or _mapped(here)
            ranks.sum(torch.ones(1))  # all have opened the files
        finally:
            reader.remove()
    return dataset


@dataclass
class _Reader:
    """Reads once, and leaves copies of the ids for the others until they have opened them."""

    read: Callable[[Path], Dataset]
    folder: Path
    dataset: Dataset | None = None
    told: dict[str, Any] | None = None
    copies: list[Path] = field(default_factory=list)

    def work(self) -> dict[str, Any]:
        """Read, and describe what came of it."""
        if self.told is None:
            self.dataset = dataset = self.read(self.folder)
            judging = dataset.validation_text
            self.told = {
                "text": self._described(dataset.text, "text"),
                "judging": None if judging is None else self._described(judging, "judging"),
                "training": len(dataset.training),
                "validation": None if dataset.validation is None else len(dataset.validation),
            }
        return self.told

    def remove(self) -> None:
        """Remove the copies: what is open stays readable."""
        for path in self.copies:
            remove_file(path)

    def _file_of(self, ids: Ids, name: str) -> str:
        """Where the others can open the ids: the file that is mapped here, else a copy."""
        if isinstance(ids, MappedIds) and ids.descriptor is not None and sys.platform == "linux":
            return f"/proc/{os.getpid()}/fd/{ids.descriptor}"
        path = self.folder.absolute() / partial_name(f"ids-{name}")
        with path.open("xb") as file:
            self.copies.append(path)
            for first in range(0, len(ids), BLOCK):
                file.write(np.ascontiguousarray(ids[first : first + BLOCK]).data)
        return str(path)

    def _described(self, text: EncodedText, name: str) -> dict[str, Any]:
        """A text without its ids, which go into a file."""
        return {
            "ids": self._file_of(text.ids, name),
            "type": text.ids.dtype.str,
            "vocabulary": text.vocabulary.to_json(),
            "characters": text.characters,
            "bytes": text.bytes,
            "digest": text.digest,
            "skipped": text.skipped,
        }


def _check_same(ranks: ProcessGroup, here: dict[str, Any], first: dict[str, Any]) -> None:
    """Raise TextError in all processes where a machine's reader found another text than the first.

    It is told on the machine that differs and by the first process; the others wait for nobody.
    """
    differs = _digests(here) != _digests(first)
    if not ranks.any(differs):
        return
    what = "another machine has not the text that this one has: copy it from here"
    if differs:
        what = (
            f"this one's has digest {here['text']['digest'][:12]}, the first one's "
            f"{first['text']['digest'][:12]}: copy it from there"
        )
    error = TextError(f"expected the same text on every machine, but {what}")
    error.told = not (ranks.is_first or differs)
    raise error


def _digests(told: dict[str, Any]) -> list[str | None]:
    """The digests of what a reader found: of the text, and of the one to judge by."""
    return [None if told[name] is None else told[name]["digest"] for name in ("text", "judging")]


def _mapped(told: dict[str, Any]) -> Dataset:
    """The dataset of a description, its ids mapped from the reader's files."""
    text = _text(told["text"])
    judging = None if told["judging"] is None else _text(told["judging"])
    validation: Ids | None = None
    if told["validation"] is not None:
        whole = (judging or text).ids
        validation = whole[len(whole) - told["validation"] :]
    return Dataset(text, judging, text.ids[: told["training"]], validation)


def _text(told: dict[str, Any]) -> EncodedText:
    with Path(told["ids"]).open("rb") as file:
        ids = mapped(file, np.dtype(told["type"]))
    return EncodedText(
        ids,
        vocabulary=Vocabulary.from_json(told["vocabulary"]),
        characters=told["characters"],
        bytes=told["bytes"],
        digest=told["digest"],
        skipped=told["skipped"],
    )
