"""What would a step on a GPU gain otherwise: by TF32, float16, a CUDA graph, torch.compile?

None of them is what `ricorda train` does; here is measured whether it should. Each takes the same
step: forwards, backwards, clipping and the fused AdamW on one window that stays where it is, so
that reading windows and the processor's look at the loss are left out of all of them alike. A graph
starts a step's hundreds of small computations at once, where the processor would start each.
float16 is measured for its speed alone: to learn, its loss would have to be scaled.

A way that this PyTorch, or this GPU, does not know is told, and left out.
"""

import time
from collections.abc import Callable, Iterator

import torch
from ricorda.training.step import WindowLoss

from benchmarks.result import Result
from benchmarks.timing import Ratio, ratio_of
from ricorda.model import ModelConfiguration, RecurrentLanguageModel
from ricorda.training.plan.machine import tf32

HIDDEN_SIZES = (256, 1024)
STREAMS, STEPS, SYMBOLS = 64, 128, 65
SECONDS = 1.0  # of each turn
WARM_UP = 3

Say = Callable[[str], None]
Step = Callable[[], object]
Way = Callable[[int, str], Step]
"""From a hidden size and a device to a step."""


def measure(say: Say, *, rounds: int, device: str = "cuda") -> Iterator[Result]:
    """Each way against the step in float32, and bfloat16's against bfloat16's, by turns."""
    for hidden_size in HIDDEN_SIZES:
        for what, way, against, base in WAYS:
            try:
                ratio = _compare(way(hidden_size, device), base(hidden_size, device), rounds)
            except Exception as error:  # of PyTorch's compiler, of CUDA: whatever it is, it is told
                first = (str(error).splitlines() or [""])[0]
                say(f"{what}, lstm {hidden_size}: not measured ({type(error).__name__}: {first})")
                continue
            yield Result(f"a step of lstm {hidden_size} on {device}: {what}", against, ratio)


def _plain(kind: torch.dtype, *, rounded: bool = False, compiled: bool = False) -> Way:
    """A step as PyTorch takes it, one operation after the other."""

    def way(hidden_size: int, device: str) -> Step:
        return _step(hidden_size, device, kind, rounded=rounded, compiled=compiled)

    return way


def _graphed(kind: torch.dtype) -> Way:
    """The same step recorded once and then replayed as a whole."""

    def way(hidden_size: int, device: str) -> Step:
        step = _step(hidden_size, device, kind)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):  # what is set up at first must not be recorded
            for _ in range(WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph.replay

    return way


def _step(
    hidden_size: int,
    device: str,
    kind: torch.dtype,
    *,
    rounded: bool = False,
    compiled: bool = False,
) -> Step:
    """A step of a new network on one window of random symbols, which waits for nothing."""
    network = ModelConfiguration(cell="lstm", vocabulary_size=SYMBOLS, hidden_size=hidden_size)
    model = RecurrentLanguageModel(network, generator=torch.Generator().manual_seed(1)).to(device)
    ids = torch.randint(SYMBOLS, (STREAMS, STEPS + 1), device=device)
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    state = model.initial_state(STREAMS)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-6, fused=True, capturable=device == "cuda"
    )
    loss_of = WindowLoss(model)
    forwards = torch.compile(loss_of) if compiled else loss_of

    def step() -> None:
        with tf32(on=rounded):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, kind, enabled=kind != torch.float32, cache_enabled=False):
                loss, _ = forwards(inputs, targets, state)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return step


def _compare(ours: Step, theirs: Step, rounds: int) -> Ratio:
    """Both by turns, ended by the GPU's own end."""
    for step in (ours, theirs):
        _seconds(step, WARM_UP)
    counts = [max(1, int(SECONDS / _seconds(step, WARM_UP))) for step in (ours, theirs)]
    return ratio_of(
        [(_seconds(ours, counts[0]), _seconds(theirs, counts[1])) for _ in range(rounds)]
    )


def _seconds(step: Step, count: int) -> float:
    """Seconds of a step, over some of them."""
    _wait()
    began = time.perf_counter()
    for _ in range(count):
        step()
    _wait()
    return (time.perf_counter() - began) / count


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


_FLOAT32, _BFLOAT16 = _plain(torch.float32), _plain(torch.bfloat16)

WAYS: tuple[tuple[str, Way, str, Way], ...] = (
    ("bfloat16", _BFLOAT16, "float32", _FLOAT32),
    ("float32 rounded to TF32", _plain(torch.float32, rounded=True), "float32", _FLOAT32),
    ("float16, its loss not scaled", _plain(torch.float16), "bfloat16", _BFLOAT16),
    ("float32 in a CUDA graph", _graphed(torch.float32), "float32", _FLOAT32),
    ("bfloat16 in a CUDA graph", _graphed(torch.bfloat16), "bfloat16", _BFLOAT16),
    ("bfloat16 by torch.compile", _plain(torch.bfloat16, compiled=True), "bfloat16", _BFLOAT16),
)
"""What is measured, and against what."""
