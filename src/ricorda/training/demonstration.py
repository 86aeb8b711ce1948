"""The tutorial's pattern, learned twice: as the tutorial does it, and as ricorda does.

The tutorial trains on one short sequence, read from its first character to its last, and then asks
for what it has read. Its stated goal is more: given any of a, b, c, d, to continue by the pattern.
For that the network must meet the pattern from every place, and go round it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ricorda.models import ModelConfiguration, RecurrentLanguageModel
from ricorda.text import CharacterVocabulary, WindowStream
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.schedule import learning_rate
from ricorda.training.step import Batch, make_optimizer, train_step

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
    model = _network(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    ids = torch.from_numpy(VOCABULARY.encode(SEQUENCE).astype("int64"))
    inputs, targets = ids[None, :-1], ids[1:]  # (1, 24), (24,)
    for epoch in range(epochs):
        model.zero_grad()
        logits, _ = model(inputs, model.initial_state(1))  # (1, 24, 4)
        loss = F.cross_entropy(logits[0], targets)
        loss.backward()
        optimizer.step()
        yield Moment(epoch, loss.item(), model)


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
    model = _network(seed)
    optimizer = make_optimizer(model, configuration)
    stream = WindowStream(
        VOCABULARY.encode(PERIOD * 40),
        batch_size=configuration.batch_size,
        window=configuration.window,
        seed=seed,
    )
    state = model.initial_state(configuration.batch_size)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, configuration)
        window = stream.window_at(step)
        batch = Batch(
            torch.from_numpy(window.inputs),
            torch.from_numpy(window.targets),
            torch.from_numpy(window.restart).float(),
        )
        metrics, state = train_step(model, optimizer, batch, state, configuration)
        yield Moment(step + 1, metrics.nats_per_symbol, model)


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


def _network(seed: int) -> RecurrentLanguageModel:
    """The tutorial's network: one-hot, 128 tanh units, a linear layer to four logits."""
    return RecurrentLanguageModel(NETWORK, generator=torch.Generator().manual_seed(seed))
