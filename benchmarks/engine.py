"""How fast the engine is, each figure beside its peer in one run.

    python -m benchmarks.engine            a table
    python -m benchmarks.engine --json     the same as one JSON object

Networks have random weights (seed 1), a vocabulary of 65 symbols and embeddings of 64 numbers. One
step is a whole one: ours chooses the symbol too (greedily), the peers only compute logits. All
with one thread, batch 1, unless said otherwise. PyTorch and ONNX Runtime are measured where they
are installed. Takes some minutes; anything else that runs meanwhile spoils the figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from benchmarks.alternating import Comparison, Work, alternate
from benchmarks.engine_peers import Tensors, onnx_peers, torch_peers
from numpy.typing import NDArray

from ricorda import _kernels
from ricorda.engine.backend import Precision
from ricorda.engine.native import NativeBackend, make_network
from ricorda.models.configuration import CellName, ModelConfiguration
from ricorda.models.model_file import ModelFile, write_model_file
from ricorda.text.vocabulary import CharacterVocabulary

SYMBOLS = 65
STEPS = 200
Row = dict[str, Any]


def network(cell: CellName, hidden_size: int) -> tuple[ModelConfiguration, Tensors]:
    configuration = ModelConfiguration(
        cell=cell, vocabulary_size=SYMBOLS, hidden_size=hidden_size, embedding_size=64
    )
    random = np.random.default_rng(1)
    size = hidden_size**-0.5
    return configuration, {
        name: random.uniform(-size, size, shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }


def writing(kernels_network: _kernels.Network, streams: int = 1, threads: int = 1) -> Work:
    """Greedy writing that never ends: STEPS symbols in each stream at a call."""
    session = _kernels.Session(kernels_network)
    greedy = _kernels.SamplingSettings(greedy=True)
    for stream in range(streams):
        start = np.array([stream % SYMBOLS], np.uint32)
        session.add(start, greedy, 2**31 - 1, seed=0)
    return lambda: session.advance(STEPS, threads)


def row(name: str, unit: str, found: Comparison) -> Row:
    ours, *peers = found.seconds
    return {
        "figure": name,
        "unit": unit,
        "ours": found.seconds[ours] * 1e6,
        "peers": {
            peer: {"microseconds": found.seconds[peer] * 1e6, "ratio": vars(found.ratios[peer])}
            for peer in peers
        },
    }


def steps() -> Iterator[Row]:
    """One step against PyTorch and ONNX Runtime."""
    ids = np.random.default_rng(2).integers(0, SYMBOLS, 40)
    cases: list[tuple[CellName, int, str]] = [
        ("rnn", 128, "float32"),
        ("rnn", 128, "int8"),
        ("gru", 256, "float32"),
        ("lstm", 256, "float32"),
        ("lstm", 512, "bfloat16"),
    ]
    for cell, hidden_size, precision in cases:
        configuration, tensors = network(cell, hidden_size)
        works: dict[str, tuple[Work, int]] = {
            "ricorda": (writing(make_network(configuration, tensors, precision)), STEPS)
        }
        peers = torch_peers(configuration, tensors, ids) | onnx_peers(configuration, tensors, ids)
        works |= {name: (peer, len(ids)) for name, peer in peers.items()}
        name = f"one step, {cell} {hidden_size}, {precision}"
        yield row(name, "microseconds a character", alternate(works))


def precisions() -> Iterator[Row]:
    """Each precision against float32."""
    for hidden_size in (256, 512):
        configuration, tensors = network("lstm", hidden_size)
        for precision in ("bfloat16", "int8"):
            works = {
                chosen: (writing(make_network(configuration, tensors, chosen)), STEPS)
                for chosen in (precision, "float32")
            }
            name = f"one step, lstm {hidden_size}, {precision}"
            yield row(name, "microseconds a character", alternate(works))


def streaming() -> Iterator[Row]:
    """The weights of a step against a plain read of as many bytes; above 1 would be faster."""
    cases: list[tuple[CellName, int]] = [("rnn", 128), ("lstm", 256)]
    for cell, hidden_size in cases:
        configuration, tensors = network(cell, hidden_size)
        made = make_network(configuration, tensors)
        count = made.step_bytes // 64 * 16
        works: dict[str, tuple[Work, int]] = {
            "ricorda": (writing(made), STEPS),
            f"plain read of {4 * count} bytes": (reading(aligned_zeros(count)), STEPS),
        }
        name = f"one step, {cell} {hidden_size}, float32"
        yield row(name, "microseconds a character", alternate(works))


def reading(values: NDArray[np.float32]) -> Work:
    return lambda: _kernels.read(values, STEPS)


def aligned_zeros(count: int) -> NDArray[np.float32]:
    """Zeros that begin on a cache line, as the weights do."""
    memory = np.zeros(4 * count + 64, np.uint8)
    begin = -memory.ctypes.data % 64
    return memory[begin : begin + 4 * count].view(np.float32)


def many_streams() -> Iterator[Row]:
    """64 streams on two threads against one stream on one thread in float32."""
    configuration, tensors = network("lstm", 256)
    alone = (writing(make_network(configuration, tensors)), STEPS)
    for precision in ("float32", "bfloat16", "int8"):
        together = writing(make_network(configuration, tensors, precision), streams=64, threads=2)
        works = {precision: (together, 64 * STEPS), "one stream, one thread, float32": alone}
        name = f"64 streams, two threads, lstm 256, {precision}"
        yield row(name, "microseconds a character", alternate(works, least_seconds=0.2))


def scoring() -> Iterator[Row]:
    """A text of a megabyte in cold windows of 256, two threads, against PyTorch."""
    configuration, tensors = network("lstm", 256)
    random = np.random.default_rng(3)
    ids = random.integers(0, SYMBOLS, 2**20 + 1, np.uint32)
    inputs, targets = ids[:-1].reshape(-1, 256), ids[1:].reshape(-1, 256)
    works: dict[str, tuple[Work, int]] = {}
    precisions: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
    for precision in precisions:
        backend = NativeBackend(configuration, tensors, precision, threads=2)
        works = {precision: (score_with(backend, inputs, targets), inputs.size)}
        if peer := torch_scoring(configuration, tensors, inputs, targets):
            works["PyTorch"] = (peer, inputs.size)
        found = alternate(works, rounds=3)
        name = f"scoring a megabyte, two threads, lstm 256, {precision}"
        yield row(name, "microseconds a character", found)


def score_with(
    backend: NativeBackend, inputs: NDArray[np.uint32], targets: NDArray[np.uint32]
) -> Work:
    return lambda: backend.score(inputs, targets, backend.zero_state(len(inputs)))


def torch_scoring(
    configuration: ModelConfiguration,
    tensors: Tensors,
    inputs: NDArray[np.uint32],
    targets: NDArray[np.uint32],
) -> Work | None:
    """Whole windows, 64 at once, by torch.nn.LSTM; None without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    layer = torch.nn.LSTM(64, configuration.hidden_size, batch_first=True)
    layer.load_state_dict({
        f"{name}_l0": torch.from_numpy(tensors[f"layers.0.{name}"])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    })  # fmt: skip
    embedding = torch.from_numpy(tensors["embedding.weight"])
    weight = torch.from_numpy(tensors["output.weight"])
    bias = torch.from_numpy(tensors["output.bias"])
    read = torch.from_numpy(inputs.astype(np.int64))
    wanted = torch.from_numpy(targets.astype(np.int64))

    def work() -> None:
        torch.set_num_threads(2)
        with torch.inference_mode():
            for begin in range(0, len(read), 64):
                hidden, _ = layer(embedding[read[begin : begin + 64]])
                logits = torch.nn.functional.linear(hidden, weight, bias)
                torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), wanted[begin : begin + 64].flatten(), reduction="none"
                )
        torch.set_num_threads(1)

    return work


SAMPLE_WITH_TORCH = """
import sys, torch
from safetensors.torch import load_file
torch.set_num_threads(1)
tensors = load_file(sys.argv[1])
layer = torch.nn.LSTM(64, tensors["layers.0.weight_hh"].shape[1], batch_first=True)
names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
layer.load_state_dict({name + "_l0": tensors["layers.0." + name] for name in names})
symbol, state, written = torch.tensor([[0]]), None, []
with torch.inference_mode():
    for _ in range(200):
        hidden, state = layer(tensors["embedding.weight"][symbol], state)
        logits = hidden[0] @ tensors["output.weight"].T + tensors["output.bias"]
        symbol = torch.multinomial((logits / 0.8).softmax(-1), 1)
        written.append(int(symbol))
print("".join(chr(32 + number) for number in written))
"""


def whole_process() -> Iterator[Row]:
    """`ricorda sample MODEL --length 200` from start to end, against the same through PyTorch."""
    configuration, tensors = network("lstm", 256)
    vocabulary = CharacterVocabulary("".join(map(chr, range(32, 32 + SYMBOLS))), " ")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write_model_file(path, ModelFile(configuration, vocabulary, dict(tensors)))
        ricorda = [sys.executable, "-m", "ricorda", "sample", str(path), "--length", "200"]
        torch = [sys.executable, "-c", SAMPLE_WITH_TORCH, str(path)]
        works: dict[str, tuple[Work, int]] = {"ricorda": (process(ricorda), 1)}
        if torch_peers(configuration, tensors, np.zeros(1, np.int64)):
            works["PyTorch"] = (process(torch), 1)
        found = alternate(works, rounds=5)
        yield row("sample, 200 characters, whole process, lstm 256", "microseconds", found)


def process(command: list[str]) -> Work:
    return lambda: subprocess.run(command, check=True, capture_output=True)


FIGURES: dict[str, Callable[[], Iterator[Row]]] = {
    "steps": steps,
    "precisions": precisions,
    "streaming": streaming,
    "streams": many_streams,
    "scoring": scoring,
    "process": whole_process,
}


def print_row(found: Row) -> None:
    print(f"{found['figure']}: {found['ours']:.4g} {found['unit']}")
    for peer, figures in found["peers"].items():
        ratio = figures["ratio"]
        spread = f"({ratio['least']:.3g} to {ratio['most']:.3g})"
        print(f"    {ratio['median']:8.3g} times {spread:22} {peer}: {figures['microseconds']:.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("figures", nargs="*", help=f"some of {', '.join(FIGURES)}; all by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if unknown := set(options.figures) - set(FIGURES):
        parser.error(f"expected some of {', '.join(FIGURES)}, got {', '.join(sorted(unknown))}")
    rows = []
    for name in options.figures or FIGURES:
        for found in FIGURES[name]():
            rows.append(found)
            if not options.json:
                print_row(found)
    if options.json:
        instruction_set = _kernels.choose_instruction_set()
        print(json.dumps({"instruction_set": instruction_set, "figures": rows}))


if __name__ == "__main__":
    main()
