"""The initial weights of a network."""

import numpy as np
from numpy.typing import NDArray

from ricorda import draws
from ricorda.draws import Purpose
from ricorda.model.cells import CELLS
from ricorda.training.configuration import TrainingConfiguration

BLOCK = 16  # rows that are orthogonalized together


def initial_weights(configuration: TrainingConfiguration) -> dict[str, NDArray[np.float32]]:
    """Draw every tensor of the model file, by its name; the first predictions are near uniform.

    Embeddings and labels' rows are normal with variance 1. Input weights are uniform in
    +-1/sqrt(I), the one-hot input's in +-1/sqrt(H). With "orthogonal", each gate's recurrent
    weights (H, H) are an orthogonal matrix (Saxe et al., 2014), so that at first the state neither
    vanishes nor explodes; with "uniform" they are uniform in +-1/sqrt(H), as in torch.nn. Output
    weights are uniform in +-1/sqrt(H). Biases are zero, except that forget_bias is that of a forget
    gate, which starts open for 1 (Jozefowicz et al., 2015), and what the table of cells gives a
    gate.
    """
    return {
        name: _initial(name, number, shape, configuration)
        for number, (name, shape) in enumerate(configuration.model.tensor_shapes().items())
    }


def _initial(
    name: str, number: int, shape: tuple[int, ...], configuration: TrainingConfiguration
) -> NDArray[np.float32]:
    """Draw one tensor: the model's tensor `number`."""
    hidden = configuration.model.hidden_size
    if len(shape) == 1:
        return _bias(name, shape, configuration)
    random = draws.generator(configuration.seed, Purpose.INITIALIZATION, number)
    if name in {"embedding.weight", "labels.weight"}:
        return random.standard_normal(shape, np.float32)
    if name.endswith("weight_hh") and configuration.initialisation == "orthogonal":
        return np.concatenate([_orthogonal(random, hidden) for _ in range(shape[0] // hidden)])
    bound = min(shape[1], hidden) ** -0.5
    return random.uniform(-bound, bound, shape).astype(np.float32)


def _bias(
    name: str, shape: tuple[int, ...], configuration: TrainingConfiguration
) -> NDArray[np.float32]:
    """Return zeros; for the gates of a cell, the values of the table of cells and forget_bias."""
    if not name.endswith("bias_ih"):
        return np.zeros(shape, np.float32)
    cell = CELLS[configuration.model.cell]
    values = [
        configuration.forget_bias if gate.name == cell.forget_gate else gate.initial_bias
        for gate in cell.gates
    ]
    return np.repeat(np.array(values, np.float32), configuration.model.hidden_size)


def _orthogonal(random: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Draw an orthogonal matrix (size, size), uniformly among all (Mezzadri, 2007).

    Rows are orthogonalized by Gram and Schmidt's method in float64, block by block, each twice for
    accuracy. The blocks' products are so small that linear algebra libraries compute them with one
    thread: the weights do not depend on the number of threads, and no thread waits for another,
    which takes LAPACK's QR seconds on a busy machine.
    """
    rows = random.standard_normal((size, size))
    for first in range(0, size, BLOCK):
        block = rows[first : first + BLOCK]
        for start in 2 * list(range(0, first, BLOCK)):
            earlier = rows[start : start + BLOCK]
            block[...] -= (block @ earlier.T) @ earlier
        _orthonormalize(block)
    return rows.astype(np.float32)


def _orthonormalize(rows: NDArray[np.float64]) -> None:
    """Make rows orthogonal, in place, and of length 1."""
    for number in range(len(rows)):
        for earlier in 2 * list(rows[:number]):
            rows[number] -= (rows[number] @ earlier) * earlier
        rows[number] /= np.sqrt(rows[number] @ rows[number])
