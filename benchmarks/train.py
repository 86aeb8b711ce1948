"""Training against its peers: `ricorda bench train`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from benchmarks import train_layer, train_memory, train_step, train_target, train_tutorial
from benchmarks.result import Result
from benchmarks.timing import ROUNDS
from benchmarks.train_neighbour import Workload
from benchmarks.train_neighbour import measure as measure_neighbour
from ricorda.training.demonstration import EPOCHS

Part = Literal["tutorial", "layers", "share", "neighbour", "target", "memory"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured; the tests measure less."""

    epochs: int = EPOCHS
    """Of the tutorial's task."""

    cases: tuple[train_layer.Case, ...] = train_layer.CASES
    """Of the layers."""

    batch_size: int = 32
    """Of layers and of the step."""

    layer_window: int = 64
    """Symbols that a layer reads at once."""

    step_hidden_size: int = 512
    """Of the step whose share of a product's rate is measured."""

    step_window: int = 96
    """Symbols that this step learns from in each stream."""

    matrix_size: int = 2048
    """Of that product."""

    neighbour: Workload = field(default_factory=Workload)
    """What is learned beside a busy process."""

    nanogpt: dict[str, object] = field(default_factory=dict)
    """Changes of nanoGPT's recipe."""


def run(
    say: Callable[[str], None],
    *,
    text: Path | None = None,
    nanogpt: Path | None = None,
    minutes: float = 1.0,
    rounds: int = ROUNDS,
    parts: Sequence[Part] = PARTS,
    sizes: Sizes | None = None,
) -> Iterator[Result]:
    """Measure the parts asked for; say which lack a text or a peer and are left out."""
    size = sizes or Sizes()
    few = min(rounds, 3)  # of what takes long
    if "tutorial" in parts:
        yield from train_tutorial.measure(size.epochs, min(rounds, 5), say)
    if "layers" in parts:
        yield from train_layer.measure(size.cases, size.batch_size, size.layer_window, rounds, say)
    if "share" in parts:
        configuration = train_step.settings(
            size.step_hidden_size, size.batch_size, size.step_window
        )
        yield train_step.measure_share(configuration, size.matrix_size, rounds)
    if "neighbour" in parts:
        yield from measure_neighbour(size.neighbour)
    if "target" in parts:
        if text is None or nanogpt is None:
            say("without --text and --nanogpt: the time to nanoGPT's loss is left out")
        else:
            yield from train_target.measure(text, nanogpt, few, say, size.nanogpt)
    if "memory" in parts:
        if text is None:
            say("without --text: the memory of a training is left out")
        else:
            yield train_memory.measure(text, minutes)
