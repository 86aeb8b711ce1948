"""Training on a GPU: characters per second and the share of the peak.

The peak is the rate of large products of matrices in the same precision, measured beside it; in
float32 neither is rounded to TF32.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import Result, report, spread
from benchmarks.target import ON_GPU, reach
from benchmarks.training import Case, generated, operations, our_speed
from ricorda.errors import ConfigurationError

HIDDEN_SIZES = (256, 512, 1024, 2048)
PRECISIONS = ("float32", "bfloat16")
PRODUCT_SIZE = 8192
PRODUCTS = 10  # in a row, so that the processor's part in starting one does not count


def measure_gpu(
    *, rounds: int, text: Path | None, nanogpt: Path | None, **_: Any
) -> Iterator[Result]:
    """Measure on the first GPU. Raises ConfigurationError if there is none."""
    if not torch.cuda.is_available():
        raise ConfigurationError("--part gpu: PyTorch finds no CUDA GPU here; leave the part out")
    report(torch.cuda.get_device_name())
    for precision in PRECISIONS:
        peak = operations_a_second("cuda", precision)
        report(f"{precision}: the peak is {peak / 1e12:.1f} x 10^12 operations per second")
        for hidden_size in HIDDEN_SIZES:
            case = Case("lstm", hidden_size, precision, 64, 128, 200)
            yield speed("cuda", case, peak, min(rounds, 3))
    yield from reach(ON_GPU, text, nanogpt, min(rounds, 3))


def speed(device: str, case: Case, peak: float, rounds: int) -> Result:
    """Characters per second of `ricorda train`; peak is in operations per second."""
    with generated() as text:
        of_symbol = operations(case, len(set(text.read_text("utf-8"))))
        speeds = spread([our_speed(text, case, "--device", device) for _ in range(rounds)])
    return Result(
        f"training on {device}, {case.cell} {case.hidden_size}, {case.precision}: "
        "characters per second",
        "",
        speeds,
        unit="characters_a_second",
        details={
            "hidden_size": case.hidden_size,
            "share_of_peak": speeds.median * of_symbol / peak,
        },
    )


def operations_a_second(
    device: str, precision: str, size: int = PRODUCT_SIZE, turns: int = 10
) -> float:
    """The rate of large products of matrices, one after the other; not rounded to TF32."""
    kind = torch.float32 if precision == "float32" else torch.bfloat16
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))

    def product() -> float:
        began = time.perf_counter()
        for _ in range(PRODUCTS):
            _ = left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - began) / PRODUCTS

    product()
    return 2.0 * size**3 / min(product() for _ in range(turns))
