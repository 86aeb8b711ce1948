"""Models are copied, pickled and sent to other processes; texts being written are not."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.engine import Model, load, make_backend
from ricorda.engine.backend import InProgress
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile, write_model_file
from ricorda.text.byte_vocabulary import ByteVocabulary
from ricorda.text.vocabulary import CharacterVocabulary, Vocabulary

NATIVE = pytest.mark.skipif(
    not ricorda.engine.kernels_are_built(), reason="needs the compiled kernels"
)
KINDS = [
    ("numpy", "float32"),
    *(pytest.param("native", kind, marks=NATIVE) for kind in ("float32", "bfloat16", "int8")),
]


def pickled(protocol: int) -> Callable[[Any], Any]:
    return lambda each: pickle.loads(pickle.dumps(each, protocol))


WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {each}": pickled(each) for each in range(2, pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.fixture(params=["characters", "bytes"])
def path(request: pytest.FixtureRequest, tmp_path: Path, tensors_of: Callable[..., Any]) -> Path:
    vocabulary: Vocabulary = ByteVocabulary(10)
    if request.param == "characters":
        vocabulary = CharacterVocabulary("\nabcdefg", "\n")
    configuration = ModelConfiguration(
        cell="lstm", vocabulary_size=vocabulary.size, hidden_size=16, num_layers=2
    )
    path = tmp_path / "model.safetensors"
    tensors = tensors_of(configuration)
    write_model_file(path, ModelFile(configuration, vocabulary, tensors, {"step": 7}))
    return path


@pytest.mark.parametrize("backend, precision", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_computes_the_same(path: Path, backend: Any, precision: Any, way: str) -> None:
    model = load(path, precision, backend, threads=1)
    expected = model.score("abcabc", 3)
    again: Model = WAYS[way](model)
    found = again.score("abcabc", 3)
    np.testing.assert_array_equal(found.nats, expected.nats)
    np.testing.assert_array_equal(found.alternative_ids, expected.alternative_ids)
    assert again.generate("ab", seed=1) == model.generate("ab", seed=1)
    assert again.training == {"step": 7}
    assert again.vocabulary == model.vocabulary
    for option in ("precision", "threads", "instruction_set"):
        assert getattr(again.backend, option, None) == getattr(model.backend, option, None)


@pytest.mark.parametrize("backend, precision", KINDS)
def test_a_deep_copy_outlives_what_it_was_copied_from(
    path: Path, backend: Any, precision: Any
) -> None:
    model = load(path, precision, backend)
    expected = model.generate("ab", seed=1)
    again = copy.deepcopy(model)
    path.unlink()
    model.training["step"] = 8
    del model
    assert again.training == {"step": 7}
    assert copy.deepcopy(again).generate("ab", seed=1) == expected


@NATIVE
def test_what_auto_chose_and_the_instruction_set_are_kept(tensors_of: Callable[..., Any]) -> None:
    configuration = ModelConfiguration(cell="gru", vocabulary_size=5, hidden_size=8)
    from ricorda.engine.native import NativeBackend

    backend = NativeBackend(
        configuration, tensors_of(configuration), "int8", threads=2, kernels="portable"
    )
    again = pickle.loads(pickle.dumps(backend))
    assert (again.precision, again.threads, again.instruction_set) == ("int8", 2, "portable")
    auto = make_backend(configuration, tensors_of(configuration), "auto")
    assert isinstance(auto, NativeBackend)
    assert pickle.loads(pickle.dumps(auto)).precision == auto.precision


@pytest.mark.parametrize("backend, precision", KINDS)
def test_a_pool_of_spawned_processes_runs_a_model(path: Path, backend: Any, precision: Any) -> None:
    model = load(path, precision, backend, threads=1)
    prompts = ["a", "bc", "cab"]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        figures = pool.map(model.evaluate, [prompt * 5 for prompt in prompts])
    assert figures == [model.evaluate(prompt * 5) for prompt in prompts]


@pytest.mark.parametrize("backend, precision", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_text_being_written_is_not_copied(
    path: Path, backend: Any, precision: Any, way: str
) -> None:
    model = load(path, precision, backend)
    generation = model.begin("ab")
    session = model.backend.session(model.vocabulary)
    stream = session.add(model.vocabulary.encode("ab"), generation.settings)
    for each in (generation, session, stream):
        assert isinstance(each, InProgress)
        with pytest.raises(TypeError, match="cannot be copied or pickled") as caught:
            WAYS[way](each)
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError):
        pickle.dumps(model.stream("ab"))


def test_what_a_model_returns_is_pickled(path: Path) -> None:
    model = load(path)
    scores = pickle.loads(pickle.dumps(model.score("abc")))
    assert scores.symbols == ("a", "b", "c")
    assert pickle.loads(pickle.dumps(model.trace("abc"))).symbols == ("a", "b", "c")
    likely = model.distribution("abc").most_likely(2)
    assert pickle.loads(pickle.dumps(model.distribution("abc"))).most_likely(2) == likely
