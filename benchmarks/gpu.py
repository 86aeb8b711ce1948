"""Training on a GPU: characters a second, the share of its peak, and the time to nanoGPT's figure.

The peak is what the GPU reaches in large products of matrices of the same precision, measured
beside it; in float32 neither is rounded to TF32. What TF32, float16, CUDA graphs and torch.compile
would give is measured beside it too (see `gpu_ways`). nanoGPT's recipe for a GPU ends at 1.4697
nats a character of tinyshakespeare, judged on windows of 256 characters that begin cold; ours is
judged alike (see `train_target`). Where a run of the recipe stays above that, its best is what is
to be reached, and our time to 1.4697 is told besides.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import torch

from benchmarks import gpu_ways
from benchmarks import nanogpt as peer
from benchmarks.result import Result
from benchmarks.timing import Ratio, ratio_of
from benchmarks.train_target import make_task, seconds_to_target
from ricorda.errors import ConfigurationError
from ricorda.text import find_sources, read_text
from ricorda.training import TrainingOptions, choose
from ricorda.training.plan.machine import tf32
from ricorda.training.plan.planner import Machine, operations_of
from ricorda.training.plan.speed import measure_speed

HIDDEN_SIZES = (256, 512, 1024, 2048)
VOCABULARY = 65
SECONDS = 2.0  # of each measurement of a speed
SYMBOLS = 1_000_000
PRODUCT = 8192  # rows and columns of the product that the peak is measured by
PRODUCTS = 10  # in a row, as the processor's part in starting one would count
PRECISIONS: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
TARGET = 1.4697  # nats a character, cold windows
COLD_WINDOW = 256
SEEDS = 3
RECIPE: dict[str, object] = {
    "device": "cuda",
    "compile": True,
    "eval_iters": 200,
    "block_size": 256,
    "batch_size": 64,
    "n_layer": 6,
    "n_head": 6,
    "n_embd": 384,
    "max_iters": 5000,
    "lr_decay_iters": 5000,
    "dropout": 0.2,
}
"""What nanoGPT's README gives a machine with a GPU."""

Say = Callable[[str], None]


def measure_gpu(
    say: Say, *, rounds: int, text: Path | None = None, nanogpt: Path | None = None
) -> Iterator[Result]:
    """Measure on the first GPU. Raises ConfigurationError if there is none.

    text, nanogpt: tinyshakespeare and a checkout of nanoGPT, for the time to its figure.
    """
    if not torch.cuda.is_available():
        raise ConfigurationError("--part gpu: PyTorch finds no CUDA GPU here; leave the part out")
    say(torch.cuda.get_device_name())
    for precision in PRECISIONS:
        peak = operations_a_second("cuda", precision)
        say(f"{precision}: the peak is {peak / 1e12:.1f} x 10^12 operations a second")
        for hidden_size in HIDDEN_SIZES:
            yield speed("cuda", precision, hidden_size, peak, turns=min(rounds, 3))
    yield from gpu_ways.measure(say, rounds=min(rounds, 3))
    if text is None or nanogpt is None:
        say("the time to nanoGPT's figure needs its checkout and a text: left out")
        return
    yield from time_to_target(say, text, nanogpt)


def time_to_target(
    say: Say, text: Path, checkout: Path, recipe: Mapping[str, object] = RECIPE
) -> Iterator[Result]:
    """nanoGPT's seconds and ours to the target, on the device that `--device auto` takes."""
    content = "".join(read_text(find_sources([str(text)])))
    say("nanoGPT's recipe for a GPU runs, which takes some minutes")
    moments = peer.learn(checkout, content, recipe)
    for moment in moments:
        say(f"nanoGPT: {moment.nats_per_character:.4f} nats after {moment.seconds:.1f} s")
    best = min(moment.nats_per_character for moment in moments)
    task = make_task(content, COLD_WINDOW)
    for target in sorted({TARGET, max(TARGET, best)}):
        theirs = peer.first_to_reach(moments, target)
        found = seconds_to_target(task, target, SEEDS, say)
        if found is None:
            say(f"ricorda did not reach {target:.4f} nats")
        elif theirs is None:
            say(f"ricorda reached {target:.4f} nats, which nanoGPT's run did not, in {found} s")
        else:
            yield Result(
                f"{text.name}, training to {target:.4f} nats of cold {COLD_WINDOW}-windows, "
                f"{SEEDS} seeds",
                "nanoGPT's GPU recipe",
                ratio_of([(ours, theirs.seconds) for ours in found]),
                details={"target_nats_per_character": target},
            )


def speed(
    device: Literal["cpu", "cuda"],
    precision: Literal["float32", "bfloat16"],
    hidden_size: int,
    peak: float,
    *,
    turns: int,
    batch_size: int = 64,
    window: int = 128,
) -> Result:
    """Real steps on random symbols; peak is in operations a second."""
    options = TrainingOptions(
        hidden_size=hidden_size,
        batch_size=batch_size,
        window=window,
        precision=precision,
        dropout=0.0,
        recurrent_dropout=0.0,
    )
    machine = Machine(device=device, threads=torch.get_num_threads(), bfloat16=frozenset())
    configuration = choose(
        options, training_size=SYMBOLS, vocabulary_size=VOCABULARY, machine=machine
    )
    speeds = sorted(
        batch_size * window * measure_speed(configuration, seconds=SECONDS) for _ in range(turns)
    )
    middle = speeds[len(speeds) // 2]
    return Result(
        f"training on {device}, lstm {hidden_size}, {precision}: characters a second",
        "",
        Ratio(middle, speeds[0], speeds[-1]),
        unit="characters_a_second",
        details={
            "hidden_size": hidden_size,
            "share_of_peak": middle * operations_of(configuration.model, VOCABULARY) / peak,
        },
    )


def operations_a_second(
    device: Literal["cpu", "cuda"],
    precision: Literal["float32", "bfloat16"],
    size: int = PRODUCT,
    turns: int = 10,
) -> float:
    """What large products of matrices reach, one after the other; not rounded to TF32."""
    kind = torch.float32 if precision == "float32" else torch.bfloat16
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))

    def product() -> float:
        began = time.perf_counter()
        for _ in range(PRODUCTS):
            _ = left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - began) / PRODUCTS

    with tf32(on=False):
        product()
        return 2.0 * size**3 / min(product() for _ in range(turns))
