"""State dicts of PyTorch become models that compute what torch.nn computes."""

import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.errors import MissingExtra, ModelFileError
from ricorda.exchange import import_model
from ricorda.exchange.torch_export import export
from ricorda.model import ModelFile
from tests.exchange.damage import COUNT, damaged, peak_memory, refusal, refused_share, with_sizes
from tests.exchange.models import Case, log_probabilities, make_model

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

NAMES = list("hel owrd")  # in no order
V, E, H = len(NAMES), 5, 6
Tensors = dict[str, Any]


@pytest.fixture
def symbols(tmp_path: Path) -> Path:
    path = tmp_path / "symbols.json"
    path.write_text(json.dumps(NAMES))
    return path


def test_the_vocabulary_beside_an_export_serves_a_state_dict_saved_anew(
    random: np.random.Generator, tmp_path: Path
) -> None:
    model = make_model(Case("cifg", 2, 5, "pieces"), random)
    files = export(model, "float32").files
    (tmp_path / "vocabulary.json").write_bytes(files["vocabulary.json"])
    torch.save(safetensors.load(files["state_dict.safetensors"]), tmp_path / "tuned.pt")
    found = import_model(tmp_path / "tuned.pt")
    assert found.vocabulary == model.vocabulary
    assert found.configuration == model.configuration
    for key, tensor in model.tensors.items():
        assert found.tensors[key].tobytes() == tensor.tobytes()


class Network(torch.nn.Module):  # type: ignore[name-defined, misc]
    """An embedding or one-hot input, layers of torch.nn, a linear layer."""

    def __init__(self, cell: str, layers: int = 1, *, onehot: bool = False, **options: Any) -> None:
        super().__init__()
        self.encoder = None if onehot else torch.nn.Embedding(V, E)
        self.rnn = getattr(torch.nn, cell)(V if onehot else E, H, layers, **options)
        self.decoder = torch.nn.Linear(H, V)

    def forward(self, ids: Any) -> Any:  # (T,) -> log-probabilities (T, V)
        inputs = torch.eye(V)[ids] if self.encoder is None else self.encoder(ids)
        return self.decoder(self.rnn(inputs)[0]).log_softmax(-1)


def check(network: Any, path: Path, symbols: Path, random: Any, **options: Any) -> ModelFile:
    """Import a file, and compare what both predict after random symbols."""
    model = import_model(path, symbols=symbols, **options)
    ids = random.integers(0, V, 300)
    ours = np.array([model.vocabulary.encode(NAMES[each])[0] for each in ids])
    order = [NAMES.index(model.vocabulary.decode([each])) for each in range(V)]
    with torch.inference_mode():
        expected = network(torch.from_numpy(ids)).numpy()[:, order]
    np.testing.assert_allclose(log_probabilities(model, ours), expected, rtol=0, atol=1e-5)
    return model


@pytest.fixture(autouse=True)
def seeded(random: np.random.Generator) -> None:
    torch.manual_seed(int(random.integers(2**31)))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("onehot", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_a_network_predicts_what_torch_predicts(
    random: np.random.Generator,
    tmp_path: Path,
    symbols: Path,
    cell: str,
    layers: int,
    onehot: bool,
    suffix: str,
) -> None:
    network = Network(cell, layers, onehot=onehot)
    path = tmp_path / f"net{suffix}"
    save = torch.save if suffix == ".pt" else safetensors.save_file
    save(network.state_dict(), path)
    model = check(network, path, symbols, random)
    assert model.configuration.cell == cell.lower()
    notes = model.training["imported"].get("notes", [])
    assert [note for note in notes if "tanh is assumed" in note] == notes
    assert bool(notes) == (cell == "RNN")


def test_the_activation_of_a_plain_network_is_given(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    network = Network("RNN", nonlinearity="relu")
    torch.save(network.state_dict(), tmp_path / "net.pt")
    model = check(network, tmp_path / "net.pt", symbols, random, nonlinearity="relu")
    assert model.configuration.nonlinearity == "relu"
    assert "notes" not in model.training["imported"]
    torch.save(Network("GRU").state_dict(), tmp_path / "net.pt")
    with pytest.raises(ModelFileError, match="leave out --nonlinearity"):
        import_model(tmp_path / "net.pt", symbols=symbols, nonlinearity="relu")


def test_without_biases_they_are_zero(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    network = Network("LSTM", 2, bias=False)
    network.decoder = torch.nn.Linear(H, V, bias=False)
    torch.save(network.state_dict(), tmp_path / "net.pt")
    model = check(network, tmp_path / "net.pt", symbols, random)
    assert not model.tensors["layers.1.bias_hh"].any()


class OfCells(torch.nn.Module):  # type: ignore[name-defined, misc]
    """Twelve cells in a list: the tenth comes after the ninth."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = torch.nn.Embedding(V, H)
        self.cells = torch.nn.ModuleList([torch.nn.GRUCell(H, H) for _ in range(12)])
        self.head = torch.nn.Linear(H, V)

    def forward(self, ids: Any) -> Any:
        states, rows = [torch.zeros(H)] * len(self.cells), []
        for symbol in ids:
            hidden = self.emb(symbol)
            for number, cell in enumerate(self.cells):
                hidden = states[number] = cell(hidden, states[number])
            rows.append(self.head(hidden).log_softmax(-1))
        return torch.stack(rows)


def test_lists_of_cells_are_read_in_order(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    network = OfCells()
    torch.save(network.state_dict(), tmp_path / "net.pt")
    assert check(network, tmp_path / "net.pt", symbols, random).configuration.num_layers == 12


def test_tied_weights_serve_twice(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    network = Network("LSTM")
    network.encoder = torch.nn.Embedding(V, H)
    network.rnn = torch.nn.LSTM(H, H)
    network.decoder.weight = network.encoder.weight
    torch.save(network.state_dict(), tmp_path / "net.pt")  # under both names
    check(network, tmp_path / "net.pt", symbols, random)
    once = {name: each for name, each in network.state_dict().items() if name != "decoder.weight"}
    safetensors.save_file(once, tmp_path / "net.safetensors")
    check(network, tmp_path / "net.safetensors", symbols, random)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_checkpoints_are_searched(
    random: np.random.Generator, tmp_path: Path, symbols: Path, key: str
) -> None:
    network = Network("LSTM")
    optimizer = {"state": {0: {"exp_avg": torch.zeros(V, E)}}, "param_groups": [{"lr": 0.1}]}
    parallel = {f"module.{name}": each for name, each in network.state_dict().items()}
    torch.save({key: parallel, "optimizer": optimizer, "epoch": 3}, tmp_path / "net.pth")
    check(network, tmp_path / "net.pth", symbols, random)


@pytest.mark.parametrize(
    "entry",
    [
        {"tokens": tuple(NAMES)},
        {"chars": NAMES},
        {"vocab": "".join(NAMES)},
        {"stoi": {name: number for number, name in enumerate(NAMES)}},
        {"int2char": dict(enumerate(NAMES))},
    ],
    ids=str,
)
def test_symbols_of_a_checkpoint_are_read(
    tmp_path: Path, entry: dict[str, Any], symbols: Path
) -> None:
    torch.save({"state_dict": Network("GRU").state_dict()} | entry, tmp_path / "net.pt")
    found = import_model(tmp_path / "net.pt")
    expected = import_model(tmp_path / "net.pt", symbols=symbols)
    assert found.vocabulary == expected.vocabulary
    for name, tensor in expected.tensors.items():
        assert np.array_equal(found.tensors[name], tensor)


def test_words_of_a_checkpoint_are_refused(tmp_path: Path) -> None:
    words = [*NAMES[2:], "once", "upon"]
    content = saved({"state_dict": Network("GRU").state_dict(), "vocab": words})
    assert "'vocab' of" in str(refusal(tmp_path / "net.pt", content))
    assert "--symbols" in str(refusal(tmp_path / "net.pt", saved(Network("GRU").state_dict())))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_other_numbers_become_float32(
    random: np.random.Generator, tmp_path: Path, symbols: Path, suffix: str, dtype: Any
) -> None:
    network = Network("GRU").to(dtype)
    save = torch.save if suffix == ".pt" else safetensors.save_file
    save(network.state_dict(), tmp_path / f"net{suffix}")
    check(network.float(), tmp_path / f"net{suffix}", symbols, random)


def without(state: Mapping[str, Any], *names: str) -> Tensors:
    return {name: each for name, each in state.items() if name not in names}


def others_of_two_sizes(state: Tensors) -> Tensors:
    """A second layer of fewer units."""
    second = torch.nn.LSTM(H, 3).state_dict()
    return state | {f"rnn.{name.replace('_l0', '_l1')}": each for name, each in second.items()}


def refused_state_dicts() -> dict[str, Tensors]:
    """State dicts that are no model of ricorda, and a part of the line that refuses each."""
    state = dict(Network("LSTM").state_dict())
    same_size = Network("LSTM")
    same_size.rnn = torch.nn.LSTM(H, H)
    others = without(same_size.state_dict(), "encoder.weight", "decoder.weight", "decoder.bias")
    return {
        "bidirectional": dict(Network("LSTM", bidirectional=True).state_dict()),
        "proj_size": dict(Network("LSTM", proj_size=3).state_dict()),
        "'fc1.weight' (7, 6)": state | {"fc1.weight": torch.zeros(7, H)},
        "'norm.weight' (6,)": state | {"norm.weight": torch.zeros(H)},
        "several: 'a.rnn.', 'b.rnn.'": {f"a.{name}": each for name, each in others.items()}
        | {f"b.{name}": each.clone() for name, each in others.items()},
        "weight_ih_l0": {"linear.weight": torch.zeros(3, 4)},
        "two biases or none": without(state, "rnn.bias_hh_l0"),
        "found no tensors": without(state, "encoder.weight", "decoder.weight", "decoder.bias"),
        "1, 3 or 4 gates": state
        | {
            f"rnn.{name}_l0": torch.zeros(2 * H, *more)
            for name, more in {
                "weight_ih": (E,),
                "weight_hh": (H,),
                "bias_ih": (),
                "bias_hh": (),
            }.items()
        },
        "by shape or name": others | {"a.weight": torch.zeros(V, H), "b.weight": torch.ones(V, H)},
        "differ in their rows": state | {"rnn.bias_ih_l0": torch.zeros(3)},
        "without numbers": state | {"decoder.weight": torch.zeros(2**40, 0)},
        "have several": others_of_two_sizes(state),
        "not finite": state | {"decoder.bias": torch.full((V,), torch.nan)},
        "expected 9 symbols": state
        | {
            "encoder.weight": torch.zeros(9, E),
            "decoder.weight": torch.zeros(9, H),
            "decoder.bias": torch.zeros(9),
        },
    }


@pytest.mark.parametrize("reason", refused_state_dicts())
def test_other_networks_are_refused_by_name(tmp_path: Path, symbols: Path, reason: str) -> None:
    state = refused_state_dicts()[reason]
    message = refusal(tmp_path / "net.safetensors", safetensors.save(state), symbols)
    assert reason in str(message)


def mangled(state: Mapping[str, Any], random: np.random.Generator) -> Tensors:
    """A state dict of which one tensor has another name or shape, or is missing or repeated."""
    changed = {name: tensor.clone() for name, tensor in state.items()}
    names = list(changed)
    name, other = (names[each] for each in random.integers(0, len(names), 2))
    tensor = changed.pop(name)
    match int(random.integers(0, 8)):
        case 0:
            changed[other] = tensor
        case 1:
            changed[name] = tensor.flatten()
        case 2:
            changed[name] = tensor.reshape(1, -1)
        case 3:
            changed[name] = tensor.T.contiguous() if tensor.ndim == 2 else tensor[:-1]
        case 4:
            changed[name] = tensor.to([torch.int64, torch.float16, torch.bool][len(name) % 3])
        case 5:
            changed[name] = torch.zeros(())
        case 6:
            changed[name.replace("_l0", "_l1").replace("weight", "bias")] = tensor
            changed[name] = changed[other].clone() if other in changed else tensor[:0]
        case 7:
            changed |= {name: tensor, f"more.{other}": tensor.clone()}
    return changed


def test_mangled_state_dicts_are_refused_in_one_line(
    random: np.random.Generator, tmp_path: Path, symbols: Path
) -> None:
    own = export(make_model(Case("cifg", 2, 5, "labels"), random), "float32").files
    content = own["state_dict.safetensors"]
    state = safetensors.load(content)
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    own_ones = (safetensors.save(mangled(state, random), metadata) for _ in range(COUNT // 2))
    assert refused_share(tmp_path / "net.safetensors", own_ones) > 0.5
    state = Network("LSTM", 2).state_dict()
    others = (safetensors.save(mangled(state, random)) for _ in range(COUNT // 2))
    assert refused_share(tmp_path / "net.safetensors", others, symbols) > 0.5


def saved(value: object) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


class Harmful:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_no_code_of_a_file_is_run(tmp_path: Path, symbols: Path) -> None:
    harm = tmp_path / "harm"
    for value in (Harmful(harm), {"state_dict": Network("GRU").state_dict(), "x": Harmful(harm)}):
        message = refusal(tmp_path / "net.pt", saved(value), symbols)
        assert "could run code" in str(message)
        assert refusal(tmp_path / "net.pt", pickle.dumps(value), symbols) is not None
    assert "could run code" in str(refusal(tmp_path / "net.pt", saved(Network("GRU")), symbols))
    assert not harm.exists()


def repacked(content: bytes, *, change: Any = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A file of PyTorch with another pickle, or compressed."""
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", compression) as archive:
        old = zipfile.ZipFile(io.BytesIO(content))
        for name in old.namelist():
            part = old.read(name)
            is_pickle = name.endswith("data.pkl")
            archive.writestr(name, change(part) if change and is_pickle else part)
    return result.getvalue()


def test_without_pytorch_only_safetensors_are_read(
    tmp_path: Path, symbols: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = Network("GRU").state_dict()
    torch.save(state, tmp_path / "net.pt")
    safetensors.save_file(state, tmp_path / "net.safetensors")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ricorda\[torch\]'"):
        import_model(tmp_path / "net.pt", symbols=symbols)
    assert import_model(tmp_path / "net.safetensors", symbols=symbols).vocabulary.size == V


def nested(depth: int) -> bytes:
    return b"\x80\x02" + b"(" * depth + b"t" * depth + b"."


def test_hostile_files_are_refused_and_take_little_memory(tmp_path: Path, symbols: Path) -> None:
    content = saved(Network("GRU").state_dict())
    huge = saved({"weight_ih_l0": torch.zeros(1).expand(2**20, 2**20)})
    files = {
        "virtual or damaged": huge,
        "compressed": repacked(saved({"a": torch.zeros(2**22)}), compression=zipfile.ZIP_DEFLATED),
        "found a tuple": repacked(content, change=lambda _: nested(20_000)),
        "truncated or damaged": repacked(content, change=lambda part: part[:40]),
        "a list": saved([1, 2]),
        "bytearray'), and loading": saved({"a": torch.zeros(1), "b": bytearray(9)}),
        "'epoch'": saved({"epoch": 3}),
        "larger than the file": with_sizes(content, 2**30),
        "1.6 or newer": b"\x80\x02}q\x00.",
        "several state dicts": saved({name: {"a": torch.zeros(1)} for name in ("model", "net")}),
        "no place for": saved(
            Network("GRU").state_dict() | {f"rnn.weight_ih_l{'9' * 5000}": torch.zeros(1)}
        ),
        "two weights": saved({f"a{'9' * 5000}.weight_ih": torch.zeros(1, 1)}),
        "sparse": saved({"weight_ih_l0": torch.zeros(2, 2).to_sparse()}),
    }

    def work() -> None:
        for reason, each in files.items():
            assert reason in str(refusal(tmp_path / "net.pt", each, symbols))

    assert peak_memory(work) < 32 * 2**20


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_files_are_refused_in_one_line(
    random: np.random.Generator, tmp_path: Path, symbols: Path, suffix: str
) -> None:
    state = Network("GRU").state_dict()
    content = saved(state) if suffix == ".pt" else safetensors.save(state)

    def work() -> None:
        contents = (damaged(content, random) for _ in range(COUNT // 2))
        assert refused_share(tmp_path / f"net{suffix}", contents, symbols) > 0.5

    assert peak_memory(work) < 32 * 2**20
