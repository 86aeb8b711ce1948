"""A recurrent network that learns a sequence of characters, on PyTorch alone.

It reads the sequence below character by character, learns which one comes next, and writes
the whole sequence back from its first character. docs/tutorial.en.md and docs/tutorial.it.md
explain each line. Run it with

    python examples/rnn_from_scratch.py --seed 1

Dimensions: B batch, T time, V vocabulary (the different characters), H hidden units.
"""

# mypy: untyped-calls-exclude=torch

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sequence = "aaaaabbbbbccccacdddddaaaa"

characters = sorted(set(sequence))  # in order, so that the numbers are the same in each run
char_to_index = {char: index for index, char in enumerate(characters)}
index_to_char = dict(enumerate(characters))


def to_indices(text: str) -> Tensor:
    """Return the number of each character of the text, (T,)."""
    return torch.tensor([char_to_index[char] for char in text])


def one_hot(text: str) -> Tensor:
    """Return one row for each character, with a 1 at its number and 0 elsewhere, (T, V)."""
    return F.one_hot(to_indices(text), len(characters)).float()


class CharacterRNN(nn.Module):
    """A tanh recurrent layer that remembers, and a linear layer that scores each character."""

    def __init__(self, vocabulary_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.rnn = nn.RNN(vocabulary_size, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, vocabulary_size)

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read inputs (B, T, V) from a state (1, B, H); return logits (B, T, V), new state."""
        hidden, state = self.rnn(inputs, state)  # (B, T, H), (1, B, H)
        return self.output(hidden), state

    def zero_state(self, batch_size: int) -> Tensor:
        """Return the state of a network that has read nothing yet, (1, B, H)."""
        return torch.zeros(1, batch_size, self.hidden_size)


def train(model: CharacterRNN, inputs: Tensor, targets: Tensor, epochs: int) -> None:
    """Teach the model to answer inputs (B, T, V) with targets (B, T), printing its loss.

    The loss is the mean cross-entropy of a character, in nats.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for epoch in range(epochs):
        optimizer.zero_grad()
        logits, _ = model(inputs, model.zero_state(len(inputs)))  # (B, T, V)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        if epoch % 100 == 0:
            print(f"Epoch: {epoch}, Loss: {loss.item():.4f}")


@torch.no_grad()
def generate_seq(model: CharacterRNN, start_char: str, length: int) -> str:
    """Return length characters: the first is given, each other is the most likely next one."""
    text = start_char
    state = model.zero_state(1)
    while len(text) < length:
        logits, state = model(one_hot(text[-1]).unsqueeze(0), state)  # (1, 1, V)
        text += index_to_char[int(logits.argmax())]
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn a sequence of characters and write it.")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights (default: 0)")
    torch.manual_seed(parser.parse_args().seed)
    torch.set_num_threads(1)  # a network this small is fastest with one thread

    inputs = one_hot(sequence[:-1]).unsqueeze(0)  # (1, 24, 4): a batch of one sequence
    targets = to_indices(sequence[1:]).unsqueeze(0)  # (1, 24): at each step, the character after
    model = CharacterRNN(len(characters), hidden_size=128)
    train(model, inputs, targets, epochs=1000)

    generated = generate_seq(model, "a", len(sequence))
    print(generated)
    print("This is the sequence." if generated == sequence else "This is not the sequence.")


if __name__ == "__main__":
    main()
