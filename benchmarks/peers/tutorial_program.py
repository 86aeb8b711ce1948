"""The tutorial's own program, transcribed to be measured against.

It is kept as slow as it is written: one call of the network for each of the 24 characters of an
epoch, a one-hot tensor for each, and the sum of 24 losses. Characters are numbered in their order,
not in a set's, and nothing is printed. `examples/rnn_from_scratch.py` is the same training by
whole sequences.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

SEQUENCE = "aaaaabbbbbccccacdddddaaaa"
CHARACTERS = sorted(set(SEQUENCE))
HIDDEN_SIZE = 128
REPORTED_EVERY = 100  # epochs between two readings of the loss


class TutorialNetwork(nn.Module):
    """A recurrent layer and a linear layer, which reads the last step's output alone."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, output_size)

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read inputs (1, 1, V) from a state (1, 1, H); return logits (1, V) and the new state."""
        outputs, state = self.rnn(inputs, state)
        return self.output(outputs[:, -1, :]), state

    def zero_state(self) -> Tensor:
        """The state of a network that has read nothing yet, (1, 1, H)."""
        return torch.zeros(1, 1, self.hidden_size)


def learn(seed: int, epochs: int = 1000) -> Iterator[TutorialNetwork]:
    """Train as the tutorial does; hand the network over after each epoch."""
    torch.manual_seed(seed)
    inputs = torch.stack([one_hot(character) for character in SEQUENCE[:-1]])  # (24, V)
    targets = torch.tensor([CHARACTERS.index(character) for character in SEQUENCE[1:]])  # (24,)
    network = TutorialNetwork(len(CHARACTERS), HIDDEN_SIZE, len(CHARACTERS))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    for epoch in range(epochs):
        state = network.zero_state()
        network.zero_grad()
        loss = torch.zeros(())
        for place in range(len(inputs)):
            logits, state = network(inputs[place].unsqueeze(0).unsqueeze(0), state)
            loss = loss + criterion(logits, targets[place].unsqueeze(0))
        loss.backward()
        optimizer.step()
        if epoch % REPORTED_EVERY == 0:
            loss.item()
        yield network


@torch.no_grad()
def generate(network: TutorialNetwork, start: str, length: int) -> str:
    """Continue a character greedily, each choice the next input; length counts the first too."""
    state, text = network.zero_state(), start
    while len(text) < length:
        logits, state = network(one_hot(text[-1]).unsqueeze(0).unsqueeze(0), state)
        text += CHARACTERS[int(logits.argmax())]
    return text


def one_hot(character: str) -> Tensor:
    """A 1 at the character's number and 0 elsewhere, (V,)."""
    row = torch.zeros(len(CHARACTERS))
    row[CHARACTERS.index(character)] = 1
    return row
