"""A program that writes text with PyTorch alone: MODEL LENGTH [TEMPERATURE]; 0 is greedy.

It reads a model file, an LSTM with an embedding, by the library `safetensors`.
"""

import json
import sys

import torch
from safetensors import safe_open
from torch import nn


def main(path: str, length: int, temperature: float = 0.8) -> None:
    """Print `length` symbols that follow the vocabulary's start symbol."""
    with safe_open(path, framework="pt") as file:
        vocabulary = json.loads(file.metadata()["ricorda.vocabulary"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    embedding = nn.Embedding.from_pretrained(tensors["embedding.weight"])
    vocabulary_size, hidden_size = tensors["output.weight"].shape
    layer = nn.LSTM(embedding.embedding_dim, hidden_size, batch_first=True)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    layer.load_state_dict({f"{name}_l0": tensors[f"layers.0.{name}"] for name in names})
    output = nn.Linear(hidden_size, vocabulary_size)
    output.load_state_dict({name: tensors[f"output.{name}"] for name in ("weight", "bias")})
    characters, text, state = vocabulary["symbols"], [], None
    generator = torch.Generator().manual_seed(1)
    ids = torch.tensor([[characters.index(vocabulary["start"])]])
    with torch.inference_mode():
        for _ in range(length):
            outputs, state = layer(embedding(ids), state)
            logits = output(outputs)[:, -1]  # (1, V)
            if temperature == 0:
                ids = logits.argmax(-1, keepdim=True)
            else:
                shares = (logits / temperature).softmax(-1)
                ids = torch.multinomial(shares, 1, generator=generator)
            text.append(characters[int(ids)])
    print("".join(text))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:]))
