"""The engine against its peers: `python -m benchmarks engine`."""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import ROUNDS, Result, Work, compare, report
from benchmarks.generated_text import generated_pages
from benchmarks.peers.onnx_network import onnx_steps
from ricorda.engine.adaptive import (
    PULL,
    SEGMENT,
    AdaptiveBackend,
    gather_gradient_sizes,
)
from ricorda.engine.generation import GenerationSettings
from ricorda.engine.native import NativeBackend
from ricorda.engine.scoring import evaluate
from ricorda.exchange.onnx_export import export
from ricorda.extras import require_torch
from ricorda.model import ModelConfiguration, ModelFile, write_model_file
from ricorda.model.cells import CellName
from ricorda.text import CharacterVocabulary
from ricorda.text.parts import Part

Tensors = Mapping[str, NDArray[np.float32]]

VOCABULARY = CharacterVocabulary("\n" + "".join(map(chr, range(48, 112))), "\n")  # 65 symbols
STREAMS = 64
FIRST = 0  # the symbol before the first one that is written
SCORED = 1_000_000  # symbols
WINDOW = 256
ADAPTIVE = 20_000  # symbols
SAMPLED = 200  # symbols of a whole process
VOCABULARIES = (65, 256)
LOGITS = {"flat": 0.2, "peaked": 5.0}  # standard deviations
FILTERS = {"top_k": 40, "top_p": 0.9}
PROGRAM = Path(__file__).with_name("peers") / "sample_program.py"


@dataclass(frozen=True)
class Case:
    """One network, stepped with one stream on one thread."""

    cell: CellName
    hidden_size: int
    precision: str
    wanted: tuple[float, float, float]
    """Times faster than PyTorch's layer, its fastest cell, and ONNX Runtime."""


CASES = (
    Case("rnn", 128, "float32", (35, 20, 8)),
    Case("lstm", 256, "float32", (40, 9, 4)),
    Case("lstm", 512, "bfloat16", (150, 11, 4.5)),
    Case("gru", 256, "float32", (9, 8, 3.5)),
)


def measure_steps(*, rounds: int = ROUNDS, **_: Any) -> Iterator[Result]:
    """One stream on one thread against each peer that is installed."""
    for case in CASES:
        configuration, tensors = network(
            case.cell, case.hidden_size, "onehot" if case.cell == "rnn" else 64
        )
        ours = writer(configuration, tensors, case.precision)
        what = f"{case.cell} {case.hidden_size} {case.precision}, one stream"
        found = peers(configuration, tensors)
        for peer, wanted in zip(found, case.wanted, strict=True):
            ratios = [compare(ours, steps, rounds) for steps in found[peer]()]
            if ratios:
                yield Result(what, peer, min(ratios, key=lambda each: each.median), wanted)


def peers(
    configuration: ModelConfiguration, tensors: Tensors
) -> dict[str, Callable[[], list[Work]]]:
    """The peers, each in all its forms, of which the fastest counts; none if not installed."""
    cell = configuration.cell

    def layer() -> list[Work]:
        from benchmarks.peers.torch_network import layer_steps

        return [layer_steps(cell, tensors, FIRST)]

    def cells() -> list[Work]:
        from benchmarks.peers.torch_network import cell_steps

        return [cell_steps(cell, tensors, FIRST, onednn=onednn) for onednn in (True, False)]

    def runtime() -> list[Work]:
        model = ModelFile(configuration, VOCABULARY, dict(tensors))
        return [onnx_steps(export(model, "float32").files["step.onnx"], FIRST)]

    return {
        "PyTorch layer": if_installed(layer, "torch"),
        "PyTorch cell": if_installed(cells, "torch"),
        "ONNX Runtime": if_installed(runtime, "onnx", "onnxruntime"),
    }


def if_installed(make: Callable[[], list[Work]], *names: str) -> Callable[[], list[Work]]:
    """Make a peer, or report that a package is missing and make none."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if not missing:
        return make

    def none() -> list[Work]:
        report(f"{missing[0]} is not installed: its comparisons are left out")
        return []

    return none


def measure_ours(*, rounds: int = ROUNDS, **_: Any) -> Iterator[Result]:
    """The engine against the speed of the cache, many streams against one, int8 against float32."""
    yield _from_cache(rounds)
    yield _many_streams(rounds)
    yield _int8(rounds)


def network(
    cell: CellName,
    hidden_size: int,
    embedding_size: int | str = 64,
    vocabulary_size: int = VOCABULARY.size,
) -> tuple[ModelConfiguration, Tensors]:
    """A network of random weights."""
    configuration = ModelConfiguration(
        cell=cell,
        vocabulary_size=vocabulary_size,
        hidden_size=hidden_size,
        embedding_size=embedding_size,  # type: ignore[arg-type]
    )
    random, bound = np.random.default_rng(1), hidden_size**-0.5
    tensors = {
        name: random.uniform(-bound, bound, shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    return configuration, tensors


def writer(
    configuration: ModelConfiguration,
    tensors: Tensors,
    precision: str = "float32",
    *,
    streams: int = 1,
    threads: int = 1,
    greedy: bool = True,
    kernels: str | None = None,
) -> Callable[[int], None]:
    """A session of the engine: each unit of work is one symbol in each of its streams."""
    backend = NativeBackend(
        configuration,
        tensors,
        precision,  # type: ignore[arg-type]
        threads=threads,
        kernels=kernels,
    )
    session = backend.session(VOCABULARY)
    for seed in range(streams):
        session.add(
            np.array([seed % VOCABULARY.size]),
            GenerationSettings(length=10**9, greedy=greedy, seed=seed),
        )

    def write(count: int) -> None:
        session.advance(count)

    return write


def _from_cache(rounds: int) -> Result:
    """A step against a plain vector read of as many bytes as its weights have."""
    from ricorda import _kernels

    configuration, tensors = network("lstm", 256)
    backend = NativeBackend(configuration, tensors, "float32", threads=1)
    values = np.ones(backend.network.step_bytes // 4, np.float32)

    def read(count: int) -> None:
        _kernels.read(values, count)

    ratio = compare(writer(configuration, tensors), read, rounds)
    return Result("lstm 256 float32, share of the cache's speed", "a plain read", ratio, 0.8)


def _many_streams(rounds: int) -> Result:
    """64 streams on two threads against one stream on one, as many symbols."""
    configuration, tensors = network("lstm", 256)
    many = writer(configuration, tensors, streams=STREAMS, threads=2, greedy=False)
    one = writer(configuration, tensors, greedy=False)
    ratio = compare(many, lambda count: one(count * STREAMS), rounds)
    return Result(f"lstm 256, {STREAMS} streams, two threads", "one stream", ratio, 6)


def _int8(rounds: int) -> Result:
    """int8 against float32; each unit of work is a symbol."""
    configuration, tensors = network("lstm", 512)
    ratio = compare(writer(configuration, tensors, "int8"), writer(configuration, tensors), rounds)
    return Result("lstm 512 int8, one stream", "float32", ratio, 1.7)


def measure_sampling(*, rounds: int = ROUNDS, **_: Any) -> Iterator[Result]:
    """The microseconds that top_k and top_p add to the choice of a symbol."""
    for count in VOCABULARIES:
        for kind, deviation in LOGITS.items():
            logits = np.random.default_rng(3).normal(0, deviation, count).astype(np.float32)
            for name, value in FILTERS.items():
                ratio = compare(chooser(logits, **{name: value}), chooser(logits), rounds)
                assert ratio.ours is not None
                assert ratio.peer is not None
                added = (ratio.ours - ratio.peer) * 1e6
                yield Result(
                    f"choosing among {count} symbols, {kind} logits, {name} {value}: microseconds",
                    "all symbols",
                    replace(ratio, median=added, least=added, most=added),
                    0.5,
                    at_most=True,
                    unit="microseconds",
                )


def chooser(logits: NDArray[np.float32], **options: Any) -> Work:
    """Each unit of work is a choice from logits (V,) with a temperature."""
    from ricorda import _kernels

    settings = _kernels.SamplingSettings(temperature=1.0, **options)
    nothing, uniforms = np.zeros(0, np.uint32), np.random.default_rng(1).random(1000)

    def choose(count: int) -> None:
        _kernels.choose(logits, settings, nothing, np.resize(uniforms, count))

    return choose


def measure_scoring(*, rounds: int = ROUNDS, **_: Any) -> Iterator[Result]:
    """A million symbols in windows of 256, two threads each."""
    require_torch()
    import torch

    from benchmarks.peers.torch_network import scorer

    configuration, tensors = network("lstm", 256)
    backend = NativeBackend(configuration, tensors, "float32", threads=2)
    count = SCORED // WINDOW * WINDOW + 1  # whole windows and the symbol that the last one predicts
    ids = np.random.default_rng(1).integers(0, VOCABULARY.size, count).astype(np.uint8)
    by_torch = scorer("lstm", tensors, ids.astype(np.int64), WINDOW, STREAMS)

    def score_by_torch(times: int) -> None:
        torch.set_num_threads(2)
        for _ in range(times):
            by_torch()

    def score(times: int) -> None:
        for _ in range(times):
            evaluate(backend, VOCABULARY, [ids], WINDOW)

    ratio = compare(score, score_by_torch, min(rounds, 5))
    yield Result("lstm 256, scoring 1 MB, two threads", "PyTorch", ratio, 1.5)


def measure_adaptive(*, rounds: int = ROUNDS, **_: Any) -> Iterator[Result]:
    """Adaptive reading, one thread, by networks alone and with counts, against one rate in PyTorch.

    ricorda updates three networks, PyTorch one. The text is generated.
    """
    text = b"".join(generated_pages(ADAPTIVE)).decode()
    vocabulary = CharacterVocabulary.from_text(text)
    ids = vocabulary.encode(text).astype(np.uint32)
    for hidden_size, wanted in ((256, 12_000), (512, 5_000)):
        configuration, tensors = network("lstm", hidden_size, vocabulary_size=vocabulary.size)
        trained = NativeBackend(configuration, tensors, "float32", threads=1)
        sizes = gather_gradient_sizes(configuration, tensors, Part.whole(ids), 32)
        assert sizes is not None

        def by_torch(tensors: Tensors = tensors) -> list[Work]:
            from benchmarks.peers.torch_network import adaptive_reader

            return [adaptive_reader("lstm", tensors, ids.astype(np.int64), SEGMENT, 1e-5, PULL)]

        for peer in if_installed(by_torch, "torch")():
            for what, counted in (("networks", None), ("with counts", vocabulary)):
                ours = reading(AdaptiveBackend(trained, sizes, counted), ids)
                ratio = compare(ours, peer, rounds, multiple=SEGMENT)
                assert ratio.ours is not None
                yield Result(
                    f"lstm {hidden_size}, adaptive reading, {what}",
                    "one rate in PyTorch",
                    ratio,
                    details={"symbols_per_second": 1 / ratio.ours, "wanted": wanted},
                )


def reading(reader: AdaptiveBackend, ids: NDArray[np.uint32]) -> Work:
    """Return a function that reads n symbols of ids (N,), again and again, in whole segments."""
    state, place = reader.zero_state(1), 0

    def read(count: int) -> None:
        nonlocal place
        for _ in range(0, count, SEGMENT):
            place = 0 if place + SEGMENT >= len(ids) else place
            window = ids[None, place : place + SEGMENT + 1]
            reader.score(window[:, :-1], window[:, 1:], state)
            place += SEGMENT

    return read


def measure_process(*, rounds: int = ROUNDS, **_: Any) -> Iterator[Result]:
    """`ricorda sample` from start to end against the same through PyTorch."""
    require_torch()
    configuration, tensors = network("lstm", 256)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        write_model_file(path, ModelFile(configuration, VOCABULARY, dict(tensors)))
        length = str(SAMPLED)
        sample = [sys.executable, "-m", "ricorda", "sample", str(path), "--length", length]

        def ours(times: int) -> None:
            for _ in range(times):
                subprocess.run([*sample, "--seed", "1"], check=True, capture_output=True)

        def by_torch(times: int) -> None:
            for _ in range(times):
                command = [sys.executable, "-P", str(PROGRAM), str(path), length]
                subprocess.run(command, check=True, capture_output=True)

        yield Result(
            f"ricorda sample --length {SAMPLED}, whole process",
            "PyTorch",
            compare(ours, by_torch, min(rounds, 5)),
            5,
        )
