"""What the planner would choose for the settings that a request for a training leaves open."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ricorda.studio.reading import Reading
from ricorda.studio.settings import TrainingRequest
from ricorda.text import Vocabulary
from ricorda.text.kinds import wanted
from ricorda.text.splits import Split
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.machine import expected_machine
from ricorda.training.plan.planner import choose, depends_on_speed, facts_of

LEARNED_AFTERWARDS = frozenset({"pieces", "words"})
"""Vocabularies that a training learns from its text before it plans: their size is not known."""

Parts = Callable[[Reading], tuple[Vocabulary, Split]]
"""Encodes a text and splits it."""


def planned(request: TrainingRequest, text: Path, parts: Parts, cores: int) -> dict[str, Any]:
    """Give each number that `ricorda train` would choose, by the names of its options.

    `estimated` names those that depend on the machine's speed, which a training measures at its
    start. Nothing is planned for a vocabulary that has yet to be learned. Raises InputError for
    options that contradict each other and for a text that cannot be read.
    """
    options = request.options(min(request.threads or cores, cores))
    if wanted(options.vocabulary).kind in LEARNED_AFTERWARDS:
        return {"settings": {}, "estimated": []}
    vocabulary, split = parts(_reading(options, text))
    assert options.threads is not None
    machine = replace(expected_machine(options), threads=options.threads)
    configuration = choose(options, machine=machine, **facts_of(split.training, vocabulary))
    model, budget = configuration.model, configuration.budget
    settings = {
        "minutes": budget.minutes,
        "hidden_size": model.hidden_size,
        "num_layers": model.num_layers,
        "batch_size": configuration.batch_size,
        "window": configuration.window,
        "learning_rate": configuration.learning_rate,
        "dropout": configuration.dropout,
        "seed": configuration.seed,
        "threads": configuration.threads,
        "test_fraction": options.test_fraction,
        "min_count": options.min_count,
    }
    by_speed = depends_on_speed(options)
    return {
        "settings": settings,
        "estimated": ["hidden_size", "learning_rate", "dropout"] if by_speed else [],
    }


def _reading(options: TrainingOptions, text: Path) -> Reading:
    """How the training reads its text."""
    return Reading(
        names=(str(text),),
        kind=wanted(options.vocabulary).encoded_as,
        documents=options.documents,
        field=options.field,
        label_field=options.label_field,
        label_from=options.label_from,
        split=options.split,
        test_fraction=options.test_fraction,
    )
