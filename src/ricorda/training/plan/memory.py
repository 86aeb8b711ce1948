"""How much memory a training needs, counted from what it allocates.

    P  parameters        H  hidden size     I  a layer's input size    G  gates of stacked weights
    V  output rows       W  gates' width    L  layers                  N  symbols of a window, B T

On a processor everything is counted: the learner (weights, moments, averages), the kernels' copies
and gradients, a window's activations, and what saving adds: the best model's file and a copy of
the learner, which is written while the next steps are taken. On a GPU it is the GPU's own memory.
"""

from typing import NamedTuple

from ricorda.model.cells import CELLS
from ricorda.model.configuration import ModelConfiguration
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.plan.planner import output_rows
from ricorda.training.process_group import local_processes

BASE = 70_000_000  # bytes of Python with NumPy and ricorda, and of a small text
TORCH = 260_000_000  # bytes of PyTorch and what it loads
FLOAT = 4  # bytes
SUMMED_TOGETHER = 512  # symbols whose gradients the kernels' layers sum at once
OUTPUT_TOGETHER = 256  # symbols whose logits the kernels have at once
ROWS_TOGETHER = 96  # rows of a product in the kernels
TORCH_LOGITS = 2**24  # that PyTorch's learner has at once (torch/output_loss.py)


class MemoryNeed(NamedTuple):
    """The bytes that a training needs on one machine, or on one of its GPUs."""

    base: int
    """Python and its libraries, of all processes; 0 on a GPU."""

    learner: int
    """The weights, their gradients and packed copies, AdamW's moments, the averaged weights."""

    window: int
    """For one window: logits, their gradients, and what layers keep for backpropagation."""

    saving: int
    """The best model's file, and the copy that a checkpoint is written from; 0 on a GPU."""

    @property
    def total(self) -> int:
        """All together."""
        return sum(self)


def memory_need(configuration: TrainingConfiguration, training_size: int) -> MemoryNeed:
    """Count what a training needs at its peak.

    training_size is the number of symbols of the training text, which no window is longer than.
    """
    here = 1 if configuration.device == "cuda" else local_processes(configuration.processes)
    by_kernels = configuration.backend == "kernels"
    streams = max(1, configuration.batch_size // configuration.processes)
    steps = min(configuration.window, training_size)
    counted = _by_kernels if by_kernels else _by_pytorch
    learner, window = counted(configuration, streams, steps)
    if configuration.device == "cuda":
        return MemoryNeed(0, learner, window, 0)
    base = BASE if by_kernels and configuration.processes == 1 else BASE + TORCH
    return MemoryNeed(here * base, here * learner, here * window, _saving(configuration))


def _by_kernels(configuration: TrainingConfiguration, streams: int, steps: int) -> tuple[int, int]:
    """The bytes of a process's learner and window where the kernels take the steps."""
    model, symbols = configuration.model, streams * steps
    groups = min(configuration.threads, streams)
    hidden, layers = model.hidden_size, model.num_layers
    factor = _bytes_of_a_factor(configuration)
    rows = output_rows(model.vocabulary_size, configuration.softmax_candidates, symbols)
    recurrent = layers * model.gates * hidden**2
    products = recurrent + model.gates * hidden * sum(_input_sizes(model)) + rows * hidden
    numbers = (4 if configuration.averaging else 3) * model.parameters + groups * products
    numbers += recurrent if configuration.recurrent_dropout else 0
    with_table = model.embedding_size == "onehot" or model.vocabulary_size <= symbols
    numbers += (1 + groups) * model.vocabulary_size * _width(model) if with_table else 0

    kept = (1 + model.state_parts) * hidden + _width(model)
    kept += hidden if configuration.dropout else 0
    together = min(SUMMED_TOGETHER, symbols)
    sums = groups * sum(
        factor * (hidden + inputs) * together
        + 2 * FLOAT * ROWS_TOGETHER * together
        + factor * ROWS_TOGETHER * model.gates * hidden
        for inputs in _input_sizes(model)
    )
    output = min(OUTPUT_TOGETHER, symbols) * (2 * FLOAT + factor) * (hidden + rows)
    window = FLOAT * layers * symbols * kept + sums + groups * output
    return FLOAT * numbers + 2 * factor * products, window


def _by_pytorch(configuration: TrainingConfiguration, streams: int, steps: int) -> tuple[int, int]:
    """The same where PyTorch takes the steps."""
    model, symbols = configuration.model, streams * steps
    copies = 5 if configuration.averaging else 4
    # the gates before and after their activation with their gradients, states, outputs; cuDNN less
    numbers = 3 * model.gates + 2 * model.state_parts + 1
    if configuration.device == "cuda":
        numbers = model.gates + model.state_parts
    kept = model.num_layers * model.hidden_size * numbers
    candidates = configuration.softmax_candidates
    logits = 2 * symbols * output_rows(model.vocabulary_size, candidates, symbols)
    if not candidates:  # else PyTorch has them all at once
        logits = min(logits, 2 * TORCH_LOGITS)
    return FLOAT * copies * model.parameters, FLOAT * (symbols * kept + logits)


def _saving(configuration: TrainingConfiguration) -> int:
    """The bytes that an evaluation or a checkpoint adds, whichever adds more.

    An evaluation has the best model so far, a better one, and the engine that writes a sample. A
    checkpoint has the best model and a copy of weights, moments and averages.
    """
    model = FLOAT * configuration.model.parameters
    engine = configuration.model.parameters * _bytes_of_a_factor(configuration)
    copied = 4 if configuration.averaging else 3
    return max(2 * model + engine, (1 + copied) * model)


def _bytes_of_a_factor(configuration: TrainingConfiguration) -> int:
    return 2 if configuration.precision == "bfloat16" else FLOAT


def _width(model: ModelConfiguration) -> int:
    """W, the numbers of a row of gates in the kernels."""
    return model.hidden_size * CELLS[model.cell].blocks


def _input_sizes(model: ModelConfiguration) -> list[int]:
    """I of each layer."""
    embedding = model.embedding_size
    first = model.vocabulary_size if embedding == "onehot" else embedding
    return [first, *[model.hidden_size] * (model.num_layers - 1)]
