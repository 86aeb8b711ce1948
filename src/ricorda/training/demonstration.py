"""The tutorial's pattern, learned twice: as in the tutorial, and as ricorda trains.

The tutorial trains on one short sequence, read from its first character to its last, and then
writes that sequence. Its stated goal is more: given any of a, b, c, d, to continue by the pattern.
For that the network must read the pattern from every position, and beyond its period.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ricorda import draws
from ricorda.draws import Purpose
from ricorda.engine import Model, open_model
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.text import CharacterVocabulary, Part
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.data.loader import make_loader
from ricorda.training.learner import Batch, Learner, make_learner
from ricorda.training.plan.budget import learning_rate
from ricorda.training.plan.planner import choose_backend

SEQUENCE = "aaaaabbbbbccccacdddddaaaa"
PERIOD = SEQUENCE[:21]  # the rest of the sequence is the beginning of the next one
VOCABULARY = CharacterVocabulary("".join(sorted(set(SEQUENCE))), start="a")
NETWORK = ModelConfiguration(cell="rnn", vocabulary_size=VOCABULARY.size, hidden_size=128)

EPOCHS = 1000
STEPS = 400
WINDOW = len(PERIOD) + 3  # characters that are predicted in a window, as in the tutorial
LENGTH = 210  # ten periods
ASKED = 400  # characters that the tutorial's own network is asked for
ADAM = (0.9, 0.999)  # the betas of its paper (Kingma & Ba, 2015), and PyTorch's


@dataclass(frozen=True)
class Moment:
    """The progress of a training."""

    count: int
    """Epochs or steps so far."""

    loss: float
    """Mean nats per character."""

    learner: Learner

    @property
    def model(self) -> Model:
        """The network with its weights of now."""
        return open_model(ModelFile(NETWORK, VOCABULARY, self.learner.weights(), {}))


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
        backend=choose_backend("auto", "cpu"),
    )
    learner = make_learner(configuration, betas=ADAM)
    _draw_weights(learner)
    ids = VOCABULARY.encode(SEQUENCE).astype(np.uint32)[None]  # (1, 25)
    batch = Batch(ids[:, :-1].copy(), ids[:, 1:].copy(), np.ones(1, np.float32))
    for epoch in range(epochs):
        metrics = learner.take_step(batch, configuration.learning_rate, epoch)
        yield Moment(epoch, metrics.nats_per_symbol, learner)


def learn_as_ricorda(seed: int, steps: int = STEPS) -> Iterator[Moment]:
    """Read the endless pattern in windows longer than a period that begin at any position."""
    configuration = TrainingConfiguration(
        model=NETWORK,
        budget=Budget(steps=steps),
        batch_size=64,
        window=WINDOW,
        learning_rate=5e-3,
        weight_decay=0.0,
        warmup_steps=20,
        seed=seed,
        backend=choose_backend("auto", "cpu"),
    )
    learner = make_learner(configuration)
    with make_loader(learner, Part.whole(VOCABULARY.encode(PERIOD * 40))) as loader:
        for step in range(steps):
            rate = learning_rate(step, steps, configuration)
            metrics = learner.take_step(loader.batch_at(step), rate, step)
            yield Moment(step + 1, metrics.nats_per_symbol, learner)


def generate_seq(model: Model, start_char: str, length: int) -> str:
    """Continue a character greedily; length counts that character too."""
    return start_char + model.generate(start_char, length=length - 1, greedy=True)


def right_length(text: str) -> int:
    """How many of the text's first characters are a stretch of the endless pattern."""
    endless = PERIOD * (len(text) // len(PERIOD) + 2)
    right = 0
    while right < len(text) and text[: right + 1] in endless:
        right += 1
    return right


def floor() -> float:
    """Return the loss that no network can go below when a window begins anywhere, in nats.

    To know the position takes ln 21 nats; the first character gives a part of that.
    """
    shares = [PERIOD.count(char) / len(PERIOD) for char in VOCABULARY.symbols]
    known = -sum(share * math.log(share) for share in shares)
    return (math.log(len(PERIOD)) - known) / WINDOW


def _draw_weights(learner: Learner) -> None:
    """Draw the weights and biases as torch.nn.RNN and Linear do: uniform in +-1/sqrt(H)."""
    tensors = learner.tensors()
    bound = NETWORK.hidden_size**-0.5
    for number, (name, shape) in enumerate(NETWORK.tensor_shapes().items()):
        random = draws.generator(learner.configuration.seed, Purpose.INITIALIZATION, number)
        tensors[f"model.{name}"] = random.uniform(-bound, bound, shape).astype(np.float32)
    learner.restore(tensors)
