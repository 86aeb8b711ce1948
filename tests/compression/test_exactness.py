"""The code has the same bytes with every instruction set and number of threads."""

import contextlib
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.compression import TrainedModel, compress_file, decompress_file
from ricorda.compression.archive import Method
from ricorda.engine.adaptive import gradient_factors
from ricorda.errors import ArchiveError, ConfigurationError
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile, write_model_file
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

_kernels = pytest.importorskip("ricorda._kernels")

RANDOM = np.random.default_rng(3)
TEXT = "".join(RANDOM.choice(list("abcdefgh   \n"), size=1100)).encode()
MARKS = "però: café, 日本\r\n".encode() + b"\xff\xfe\x80 \xc3"


def exact_sets() -> list[str]:
    """Every set of this processor whose results are those of all processors."""
    names = [name for name, _ in _kernels.instruction_sets()]
    found = {_kernels.choose_exact_set(name) for name in names}
    with contextlib.suppress(ValueError):  # where the portable set itself rounds once
        found.add(_kernels.choose_instruction_set("portable-fused"))
    return sorted(found)


SETS = exact_sets()


def a_model(folder: Path, vocabulary: Vocabulary, **shape: Any) -> TrainedModel:
    shape = {"cell": "lstm", "hidden_size": 24, "num_layers": 2, **shape}
    configuration = ModelConfiguration(vocabulary_size=vocabulary.size, **shape)
    tensors = {
        name: RANDOM.normal(scale=0.4, size=size).astype(np.float32)
        for name, size in configuration.tensor_shapes().items()
    }
    write_model_file(folder / "model.safetensors", ModelFile(configuration, vocabulary, tensors))
    return TrainedModel.load(folder)


def characters() -> CharacterVocabulary:
    return CharacterVocabulary.from_text("abcdefgh \n")


def code_of(folder: Path, content: bytes, **options: Any) -> bytes:
    source, archive = folder / "content", folder / "archive"
    source.write_bytes(content)
    compress_file(source, archive, force=True, **options)
    return archive.read_bytes()


def restored(folder: Path, code: bytes, **options: Any) -> bytes:
    (folder / "archive").write_bytes(code)
    decompress_file(folder / "archive", folder / "again", force=True, **options)
    return (folder / "again").read_bytes()


def test_every_set_has_a_place_in_the_test() -> None:
    assert "portable" not in SETS or len(SETS) == 1


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The archive that each set and number of threads must write and restore."""
    return code_of(tmp_path_factory.mktemp("code"), TEXT, kernels=SETS[0], threads=1)


@pytest.mark.parametrize("kernels, threads", list(product(SETS, [1, 2])))
def test_a_network_from_nothing(tmp_path: Path, code: bytes, kernels: str, threads: int) -> None:
    assert code[9] == 3
    assert code_of(tmp_path, TEXT, kernels=kernels, threads=threads) == code
    assert restored(tmp_path, code, kernels=kernels, threads=threads) == TEXT


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("learns", [False, True])
def test_a_trained_model(tmp_path: Path, cell: str, learns: bool) -> None:
    model = a_model(tmp_path, characters(), cell=cell, embedding_size=8)
    tensors = model.file.tensors
    sizes = {
        name: RANDOM.integers(190, 210, each.shape, np.uint8) for name, each in tensors.items()
    }
    model = replace(model, file=replace(model.file, gradient_sizes=sizes if learns else None))
    code = code_of(tmp_path, TEXT, model=model, kernels=SETS[0])
    assert code[9] == Method.TRAINED
    for kernels in SETS:
        assert code_of(tmp_path, TEXT, model=model, kernels=kernels) == code, kernels
        assert restored(tmp_path, code, model=model, kernels=kernels, threads=1) == TEXT, kernels


@pytest.mark.parametrize("content", [b"", b"a", b"\xc3", MARKS, TEXT + MARKS + TEXT, MARKS * 300])
@pytest.mark.parametrize("vocabulary", [characters(), ByteVocabulary(10)], ids=["text", "bytes"])
def test_a_model_of_other_text_restores_any_bytes(
    tmp_path: Path, content: bytes, vocabulary: Vocabulary
) -> None:
    model = a_model(tmp_path, vocabulary, embedding_size="onehot")
    code_of(tmp_path, content, model=model)
    decompress_file(tmp_path / "archive", tmp_path / "again", model=model)
    assert (tmp_path / "again").read_bytes() == content


def test_the_model_must_be_the_same(tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    first, second = (a_model(folder, characters(), embedding_size=8) for folder in folders)
    code_of(tmp_path, TEXT, model=first)
    with pytest.raises(ArchiveError, match="give --model"):
        decompress_file(tmp_path / "archive", tmp_path / "again")
    with pytest.raises(ArchiveError, match="another model"):
        decompress_file(tmp_path / "archive", tmp_path / "again", model=second)
    assert not (tmp_path / "again").exists()


def test_factors_are_those_of_the_formula() -> None:
    sizes = {"a": RANDOM.integers(100, 256, size=(5, 7), dtype=np.uint8)}
    means = np.exp2(sizes["a"] / 8 - 32.0)
    expected = 1 / (means + 0.03 * means.mean())
    np.testing.assert_allclose(gradient_factors(sizes)["a"], expected, rtol=1e-6)


def test_a_model_of_words_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_model(tmp_path, characters(), embedding_size=8)
    monkeypatch.setattr("ricorda.compression.models.CharacterVocabulary", ByteVocabulary)
    with pytest.raises(ConfigurationError, match="model of characters or bytes"):
        TrainedModel.load(tmp_path)
