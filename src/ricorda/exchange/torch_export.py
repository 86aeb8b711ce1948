"""A state dict in torch.nn's names and layout, and a program that runs it with torch alone."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ricorda.errors import ConfigurationError
from ricorda.exchange.exporting import Export, Weights
from ricorda.exchange.network import lstm_of_cifg
from ricorda.model import ModelConfiguration, ModelFile
from ricorda.model.cells import CELLS
from ricorda.model.model_file import model_metadata
from ricorda.model.tensor_file import tensor_file
from ricorda.text.vocabulary import Vocabulary

STATE_DICT, VOCABULARY, PROGRAM = "state_dict.safetensors", "vocabulary.json", "generate.py"


def export(model: ModelFile, weights: Weights) -> Export:
    """Make the state dict, the vocabulary and the program that writes text with them.

    Raises ConfigurationError for a cell that torch.nn does not have.
    """
    cell = CELLS[model.configuration.cell]
    if not cell.has_recurrent_weights:
        raise ConfigurationError(f"torch.nn has no {cell.label}: export it to onnx, c or web")
    tensors = {
        name: ("F32", array.shape, np.ascontiguousarray(array, "<f4").data.cast("B"))
        for name, array in _torch_tensors(model)
    }
    metadata = {"format": "pt"} | model_metadata(model)
    described = json.dumps(_described(model.vocabulary), ensure_ascii=False, indent=1) + "\n"
    return Export(
        {
            STATE_DICT: b"".join(tensor_file(tensors, metadata)),
            VOCABULARY: described.encode(),
            PROGRAM: _program(model.configuration, model.vocabulary).encode(),
        },
        (f"the program needs torch and safetensors: python {PROGRAM}",),
    )


def _torch_tensors(model: ModelFile) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the tensors by torch.nn's names; a cifg's are those of an LSTM."""
    is_cifg = model.configuration.cell == "cifg"
    for name, array in model.tensors.items():
        if name.startswith("layers."):
            _, layer, kind = name.split(".")
            yield f"rnn.{kind}_l{layer}", lstm_of_cifg(array) if is_cifg else array
        elif name == "labels.weight" and is_cifg:
            yield name, lstm_of_cifg(array.T).T
        else:
            yield name, array


def _described(vocabulary: Vocabulary) -> dict[str, Any]:
    """What the program must know of the symbols, and the vocabulary as the model file has it."""
    is_bytes = vocabulary.kind == "bytes"
    texts = [
        chr(each) if is_bytes else vocabulary.decode([each]) for each in range(vocabulary.size)
    ]
    if vocabulary.boundary is not None:
        texts[vocabulary.boundary] = ""
    return {
        "symbols": texts,  # by id; of bytes, the character of that number
        "start": vocabulary.start,
        "never_written": list(vocabulary.forbidden),
        "labels": list(vocabulary.labels),
        "ricorda.vocabulary": vocabulary.to_json(),
    }


def _program(shape: ModelConfiguration, vocabulary: Vocabulary) -> str:
    """Write the program for one shape of network: it has only what that needs."""
    cell = "LSTM" if shape.cell == "cifg" else shape.cell.upper()
    option = f", nonlinearity={shape.nonlinearity!r}" if shape.cell == "rnn" else ""
    size, hidden = shape.vocabulary_size, shape.hidden_size
    is_onehot = shape.embedding_size == "onehot"
    parts = {
        "embedding": f"self.embedding = nn.Embedding({size}, {shape.embedding_size})",
        "rnn": f"self.rnn = nn.{cell}({shape.input_size}, {hidden}, {shape.num_layers}{option})",
        "output": f"self.output = nn.Linear({hidden}, {size})",
        "vector": f"nn.functional.one_hot(symbol, {size}).float()"
        if is_onehot
        else "self.embedding(symbol)",
        "boundary": str(shape.boundary),
        "text": 'bytes(written).decode("utf-8", "replace")'
        if vocabulary.kind == "bytes"
        else '"".join(vocabulary["symbols"][symbol] for symbol in written)',
    }
    conditions = {
        "E": not is_onehot,
        "D": shape.documents,
        "L": shape.num_labels > 0,
        "N": shape.num_labels == 0,
        "R": bool(vocabulary.forbidden),
    }
    lines = [
        line[2:]
        for line in PROGRAM_LINES.splitlines()
        if not line.strip() or line[0] == " " or conditions[line[0]]
    ]
    text = "\n".join(lines) + "\n"
    for name, part in parts.items():
        text = text.replace(f"<{name}>", part)
    return text


PROGRAM_LINES = '''\
N """Writes text with the network in state_dict.safetensors: python generate.py [LENGTH]."""
L """Writes text with a network of torch: python generate.py [LENGTH [LABEL]]."""

  import json
  import sys
  from pathlib import Path

  import torch
  from safetensors.torch import load_file
  from torch import nn

  FOLDER = Path(__file__).parent
  vocabulary = json.loads((FOLDER / "vocabulary.json").read_text("utf-8"))


  class Network(nn.Module):
      def __init__(self):
          super().__init__()
E         <embedding>
          <rnn>
          <output>

      def forward(self, symbol, state=None):  # an id () -> logits (V,), the state after it
D         if symbol == <boundary>:  # before the boundary between documents is read
D             state = None
          hidden, state = self.rnn(<vector>[None], state)
          return self.output(hidden[0]), state


N def load():
L def load(label=0):  # the number of one of vocabulary["labels"] from 1; 0 is none
      network, tensors = Network().eval(), load_file(FOLDER / "state_dict.safetensors")
L     tensors["rnn.bias_ih_l0"] += tensors.pop("labels.weight")[label]
      network.load_state_dict(tensors)
      return network


  @torch.inference_mode()
  def generate(network, length):
      symbol, state = torch.tensor(vocabulary["start"]), None
      for _ in range(length):
          logits, state = network(symbol, state)
R         logits[vocabulary["never_written"]] = -torch.inf
          symbol = torch.distributions.Categorical(logits=logits).sample()
D         if symbol == <boundary>:
D             return
          yield symbol.item()


  if __name__ == "__main__":
      length = int(sys.argv[1]) if sys.argv[1:] else 200
N     network = load()
L     network = load(vocabulary["labels"].index(sys.argv[2]) + 1 if sys.argv[2:] else 0)
      written = list(generate(network, length))
      print(<text>)
'''
"""The lines of the program; the first letter is the condition that a line needs."""
