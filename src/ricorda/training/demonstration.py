"""The tutorial's pattern, learned twice: as the tutorial does it, and as ricorda does.

The tutorial trains on one short sequence, read from its first character to its last, and then asks
for what it has read. Its stated goal is more: given any of a, b, c, d, to continue by the pattern.
For that the network must meet the pattern from every place, and go round it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ricorda.model import ModelConfiguration, RecurrentLanguageModel
from ricorda.text import CharacterVocabulary, WindowStream
from ricorda.training import fused
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.fused import Moments
from ricorda.training.learner import make_learner, take_step, to_batch
from ricorda.training.learner_state import Learner
from ricorda.training.plan.schedule import learning_rate
from ricorda.training.step import Batch

SEQUENCE = "aaaaabbbbbccccacdddddaaaa"
PERIOD = SEQUENCE[:21]  # the rest of the sequence is the beginning of the next one
VOCABULARY = CharacterVocabulary("".join(sorted(set(SEQUENCE))), start="a")
NETWORK = ModelConfiguration(cell="rnn", vocabulary_size=VOCABULARY.size, hidden_size=128)

EPOCHS = 1000
STEPS = 400
LENGTH = 210  # ten periods


@dataclass(frozen=True)
class Moment:
    """How far a training has come."""

    count: int
    """Epochs or steps so far."""

    loss: float
    """Mean nats per character."""

    model: RecurrentLanguageModel


def learn_as_the_tutorial(seed: int, epochs: int = EPOCHS) -> Iterator[Moment]:
    """Read the sequence from beginning to end once an epoch: Adam at 0.005, nothing else."""
    configuration = TrainingConfiguration(
        model=NETWORK,
        budget=Budget(steps=epochs),
        batch_size=1,
        window=len(SEQUENCE) - 1,
        learning_rate=5e-3,
        weight_decay=0.0,
        clip_norm=1e9,
        seed=seed,
    )
    model = _network(seed)
    learner = Learner(model, _adam(model, configuration), model.initial_state(1))
    ids = torch.from_numpy(VOCABULARY.encode(SEQUENCE).astype("int64"))
    batch = Batch(ids[None, :-1].contiguous(), ids[None, 1:].contiguous(), torch.ones(1))
    for epoch in range(epochs):
        metrics = take_step(learner, batch, configuration.learning_rate, configuration)
        yield Moment(epoch, metrics.nats_per_symbol, model)


def learn_as_ricorda(seed: int, steps: int = STEPS) -> Iterator[Moment]:
    """Read the endless pattern in windows that begin, cold, anywhere; each outlasts a period."""
    configuration = TrainingConfiguration(
        model=NETWORK,
        budget=Budget(steps=steps),
        batch_size=64,
        window=len(PERIOD) + 3,
        learning_rate=5e-3,
        weight_decay=0.0,
        warmup_steps=20,
        seed=seed,
    )
    learner = make_learner(configuration)
    stream = WindowStream(
        VOCABULARY.encode(PERIOD * 40),
        batch_size=configuration.batch_size,
        window=configuration.window,
        seed=seed,
    )
    for step in range(steps):
        batch = to_batch(stream.window_at(step), configuration.device)
        metrics = take_step(
            learner, batch, learning_rate(step, steps, configuration), configuration
        )
        yield Moment(step + 1, metrics.nats_per_symbol, learner.model)


@torch.inference_mode()
def generate_seq(model: RecurrentLanguageModel, start_char: str, length: int) -> str:
    """Continue a character greedily, each choice the next input; length counts the first too."""
    state = model.initial_state(1)
    ids = [int(VOCABULARY.encode(start_char)[0])]
    while len(ids) < length:
        logits, state = model.step(torch.tensor(ids[-1:]), state)  # (1, 4)
        ids.append(int(logits.argmax()))
    return VOCABULARY.decode(ids)


def right_length(text: str) -> int:
    """How many of the text's first characters are a stretch of the endless pattern."""
    endless = PERIOD * (len(text) // len(PERIOD) + 2)
    right = 0
    while right < len(text) and text[: right + 1] in endless:
        right += 1
    return right


def _adam(
    model: RecurrentLanguageModel, configuration: TrainingConfiguration
) -> Moments | torch.optim.AdamW:
    """Adam (Kingma & Ba, 2015): AdamW without decay, with the betas of its paper."""
    betas = (0.9, 0.999)
    if fused.applies_to(configuration):
        return Moments(betas)
    return torch.optim.AdamW(model.parameters(), betas=betas, weight_decay=0.0, fused=True)


def _network(seed: int) -> RecurrentLanguageModel:
    """The tutorial's network: one-hot, 128 tanh units, a linear layer to four logits."""
    return RecurrentLanguageModel(NETWORK, generator=torch.Generator().manual_seed(seed))
