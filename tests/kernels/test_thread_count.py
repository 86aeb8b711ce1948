"""How many threads the kernels take: Python counts the cores, and bits do not depend on them."""

import subprocess
import sys

import pytest

from ricorda.engine import kernels_are_built

pytestmark = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")

COUNT = """
import sys
from ricorda import cores
cores.usable_cores = lambda: int(sys.argv[1])
from ricorda import _kernels
print(_kernels.usable_cores())
"""

LEARN = """
import hashlib, sys
from ricorda import cores
cores.usable_cores = lambda: int(sys.argv[1])
from ricorda.model import ModelConfiguration
from ricorda.text import Part
from ricorda.training import Budget, TrainingConfiguration
from ricorda.training.learner import make_learner
from ricorda.training.data.loader import make_loader
import numpy as np
configuration = TrainingConfiguration(
    model=ModelConfiguration(cell="gru", vocabulary_size=60, hidden_size=64, num_layers=2),
    budget=Budget(steps=1), batch_size=8, window=32, learning_rate=0.01,
    threads=int(sys.argv[2]), precision="float32",
)
learner = make_learner(configuration)
ids = np.random.default_rng(5).integers(0, 60, 5000).astype(np.uint8)
with make_loader(learner, Part.whole(ids)) as loader:
    for step in range(3):
        learner.take_step(loader.batch_at(step), 0.01, step)
digest = hashlib.sha256()
for tensor in learner.weights().values():
    digest.update(tensor.tobytes())
print(digest.hexdigest())
"""


def printed(program: str, *arguments: int) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("cores, expected", [(3, "3"), (0, "1")])
def test_python_counts_the_cores(cores: int, expected: str) -> None:
    assert printed(COUNT, cores) == expected


def test_the_weights_depend_on_the_threads_asked_for_and_not_on_the_cores() -> None:
    few_cores, many_cores = (printed(LEARN, cores, 4) for cores in (1, 4))
    assert few_cores == many_cores
    assert printed(LEARN, 4, 1) != many_cores
