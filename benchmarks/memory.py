"""The peak resident memory of `ricorda train`, beside what `--dry-run` expects."""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Ratio, Result, report
from benchmarks.runs import measured, train
from ricorda.errors import InputError

TEXT = "".join(chr(33 + (7 * i * i + i // 50) % 60) for i in range(60_000))
COMMON = [
    *("--batch-size", "16", "--window", "64", "--threads", "2"),
    *("--steps", "3", "--validation-fraction", "0.005"),
]
CASES: tuple[str, ...] = (
    "--hidden-size 64",
    "--hidden-size 512",
    "--hidden-size 1024",
    "--hidden-size 2048",
    "--hidden-size 256 --num-layers 8",
    "--hidden-size 512 --num-layers 4",
    "--hidden-size 1024 --num-layers 4",
    "--hidden-size 1024 --num-layers 8",
    "--hidden-size 1536 --num-layers 4 --cell rnn",
    "--hidden-size 1024 --num-layers 4 --cell gru",
    "--hidden-size 1024 --num-layers 4 --cell gru --precision bfloat16",
    "--hidden-size 1024 --num-layers 4 --precision bfloat16",
    "--hidden-size 1024 --num-layers 4 --averaging 0.99",
    "--hidden-size 1024 --num-layers 4 --dropout 0.2 --recurrent-dropout 0.2",
    "--hidden-size 1024 --num-layers 4 --threads 1",
    "--hidden-size 1024 --num-layers 4 --keep 5 --patience 1",
    "--hidden-size 512 --batch-size 64 --window 256",
    "--hidden-size 256 --num-layers 4 --batch-size 64 --window 256 --cell gru",
    "--hidden-size 1024 --embedding-size onehot",
    "--hidden-size 1024 --num-layers 2 --backend torch",
    "--hidden-size 512 --batch-size 64 --window 256 --backend torch",
)
"""Options of trainings: sizes, layers, cells, precisions, averaging, dropout, threads, windows."""

MOST_MEGABYTES = 700  # of a training with a budget in minutes


def measure_memory(*, text: Path | None, minutes: float, **_: Any) -> Iterator[Result]:
    """The peak memory of `ricorda train TEXT --minutes M`."""
    if text is None:
        return report("without --text: the memory of a training is left out")
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        megabytes = train(text, Path(folder, "run"), "--minutes", f"{minutes:g}").megabytes
    yield Result(
        f"ricorda train {text.name} --minutes {minutes:g}: peak memory, MB",
        "a limit",
        Ratio(megabytes, megabytes, megabytes),
        MOST_MEGABYTES,
        at_most=True,
        unit="megabytes",
    )


def against_forecasts(most: float, cases: Sequence[str] = CASES) -> Iterator[Result]:
    """The measured peak of each case whose forecast is at most `most` megabytes, as a share."""
    with tempfile.TemporaryDirectory(prefix="ricorda-") as folder:
        text = Path(folder, "text.txt")
        text.write_text(TEXT)
        for number, case in enumerate(cases):
            options = [*COMMON, *case.split()]
            try:
                expected = forecast_megabytes(text, options)
            except InputError as error:  # such as bfloat16 on a processor that lacks it
                report(f"{case}: left out: {error}")
                continue
            if expected > most:
                report(f"{case}: left out, {expected:,.0f} MB are expected")
                continue
            peak = train(text, Path(folder, f"run-{number}"), *options).megabytes
            share = peak / expected
            yield Result(
                f"ricorda train {case}: peak memory",
                "its forecast",
                Ratio(share, share, share),
                details={"measured_megabytes": peak, "forecast_megabytes": expected},
            )


def forecast_megabytes(text: Path, options: Sequence[str]) -> float:
    """What `ricorda train --dry-run` expects. Raises as `runs.train` does."""
    command = [sys.executable, "-m", "ricorda", "train", str(text), *options]
    printed, _ = measured([*command, "--dry-run", "--json", "--quiet"])
    return float(json.loads(printed.splitlines()[-1])["memory_bytes"]) / 1e6
