"""Damaged and crafted checkpoints: all refused, with a typed error and without much memory."""

import json
import random
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.training.checkpoint.folder import Broken, Checkpoint, CheckpointFolder
from ricorda.training.checkpoint.snapshot import Progress, Snapshot, restore
from ricorda.training.configuration import Budget
from ricorda.training.kernel_learner import KernelLearner
from ricorda.training.learner import UnfitTensors
from tests.model.test_tensor_file import CRAFTED, made
from tests.training.learners import assert_equal, learn, settings

FLIPS, CUTS = 160, 80


def learner(hidden_size: int = 3) -> KernelLearner:
    network = {"vocabulary_size": 5, "hidden_size": hidden_size, "embedding_size": 2}
    one = KernelLearner(settings(network, batch_size=2, window=4))
    learn(one, range(1))
    return one


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good checkpoint."""
    snapshot = Snapshot(
        learner().tensors(),
        asdict(Progress(step=7, total_steps=20, budget=Budget(steps=20))),
        fingerprint={"torch": "2"},
        metrics=b'{"step": 1, "event": "training"}\n' * 5,
        samples=b'{"step": 1, "text": "a"}\n',
        best=b"a model" * 20,
        anchor=True,
    )
    folder = CheckpointFolder(tmp_path_factory.mktemp("whole") / "checkpoints", 1)
    return folder.save(7, snapshot.files(), anchor=True)


def load(place: Path) -> Progress:
    checkpoint = Checkpoint(place)
    checkpoint.check()
    return restore(checkpoint, learner()).progress


@contextmanager
def refused() -> Iterator[None]:
    tracemalloc.start()
    try:
        with pytest.raises(Broken):
            yield
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_the_checkpoint_is_good_before_it_is_damaged(whole: Path) -> None:
    assert load(whole).step == 7


FILES = [
    "tensors.safetensors",
    "progress.json",
    "metrics.jsonl",
    "samples.jsonl",
    "best.safetensors",
    "manifest.json",
]


def damaged(whole: Path, tmp_path: Path, seed: int) -> tuple[Path, Path, random.Random]:
    """A copy, one of its files, and chance."""
    chance = random.Random(seed)
    place = tmp_path / "7"
    shutil.copytree(whole, place)
    return place, place / FILES[seed % len(FILES)], chance


@pytest.mark.parametrize("seed", range(FLIPS))
def test_flipped_bits_are_seen(whole: Path, tmp_path: Path, seed: int) -> None:
    place, file, chance = damaged(whole, tmp_path, seed)
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    with refused():
        load(place)


@pytest.mark.parametrize("seed", range(CUTS))
def test_files_cut_off_are_seen(whole: Path, tmp_path: Path, seed: int) -> None:
    place, file, chance = damaged(whole, tmp_path, seed)
    file.write_bytes(file.read_bytes()[: chance.randrange(file.stat().st_size - 1)])
    with refused():
        load(place)


def crafted(whole: Path, tmp_path: Path, **files: bytes) -> Path:
    """A checkpoint whose manifest holds, made by somebody who knows how."""
    contents = {name: (whole / name).read_bytes() for name in FILES if name != "manifest.json"}
    contents |= {name.replace("_", "."): content for name, content in files.items()}
    folder = CheckpointFolder(tmp_path / "checkpoints", 1)
    pieces = {name: [content] for name, content in contents.items()}
    return folder.save(7, pieces, anchor=True)


@pytest.mark.parametrize("kind", CRAFTED)
def test_crafted_tensors_are_refused_although_the_manifest_holds(
    whole: Path, tmp_path: Path, kind: str
) -> None:
    place = crafted(whole, tmp_path, tensors_safetensors=CRAFTED[kind])
    with refused():
        load(place)


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
OTHER_TENSORS = {
    "no tensors": made({}, b""),
    "another tensor": made({"model.other": TENSOR}),
    "a type no checkpoint has": made({"a": {**TENSOR, "dtype": "U32"}}),
}


@pytest.mark.parametrize("kind", OTHER_TENSORS)
def test_other_tensors_are_refused(whole: Path, tmp_path: Path, kind: str) -> None:
    place = crafted(whole, tmp_path, tensors_safetensors=OTHER_TENSORS[kind])
    with refused():
        load(place)


def _progress(**changes: Any) -> dict[str, Any]:
    return {"progress": {"step": 7, **changes}, "fingerprint": {}}


PROGRESS: dict[str, Any] = {
    "nothing": b"",
    "not JSON": b"{",
    "a list": [],
    "no progress": {"fingerprint": {}},
    "one key more": {**_progress(), "more": 1},
    "an unknown key": _progress(hours=3),
    "a negative step": _progress(step=-1),
    "a step beyond counting": _progress(step=2**60),
    "a step of text": _progress(step="seven"),
    "a half step": _progress(step=7.5),
    "no step": _progress(step=None),
    "endless seconds": b'{"progress": {"seconds": 1e999}, "fingerprint": {}}',
    "not a number": b'{"progress": {"seconds": NaN}, "fingerprint": {}}',
    "a budget of nonsense": _progress(budget={"years": 1}),
    "an interval of nonsense": _progress(interval={"nats": "many"}),
    "too deep": b'{"progress": ' + b"[" * 3000,
    "too long": b" " * 70_000,
}


@pytest.mark.parametrize("kind", PROGRESS)
def test_a_crafted_progress_is_refused(whole: Path, tmp_path: Path, kind: str) -> None:
    progress = PROGRESS[kind]
    content = progress if isinstance(progress, bytes) else json.dumps(progress).encode()
    with refused():
        load(crafted(whole, tmp_path, progress_json=content))


def test_tensors_of_another_size_change_nothing(whole: Path) -> None:
    larger = learner(hidden_size=4)
    before = larger.tensors()
    checkpoint = Checkpoint(whole)
    with pytest.raises(Broken, match="should be"):
        restore(checkpoint, larger)
    assert_equal(larger.tensors(), before)


def test_each_tensor_is_restored(whole: Path) -> None:
    first, second = learner(), learner()
    for array in second.arrays().values():
        array[...] = 0
    restore(Checkpoint(whole), second)
    assert_equal(second.tensors(), first.tensors())
    assert any(name.startswith("optimizer.") for name in first.tensors())


def test_a_number_that_is_not_finite_is_seen() -> None:
    one = learner()
    assert one.is_finite
    one.arrays()["optimizer.output.weight.exp_avg"][0, 0] = np.inf
    assert not one.is_finite


def test_a_missing_tensor_is_named(whole: Path) -> None:
    one = learner()
    tensors = one.tensors()
    del tensors["model.output.bias"]
    with pytest.raises(UnfitTensors, match=r"'model.output.bias' is missing"):
        one.restore(tensors)
