"""What each precision of the weights costs on a real text.

    python -m benchmarks.precision MODEL TEXT

Reads the last tenth of the text, the state carried, in 16 streams side by side. Beside the loss
stands what `auto` goes by: the same, estimated on a short text that the model writes itself.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ricorda import _kernels
from ricorda.engine.backend import Ids, Precision
from ricorda.engine.kernel_arguments import kernel_floats
from ricorda.engine.model import MODEL_FILE_NAME
from ricorda.engine.native import NativeBackend, make_network
from ricorda.engine.precision import divergence, log_probabilities, written_text
from ricorda.models.configuration import ModelConfiguration
from ricorda.models.model_file import read_model_file

STREAMS = 16
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")


def mean_nats(backend: NativeBackend, ids: Ids) -> float:
    """The mean surprisal of the symbols after the first of each stream."""
    length = (len(ids) - 1) // STREAMS
    inputs = ids[: length * STREAMS].reshape(STREAMS, length)
    targets = ids[1 : length * STREAMS + 1].reshape(STREAMS, length)
    scores, _ = backend.score(inputs, targets, backend.zero_state(STREAMS))
    return float(scores.nats.mean(dtype=np.float64))


def estimates(
    configuration: ModelConfiguration, tensors: dict[str, NDArray[np.float32]]
) -> dict[str, float]:
    """What `auto` expects each precision to lose."""
    networks = {name: make_network(configuration, tensors, name) for name in PRECISIONS}
    ids = written_text(configuration, networks["float32"])
    exact = log_probabilities(configuration, networks["float32"], ids)
    return {
        name: divergence(exact, log_probabilities(configuration, network, ids))
        for name, network in networks.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, help="a model file or a run's folder")
    parser.add_argument("text", type=Path, help="UTF-8")
    options = parser.parse_args()
    path = options.model / MODEL_FILE_NAME if options.model.is_dir() else options.model
    model = read_model_file(path)
    text = options.text.read_text("utf-8")
    ids = model.vocabulary.encode(text[-len(text) // 10 :], on_unknown="skip")
    tensors = {name: kernel_floats(tensor) for name, tensor in model.tensors.items()}
    estimated = estimates(model.configuration, tensors)
    shape = model.configuration
    print(f"{shape.cell} {shape.hidden_size}, {_kernels.choose_instruction_set()}, {path}")
    exact = 0.0
    for precision in PRECISIONS:
        found = mean_nats(NativeBackend(shape, tensors, precision), ids)
        exact = exact or found
        print(
            f"{precision:9} {found:.5f} nats a symbol, {found - exact:+.5f}, "
            f"estimated {estimated[precision]:+.5f}"
        )


if __name__ == "__main__":
    main()
