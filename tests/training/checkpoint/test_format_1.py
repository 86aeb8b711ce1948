"""A checkpoint that version 0.1.0 wrote is read: with a generator's state, which is ignored."""

import shutil
from pathlib import Path

import numpy as np

import ricorda
from ricorda.runs import read_rows
from ricorda.training.checkpoint.folder import Checkpoint
from ricorda.training.checkpoint.snapshot import restore
from ricorda.training.kernel_learner import KernelLearner
from tests.training.learners import learn, settings

RUN = Path(__file__).parent / "format_1"
PLACE = RUN / "checkpoints" / "6"


def learner() -> KernelLearner:
    network = {"cell": "lstm", "vocabulary_size": 20, "hidden_size": 4, "num_layers": 2}
    return KernelLearner(
        settings(
            network | {"embedding_size": 3}, batch_size=2, window=8, averaging=0.9, dropout=0.2
        )
    )


def test_every_tensor_is_restored() -> None:
    one = learner()
    checkpoint = Checkpoint(PLACE)
    checkpoint.check()
    restored = restore(checkpoint, one)
    assert restored.progress.step == 6
    assert "model-generator" in restored.tensors
    tensors = one.tensors()
    assert tensors.keys() == restored.tensors.keys() - {"model-generator"}
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, restored.tensors[name])
        assert array.dtype == restored.tensors[name].dtype
    assert tensors["optimizer.output.bias.step"] == tensors["average.steps"] == 6
    assert tensors["state.1.1"].any()


def test_a_restored_learner_takes_further_steps() -> None:
    one = learner()
    restore(Checkpoint(PLACE), one)
    assert all(np.isfinite(learn(one, range(6, 9))))
    assert one.tensors()["average.steps"] == 9


def test_the_run_is_resumed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(RUN, run)
    resumed = ricorda.resume(run, text=run / "text.txt", steps=9, quiet=True)
    assert resumed.metrics["steps"] == 9
    rows = list(read_rows(run / "metrics.jsonl"))
    assert [row["step"] for row in rows if row["event"] == "training"] == list(range(1, 10))
