"""What precisions this processor learns in."""

from collections.abc import Mapping
from typing import Any

import pytest

from ricorda.training.options import DEFAULT_CELL, TrainingOptions
from ricorda.training.plan.machine import this_machine


def skip_without_bfloat16(options: Mapping[str, Any]) -> None:
    """Skip a test whose run asks for bfloat16 where the processor has none for its cell."""
    if options.get("precision") != "bfloat16":
        return
    machine = this_machine(TrainingOptions(backend=options.get("backend", "auto")))
    if options.get("cell", DEFAULT_CELL) not in machine.bfloat16:
        pytest.skip("this processor does not learn in bfloat16")
