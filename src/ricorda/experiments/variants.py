"""The trainings that a comparison compares: one option varied, everything else planned once.

Each value's settings are planned before its first training and kept, so that all its seeds have the
same network. Where the option belongs to the network or the text, each value is planned by itself;
for any other option, all values have the settings of the first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from ricorda.errors import ConfigurationError
from ricorda.experiments.trial import BUDGETS, TRIAL_OPTIONS
from ricorda.model.cells import CELLS
from ricorda.model.configuration import ModelConfiguration
from ricorda.training.configuration import LearningSettings, TrainingConfiguration
from ricorda.training.options import NETWORK, TrainingOptions
from ricorda.training.plan.forecast import Plan
from ricorda.training.plan.planner import operations_of, output_rows
from ricorda.validation import plain_numbers, validated

Match = Literal["time", "parameters", "operations"]

PLANNED = (
    *("hidden_size", "num_layers", "embedding_size", "learning_rate", "batch_size", "window"),
    *("dropout", "recurrent_dropout", "weight_decay", "softmax_candidates"),
)
"""The options that are planned once for each value."""

REGULARIZATION = ("dropout", "recurrent_dropout", "weight_decay")
"""Those that are the first value's where sizes are matched."""

CLOSE_ENOUGH = 0.02  # of the target, by which a size that suits the kernels may miss it
LARGEST_SIZE = 65_536  # units

Measure = Callable[[ModelConfiguration], float]


@dataclass(frozen=True)
class Variant:
    """One value of the option, with all the settings of its trainings but the seed."""

    value: Any
    label: str
    options: dict[str, Any]
    parameters: int
    operations: float
    """Floating-point operations to learn a symbol."""


def label_of(value: Any) -> str:
    """Return a value as a command line would have it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def varied_option(
    cells: Sequence[str] | None, vary: Mapping[str, Sequence[Any]] | None
) -> tuple[str, list[Any]]:
    """Return the option that is varied and its values, which must be different.

    Raises ConfigurationError for anything but one option with two values.
    """
    given = dict(vary or {})
    if cells is not None:
        given = {**given, "cell": cells}
    if len(given) != 1:
        raise ConfigurationError(
            f"expected one option to vary, got {' and '.join(given) or 'none'}: give --cells "
            "lstm,gru, or --vary OPTION=VALUE,VALUE"
        )
    ((name, values),) = given.items()
    name = name.replace("-", "_")
    if name in BUDGETS or name == "seed":
        raise ConfigurationError(f"--vary {name}: the {name} of all trainings are the comparison's")
    if name not in TRIAL_OPTIONS:
        raise ConfigurationError(f"--vary {name}: expected an option of `ricorda train`")
    found = [plain_numbers(value) for value in values]
    if len(found) < 2 or len({label_of(each) for each in found}) < len(found):
        raise ConfigurationError(
            f"expected at least two different values of {name}, got "
            f"{', '.join(map(label_of, found)) or 'none'}"
        )
    for value in found:
        if name == "cell" and value not in CELLS:
            raise ConfigurationError(
                f"expected cells among {', '.join(CELLS)}, got {label_of(value)}"
            )
    return name, found


class Planner:
    """Plans the variants of a comparison, the first one first.

    options: those of all trainings, the budget included. plan: chooses the settings of a training,
    as `ricorda.training.plan.forecast.plan` does.
    """

    def __init__(
        self, name: str, match: Match, options: dict[str, Any], plan: Callable[..., Plan]
    ) -> None:
        if match != "time" and name == "hidden_size":
            raise ConfigurationError(
                f"--match {match} chooses the hidden sizes: vary another option"
            )
        if match != "time" and "from_model" in options:
            raise ConfigurationError(f"--match {match}: the size of the network is that of --from")
        self._name, self._match, self._options, self._plan = name, match, options, plan
        self._first: TrainingConfiguration | None = None

    def variants(self, values: Sequence[Any], known: Mapping[str, Variant]) -> list[Variant]:
        """Return the variants of values: those known by their labels, and the others planned.

        The first known one is what others are matched with. Raises ConfigurationError, TextError.
        """
        if any(label_of(value) not in known for value in values) and known:
            first = next(iter(known.values()))
            self._first = self._planned(first.options)
        return [known.get(label_of(value)) or self._variant(value) for value in values]

    def _variant(self, value: Any) -> Variant:
        options = {**self._options, self._name: value}
        validated(TrainingOptions, **options)
        if self._first is None:
            configuration = self._first = self._planned(options)
        elif self._match != "time":
            configuration = self._matched(self._first, options)
        elif self._name in {each.name for each in fields(LearningSettings)}:
            configuration = self._planned({**_settled(self._first, self._options), **options})
        else:
            configuration = self._planned(options)
        return _made(value, options, configuration)

    def _planned(self, options: dict[str, Any]) -> TrainingConfiguration:
        plan = self._plan(**options)
        if not plan.validation_symbols:
            raise ConfigurationError(
                "expected a text with a validation part, by which trainings are compared, but it "
                "has none: give a longer text, --validation or --validation-fraction"
            )
        return plan.configuration

    def _matched(
        self, first: TrainingConfiguration, options: dict[str, Any]
    ) -> TrainingConfiguration:
        """Plan a training whose network is as large as the first one's."""
        measure = MEASURES[self._match]
        own = self._planned({**options, "hidden_size": first.model.hidden_size})

        def of_size(model: ModelConfiguration) -> float:
            return measure(replace(own, model=model))

        size = matched_size(own.model, of_size, measure(first))
        unfit = CELLS[own.model.cell].other_options
        regularization = {
            name: getattr(first, name)
            for name in REGULARIZATION
            if name not in {self._name, *unfit}
        }
        return self._planned({**regularization, **options, "hidden_size": size})


def _made(value: Any, options: dict[str, Any], configuration: TrainingConfiguration) -> Variant:
    return Variant(
        value=value,
        label=label_of(value),
        options={**_settled(configuration, options), **options},
        parameters=configuration.model.parameters,
        operations=learning_operations(configuration),
    )


def _settled(configuration: TrainingConfiguration, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were planned, as options; a model that trainings start from has
    the network's."""
    names = [name for name in PLANNED if not ("from_model" in options and name in NETWORK)]
    owners = (configuration, configuration.model)
    return {
        name: getattr(owner, name) for owner in owners for name in names if hasattr(owner, name)
    }


def parameters_of(configuration: TrainingConfiguration) -> float:
    """Return the parameters of a network."""
    return float(configuration.model.parameters)


def learning_operations(configuration: TrainingConfiguration) -> float:
    """Return the floating-point operations to learn a symbol."""
    step = configuration.batch_size * configuration.window // configuration.processes
    model = configuration.model
    rows = output_rows(model.vocabulary_size, configuration.softmax_candidates, step)
    return operations_of(model, rows)


MEASURES: dict[str, Callable[[TrainingConfiguration], float]] = {
    "parameters": parameters_of,
    "operations": learning_operations,
}
"""What each way of matching measures; time is matched by the budget alone."""

assert {"time", *MEASURES} == set(get_args(Match))


def matched_size(model: ModelConfiguration, measure: Measure, target: float) -> int:
    """Return the hidden size at which a network's measure is nearest to the target.

    A multiple of 16 or of 8, which the kernels compute faster, is taken if it misses the target by
    2 % at most.
    """

    def at(size: int) -> float:
        return measure(replace(model, hidden_size=size))

    low, high = 1, LARGEST_SIZE  # the smallest size that reaches the target
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle) >= target else (middle + 1, high)
    best = min((max(1, low - 1), low), key=lambda size: abs(at(size) - target))
    for multiple in (16, 8):
        size = multiple * round(best / multiple)
        if size and abs(at(size) / target - 1) <= CLOSE_ENOUGH:
            return size
    return best
