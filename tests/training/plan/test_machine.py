"""What a plan knows of the machine."""

import pytest

from ricorda.engine import kernels_are_built
from ricorda.errors import ConfigurationError
from ricorda.model.cells import CELLS
from ricorda.training import TrainingOptions
from ricorda.training.plan import machine

pytestmark = pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")


@pytest.mark.parametrize(
    "can, is_faster, taken, refused",
    [(True, True, True, False), (True, False, False, False), (False, False, False, True)],
)
def test_bfloat16_is_taken_if_it_is_faster_and_allowed_if_it_is_possible(
    can: bool, is_faster: bool, taken: bool, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "learns_bfloat16", lambda: can)
    monkeypatch.setattr(machine, "prefers_bfloat16", lambda: is_faster)
    found = machine.this_machine(TrainingOptions())
    assert found.bfloat16 == (frozenset(CELLS) if taken else frozenset())
    asked = TrainingOptions(precision="bfloat16")
    if refused:
        with pytest.raises(ConfigurationError, match="bfloat16"):
            machine.this_machine(asked)
    else:
        machine.this_machine(asked)
