"""What precisions this processor learns in."""

from collections.abc import Mapping
from typing import Any

import pytest

from ricorda.training.options import TrainingOptions, cell_of
from ricorda.training.plan.machine import this_machine
from ricorda.training.plan.planner import choose_backend


def skip_without_bfloat16(options: Mapping[str, Any]) -> None:
    """Skip a test whose run asks for bfloat16 where the processor has none for its cell."""
    if options.get("precision") != "bfloat16":
        return
    given = TrainingOptions(backend=options.get("backend", "auto"), cell=options.get("cell"))
    machine = this_machine(given)
    if cell_of(given, choose_backend(given.backend, machine.device)) not in machine.bfloat16:
        pytest.skip("this processor does not learn in bfloat16")
