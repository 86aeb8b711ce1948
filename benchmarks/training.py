"""Training against a PyTorch program: whole steps, the share of the machine's peak, a busy
neighbour, and the tutorial's task.

The PyTorch program (`peers/training_program.py`) trains `nn.Embedding`, `nn.RNN`, `nn.GRU` or
`nn.LSTM`, and `nn.Linear` with AdamW and clipping on windows of the same size. Both sides run in
processes of their own, by turns; the speed is that of the median step.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.figures import Result, ratio_of, report, spread
from benchmarks.generated_text import write_text
from benchmarks.runs import TIMED, peer_speed, train
from ricorda import _kernels
from ricorda.engine.native import instruction_sets
from ricorda.errors import InputError
from ricorda.extras import require_torch

PROGRAM = Path(__file__).with_name("peers") / "training_program.py"
TEXT_BYTES = 10**6
SPIN = "print(flush=True)\nwhile True: pass"
CHECKED_EVERY = 5  # epochs between two looks at the continuation
TUTORIAL = "the tutorial's program"

Learned = TypeVar("Learned")


@dataclass(frozen=True)
class Case:
    """A network and its windows; `precision` is float32 or bfloat16."""

    cell: str = "lstm"
    hidden_size: int = 256
    precision: str = "float32"
    batch_size: int = 32
    window: int = 64
    steps: int = 40


CASES = tuple(
    Case(cell, hidden_size, precision)
    for cell in ("rnn", "gru", "lstm")
    for hidden_size in (128, 256, 512)
    for precision in ("float32", "bfloat16")
)
SHARE_CASE = Case("lstm", 512, "float32", 32, 96)
NEIGHBOUR_CASE = Case("lstm", 256)
MOST_ROUNDS = 3  # of what takes long
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
EMBEDDING_SIZE = 64
MATRIX_SIZE = 2048


def measure_steps(*, rounds: int, **_: Any) -> Iterator[Result]:
    """Whole training steps, against PyTorch in float32 or bfloat16 autocast, the faster one."""
    with generated() as text:
        for case in CASES:
            what = f"training step, {case.cell} {case.hidden_size} {case.precision}"
            try:
                ratios = {
                    precision: ratio_of(
                        [
                            (1 / our_speed(text, case), 1 / torch_speed(text, case, precision))
                            for _ in range(min(rounds, MOST_ROUNDS))
                        ]
                    )
                    for precision in dict.fromkeys(("float32", case.precision))
                }
            except InputError as error:  # such as bfloat16 on a processor that lacks it
                report(f"{what}: left out: {error}")
                continue
            precision, ratio = min(ratios.items(), key=lambda item: item[1].median)
            yield Result(what, f"PyTorch {precision}", ratio)


def measure_sets(*, rounds: int, **_: Any) -> Iterator[Result]:
    """Whole training steps on each of the machine's instruction sets, against the fastest set.

    Each set has its faster precision. A set that learns in both is also compared with itself.
    """
    sets = list(instruction_sets())
    with generated() as text:
        for hidden_size in (256, 512):
            case = Case("cifg", hidden_size, batch_size=16)
            fastest, *others = [_precise(name, case) for name in sets]
            pairs = [(fastest, other) for other in others]
            pairs += [
                ((name, replace(case, precision="bfloat16")), (name, case))
                for name in sets
                if _kernels.learns_bfloat16(name)
            ]
            for ours, theirs in pairs:
                times = [
                    (1 / _speed_on(text, *ours), 1 / _speed_on(text, *theirs))
                    for _ in range(min(rounds, MOST_ROUNDS))
                ]
                what = f"training step, cifg {hidden_size}, {_described(*ours)}"
                yield Result(what, _described(*theirs), ratio_of(times))


def _precise(name: str, case: Case) -> tuple[str, Case]:
    """An instruction set with the precision that a plan chooses on it."""
    precision = "bfloat16" if _kernels.prefers_bfloat16(name) else "float32"
    return name, replace(case, precision=precision)


def _described(name: str, case: Case) -> str:
    return f"{name} {case.precision}"


def _speed_on(text: Path, name: str, case: Case) -> float:
    """Characters per second with an instruction set."""
    before = os.environ.get("RICORDA_KERNELS")
    os.environ["RICORDA_KERNELS"] = name
    try:
        return our_speed(text, case)
    finally:
        os.environ.pop("RICORDA_KERNELS")
        if before is not None:
            os.environ["RICORDA_KERNELS"] = before


def measure_share(*, rounds: int, **_: Any) -> Iterator[Result]:
    """A step's rate as a share of the rate of `torch.mm` in float32, by turns."""
    require_torch()
    import torch

    case, size = SHARE_CASE, MATRIX_SIZE
    left, right = (torch.randn(size, size) for _ in range(2))

    def product_rate() -> float:
        torch.mm(left, right)
        began = time.perf_counter()
        for _ in range(10):
            torch.mm(left, right)
        return 10 * 2.0 * size**3 / (time.perf_counter() - began)

    with generated() as text:
        vocabulary_size = len(set(text.read_text("utf-8")))
        of_symbol = operations(case, vocabulary_size)
        pairs = [
            (1 / (of_symbol * our_speed(text, case)), 1 / product_rate())
            for _ in range(min(rounds, MOST_ROUNDS))
        ]
    yield Result(
        f"step of {case.cell} {case.hidden_size}, batch {case.batch_size}, window {case.window}: "
        "share of a product's rate",
        f"torch.mm {size}, float32",
        spread([theirs / ours for ours, theirs in pairs]),
        0.6,
    )


def operations(case: Case, vocabulary_size: int) -> float:
    """Those of a symbol's products: 2 for each weight forwards, twice that backwards."""
    hidden = case.hidden_size
    weights = GATES[case.cell] * hidden * (hidden + EMBEDDING_SIZE) + hidden * vocabulary_size
    return 6.0 * weights


def measure_neighbour(*, rounds: int, **_: Any) -> Iterator[Result]:
    """How many times longer a step takes while another process keeps one core busy."""
    case = NEIGHBOUR_CASE
    with generated() as text:
        speeds: dict[str, Callable[[], float]] = {
            "ricorda": lambda: our_speed(text, case),
            "PyTorch": lambda: torch_speed(text, case, case.precision),
        }
        for name, speed in speeds.items():
            turns = []
            for _turn in range(min(rounds, MOST_ROUNDS)):
                quiet = speed()
                with busy_neighbour():
                    turns.append((quiet, speed()))
            slower = spread([quiet / busy for quiet, busy in turns])
            wanted = 3 if name == "ricorda" else None
            what = f"step of lstm {case.hidden_size} beside a busy process, slowdown of {name}"
            yield Result(what, "itself when quiet", slower, wanted, at_most=True)


@contextlib.contextmanager
def busy_neighbour() -> Iterator[None]:
    """Within, another process keeps one core busy."""
    process = subprocess.Popen([sys.executable, "-S", "-c", SPIN], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        yield
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def generated() -> Iterator[Path]:
    """Within, a generated text to train on."""
    with tempfile.TemporaryDirectory(prefix="ricorda-") as name:
        text = Path(name, "text.txt")
        write_text(text, TEXT_BYTES)
        yield text


def our_speed(text: Path, case: Case, *options: str) -> float:
    """Characters per second of `ricorda train`, its median step."""
    sizes = ["--embedding-size", str(EMBEDDING_SIZE)]
    for name, value in asdict(case).items():
        sizes += [f"--{name.replace('_', '-')}", str(value)]
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        return train(text, Path(folder, "run"), *TIMED, *sizes, *options).speed()


def torch_speed(text: Path, case: Case, precision: str) -> float:
    """Characters per second of the PyTorch program, its median step."""
    settings = asdict(case) | {"precision": precision, "embedding_size": EMBEDDING_SIZE}
    return peer_speed(PROGRAM, text=str(text), **settings)


def measure_tutorial(*, rounds: int, **_: Any) -> Iterator[Result]:
    """The tutorial's task by both: the whole training, and the first exact continuation."""
    require_torch()
    import torch

    from benchmarks.peers import tutorial_program
    from ricorda.training import demonstration

    epochs, rounds = demonstration.EPOCHS, min(rounds, 5)
    length = len(demonstration.SEQUENCE)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the fastest for so small a network, the tutorial's too
    try:
        runs = [
            (
                until_exact(
                    demonstration.learn_as_the_tutorial(seed, epochs),
                    lambda moment: demonstration.generate_seq(moment.model, "a", length),
                ),
                until_exact(
                    tutorial_program.learn(seed, epochs),
                    lambda network: tutorial_program.generate(network, "a", length),
                ),
            )
            for seed in range(rounds + 1)
        ][1:]  # the first one sets PyTorch up
    finally:
        torch.set_num_threads(before)
    whole = ratio_of([(ours.seconds, theirs.seconds) for ours, theirs in runs])
    yield Result(f"the tutorial's task, {epochs:,} epochs", TUTORIAL, whole, 40)
    exact = ratio_of([(ours.exact_seconds, theirs.exact_seconds) for ours, theirs in runs])
    details = {
        f"epochs_{name}": statistics.median(side.exact_epoch for side in sides)
        for name, sides in zip(("ours", "theirs"), zip(*runs, strict=True), strict=True)
    }
    what = f"the first exact continuation of `a`, {rounds} seeds"
    yield Result(what, TUTORIAL, exact, 40, details=details)


@dataclass
class Exact:
    """A training: its seconds, and when the sequence was first continued exactly, else its end."""

    seconds: float = 0.0
    exact_seconds: float = 0.0
    exact_epoch: int = 0


def until_exact(learning: Iterator[Learned], write: Callable[[Learned], str]) -> Exact:
    """Train to the end, looking at the continuation every few epochs; the looks are not counted."""
    from ricorda.training.demonstration import SEQUENCE

    found, epoch, is_exact = Exact(), 0, False
    while True:
        began = time.perf_counter()
        learned = next(learning, None)
        found.seconds += time.perf_counter() - began
        if learned is None:
            return found
        epoch += 1
        if not is_exact:
            found.exact_seconds, found.exact_epoch = found.seconds, epoch
            is_exact = epoch % CHECKED_EVERY == 0 and write(learned) == SEQUENCE
