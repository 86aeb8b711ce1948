"""The model as programs use it: loading, options, traces, no PyTorch."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.engine import Model, ReferenceBackend, load, make_backend
from ricorda.errors import (
    ConfigurationError,
    ModelFileError,
    TextError,
    UnseenCharactersWarning,
    VocabularyError,
)
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile, write_model_file
from ricorda.text.vocabulary import CharacterVocabulary

CONFIGURATION = ModelConfiguration(cell="lstm", vocabulary_size=4, hidden_size=5, num_layers=2)


@pytest.fixture
def saved(tmp_path: Path, tensors_of: Callable[..., Any]) -> Path:
    """A run's folder with a model in it."""
    file = ModelFile(
        CONFIGURATION, CharacterVocabulary("\nabc", "\n"), tensors_of(CONFIGURATION), {"step": 7}
    )
    write_model_file(tmp_path / "model.safetensors", file)
    return tmp_path


def test_a_file_and_a_run_folder_give_the_same_model(saved: Path) -> None:
    from_folder = load(saved, backend="numpy")
    from_file = load(str(saved / "model.safetensors"), backend="numpy")
    assert from_folder.configuration == from_file.configuration == CONFIGURATION
    assert from_folder.vocabulary == CharacterVocabulary("\nabc", "\n")
    assert from_folder.training == {"step": 7}
    assert from_folder.parameters == CONFIGURATION.parameters
    assert from_folder.generate("ab", seed=1) == from_file.generate("ab", seed=1)


def test_any_backend_gives_the_same_figures(saved: Path) -> None:
    expected = load(saved, backend="numpy").evaluate("abc\n" * 20)
    found = load(saved, precision="float32").evaluate("abc\n" * 20)
    assert found.nats == pytest.approx(expected.nats, rel=1e-5)


def test_a_missing_model_is_reported(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.safetensors"):
        with pytest.raises(ModelFileError, match="no model file"):
            load(path)


def test_numpy_has_one_precision(saved: Path) -> None:
    assert isinstance(load(saved, "auto", "numpy").backend, ReferenceBackend)
    assert isinstance(load(saved, "float32", "numpy").backend, ReferenceBackend)
    with pytest.raises(ConfigurationError, match="precision int8 needs the compiled kernels"):
        load(saved, "int8", "numpy")


def test_without_kernels_numpy_serves(
    tensors_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ricorda.engine.choice.kernels_are_built", lambda: False)
    tensors = tensors_of(CONFIGURATION)
    assert isinstance(make_backend(CONFIGURATION, tensors), ReferenceBackend)
    with pytest.raises(ConfigurationError, match="backend native needs the compiled kernels"):
        make_backend(CONFIGURATION, tensors, backend="native")
    with pytest.raises(ConfigurationError, match="precision bfloat16 needs the compiled kernels"):
        make_backend(CONFIGURATION, tensors, precision="bfloat16")


def test_wrong_names_are_reported(saved: Path) -> None:
    wrong: Any = "float64"
    with pytest.raises(ConfigurationError, match=r"precision must be .* got 'float64'"):
        load(saved, precision=wrong)
    with pytest.raises(ConfigurationError, match=r"backend must be .* got 'float64'"):
        load(saved, backend=wrong)


def test_the_distribution_names_its_symbols(model: Model) -> None:
    after = model.distribution("ab", temperature=1)
    assert after.symbols == ("\\n", "a", "b", "c", "d", "e", "é", "世")
    assert after.probabilities.sum() == pytest.approx(1)
    best = after.most_likely(3)
    assert [probability for _, probability in best] == sorted(after.probabilities)[:-4:-1]
    assert best[0][0] == after.symbols[int(after.probabilities.argmax())]
    assert len(after.most_likely(99)) == 8


def test_the_distribution_starts_and_skips_as_writing_does(model: Model) -> None:
    def after(prompt: str, **options: Any) -> list[float]:
        found: list[float] = model.distribution(prompt, **options).probabilities.tolist()
        return found

    assert after("") == after("\n")
    with pytest.warns(UnseenCharactersWarning, match="1 character of the prompt .* saw: 'X'"):
        assert after("aX") == after("a")
    assert after("a", top_k=2) != after("a")
    with pytest.raises(VocabularyError, match="'X'"):
        after("aX", on_unknown="error")
    with pytest.raises(ConfigurationError, match="unknown option lenght"):
        after("a", lenght=3)


def test_a_trace_holds_every_array_by_name(model: Model) -> None:
    trace = model.trace("ab\n")
    assert trace.symbols == ("a", "b", "\\n")
    assert set(trace) == {"hidden", "reset_gate", "update_gate", "candidate"}
    assert len(trace) == 4
    assert trace["hidden"].shape == (3, 1, 8)
    _, state = model.backend.forward(
        model.vocabulary.encode("ab\n")[np.newaxis], model.backend.zero_state(1)
    )
    np.testing.assert_allclose(trace["hidden"][-1], state[0, :, 0], rtol=1e-6)


def test_a_trace_needs_known_symbols(model: Model) -> None:
    with pytest.raises(TextError, match="at least one symbol"):
        model.trace("")
    with pytest.raises(VocabularyError, match="'X'"):
        model.trace("aX")
    with pytest.warns(UnseenCharactersWarning, match="'X'"):
        assert model.trace("aX", on_unknown="skip").symbols == ("a",)


def test_the_engine_imports_no_torch() -> None:
    program = "import sys, ricorda.engine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
