"""What precisions this processor learns in."""

from collections.abc import Mapping
from typing import Any

import pytest

from ricorda.errors import ConfigurationError
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.machine import this_machine


def skip_without_bfloat16(options: Mapping[str, Any]) -> None:
    """Skip a test whose run asks for bfloat16 where the processor has none for its cell."""
    if options.get("precision") != "bfloat16":
        return
    chosen = {name: options[name] for name in ("backend", "cell") if name in options}
    try:
        this_machine(TrainingOptions(precision="bfloat16", **chosen))
    except ConfigurationError as error:
        pytest.skip(str(error))
