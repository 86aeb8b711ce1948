"""A training in words, before it begins."""

from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.dataset import Dataset


def describe(dataset: Dataset, configuration: TrainingConfiguration) -> str:
    """Say what will be learned, and how, chosen or given."""
    model, vocabulary = configuration.model, dataset.text.vocabulary
    validation = 0 if dataset.validation is None else len(dataset.validation)
    embedding = model.embedding_size
    return (
        f"{len(dataset.training):,} {vocabulary.kind} to learn, {validation:,} to judge by, "
        f"{vocabulary.size:,} different\n"
        f"{model.cell}, {model.num_layers} x {model.hidden_size} units, "
        f"{'one-hot input' if embedding == 'onehot' else f'embedding {embedding}'}, "
        f"{model.parameters:,} parameters; {configuration.budget}\n"
        f"batch size {configuration.batch_size}, window {configuration.window}, "
        f"learning rate {configuration.learning_rate:g}, "
        f"weight decay {configuration.weight_decay:g}, clip norm {configuration.clip_norm:g}\n"
        f"dropout {configuration.dropout:g}, of inputs {configuration.input_dropout:g}, of "
        f"recurrent weights {configuration.recurrent_dropout:g}; "
        f"{_averaging(configuration.averaging)}\n"
        f"{_softmax(configuration.softmax_candidates)}"
        f"{configuration.precision} on {configuration.device}, "
        f"{_processes_and_threads(configuration)}, seed {configuration.seed}"
    )


def _processes_and_threads(configuration: TrainingConfiguration) -> str:
    threads = f"{configuration.threads} thread{'s' * (configuration.threads != 1)}"
    if configuration.processes == 1:
        return threads
    return f"{configuration.processes} processes with {threads} each"


def _softmax(candidates: int) -> str:
    """A line of its own, where there is something to say."""
    if not candidates:
        return ""
    return (
        f"softmax sampled: each target against about {candidates:,} symbols, drawn anew in each "
        "step\n"
    )


def _averaging(share: float) -> str:
    return f"weights averaged, keeping {share:g}" if share else "weights not averaged"
