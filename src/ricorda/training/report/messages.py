"""What is printed of a run: its plan before it begins, its result at the end."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ricorda.shell import command_line
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.dataset import Dataset
from ricorda.training.plan.forecast import Forecast
from ricorda.training.report.progress import clock, in_nats_and_bits


def describe(dataset: Dataset, configuration: TrainingConfiguration) -> str:
    """Describe what will be learned, and with which settings, chosen or given."""
    model, vocabulary = configuration.model, dataset.text.vocabulary
    validation = 0 if dataset.validation is None else len(dataset.validation)
    embedding = model.embedding_size
    threads = f"{configuration.threads} thread{'s' * (configuration.threads != 1)}"
    if configuration.processes > 1:
        threads = f"{configuration.processes} processes with {threads} each"
    averaging, negatives = configuration.averaging, configuration.softmax_candidates
    lines = [
        f"{len(dataset.training):,} {vocabulary.kind} for training, {validation:,} for validation, "
        f"{vocabulary.size:,} different",
        f"{model.cell}, {model.num_layers} x {model.hidden_size} units, "
        f"{'one-hot input' if embedding == 'onehot' else f'embedding {embedding}'}, "
        f"{model.parameters:,} parameters; {configuration.budget}",
        f"batch size {configuration.batch_size}, window {configuration.window}, "
        f"learning rate {configuration.learning_rate:g}, "
        f"weight decay {configuration.weight_decay:g}, clip norm {configuration.clip_norm:g}",
        f"dropout {configuration.dropout:g}, of inputs {configuration.input_dropout:g}, of "
        f"recurrent weights {configuration.recurrent_dropout:g}; weights "
        f"{f'averaged, keeping {averaging:g}' if averaging else 'not averaged'}",
        f"softmax sampled: about {negatives:,} negatives, drawn in each step" if negatives else "",
        f"{configuration.precision} on {configuration.device}, {threads}, "
        f"seed {configuration.seed}",
    ]
    return "\n".join(filter(None, lines))


def result_lines(metrics: dict[str, Any]) -> list[str]:
    """The last lines of a run: its validation figures and the command to type next."""
    spent = f"{metrics['steps']:,} steps in {clock(metrics['train_seconds'])}"
    run = Path(metrics["run"])
    if metrics["stopped_because"] == "interrupted":
        command = command_line(["ricorda", "resume", run])
        return [f"interrupted after {spent}; go on with: {command}"]
    lines = []
    if (validation := metrics["validation"]) is not None:
        lines.append(
            f"validation: {in_nats_and_bits(validation['nats_per_character'])} a character, "
            f"{validation['bits_per_byte']:.2f} bits a byte, "
            f"perplexity {validation['perplexity']:.2f}"
        )
    command = command_line(["ricorda", "sample", run])
    return [*lines, f"{spent}; continue a text with: {command}"]


def forecast_lines(forecast: Forecast) -> list[str]:
    """The plan of a training, a line for each setting and each expected figure."""
    configuration = forecast.configuration
    learning = asdict(configuration) | {"budget": str(configuration.budget)}
    network = learning.pop("model")
    groups: dict[str, dict[str, Any]] = {
        "text": {
            "for training": forecast.training_characters,
            "for validation": forecast.validation_characters,
            "different symbols": forecast.vocabulary_size,
        },
        "network": {**network, "parameters": configuration.model.parameters},
        "learning": learning,
        "expected": {
            "steps": f"{forecast.steps:,}, {forecast.steps_per_second:,.1f} a second",
            "characters read": f"{forecast.characters:,}, {forecast.passes:,.3g} times the text",
            "memory": f"about {forecast.memory_bytes / 1e6:,.0f} MB",
            "time": clock(forecast.seconds),
        },
    }
    lines = []
    for heading, facts in groups.items():
        lines += [heading, *(f"  {name:<20} {_value(fact)}" for name, fact in facts.items())]
    return lines


def _value(fact: Any) -> str:
    """A setting as a person reads it."""
    if fact is None:
        return "none"
    if isinstance(fact, float):
        return f"{fact:g}"
    return f"{fact:,}" if isinstance(fact, int) else str(fact)
