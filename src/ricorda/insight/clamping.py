"""A unit held at a value, or switched off, exactly, by changing the weights that read it.

Everything that reads unit j of a layer reads it through one column of weights: its own layer's
recurrent weights, and the next layer's input weights or the output's. Where the unit always says
c, the product of that column with it is the constant c * column, which belongs to the bias. So the
column is set to zero and c * column is added to the bias: the engine computes, to rounding, what
it would if the unit's output were replaced by c before anybody reads it, from the first symbol of
each document on (before which a unit's output otherwise is 0). At c = 0 nothing is added, and the
unit is off.

The unit itself is still computed, and nothing reads it: a trace of the changed model shows its
value.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ricorda.arguments import checked
from ricorda.errors import ConfigurationError
from ricorda.insight.units import Unit
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CELLS

LARGEST = 1e6
"""The farthest value that a unit is held at; tanh ends at 1, and float32 has to hold the sums."""


@checked
def clamped(file: ModelFile, units: Mapping[Unit, float]) -> ModelFile:
    """Hold units' outputs at values: 0 switches off, 1 and -1 are as far as tanh goes.

    Returns another model file, which `ricorda.engine.open_model` makes ready to run; the given one
    is left as it is. Raises ConfigurationError for a unit that the network does not have or a
    value that is no number or beyond LARGEST.
    """
    configuration = file.configuration
    tensors = {name: tensor.copy() for name, tensor in file.tensors.items()}
    for unit, value in units.items():
        unit.checked(configuration)
        if not abs(value) <= LARGEST:
            raise ConfigurationError(
                f"expected a number from -{LARGEST:g} to {LARGEST:g} to hold unit {unit} at, "
                f"got {value:g}"
            )
        for weights, bias in _readers(configuration, unit):
            _hold(tensors[weights], tensors[bias], unit.number, value)
    return ModelFile(configuration, file.vocabulary, tensors, file.training, file.gradient_sizes)


def _readers(configuration: ModelConfiguration, unit: Unit) -> list[tuple[str, str]]:
    """Name the weights that read a unit's layer, and the bias of each.

    It is the recurrent bias, not the input's, because in a GRU the reset gate scales U_n h + c_n as
    one.
    """
    here, above = f"layers.{unit.layer}", f"layers.{unit.layer + 1}"
    own = [(f"{here}.weight_hh", f"{here}.bias_hh")]
    if not CELLS[configuration.cell].has_recurrent_weights:
        own = []
    last = unit.layer == configuration.num_layers - 1
    next_reader = ("output.weight", "output.bias")
    if not last:
        next_reader = (f"{above}.weight_ih", f"{above}.bias_ih")
    return [*own, next_reader]


def _hold(weights: NDArray[np.float32], bias: NDArray[np.float32], unit: int, value: float) -> None:
    """Move a column of weights (R, H), times the value, into the bias (R,), in place."""
    column = weights[:, unit].astype(np.float64)
    bias[:] = bias.astype(np.float64) + value * column
    weights[:, unit] = 0
