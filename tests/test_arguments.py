"""What each public function says of an argument that it does not take."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import pytest

import ricorda
from ricorda import engine, insight, text
from ricorda.arguments import checked
from ricorda.engine import Model, load, load_file
from ricorda.engine.adaptive import gather_gradient_sizes
from ricorda.errors import ConfigurationError, InputError, RicordaError
from ricorda.model import ModelConfiguration, ModelFile, write_model_file
from ricorda.text import CharacterVocabulary, Decompression, find_sources
from ricorda.text.reading_settings import ReadingSettings
from tests.model.divided import divided_model

TEXT = "abcba\n" * 50


class Nothing:
    """What no function takes."""

    def __repr__(self) -> str:
        return "<nothing>"


class Public:
    """One public function with arguments that it takes."""

    def __init__(self, function: Callable[..., Any], /, **given: Any) -> None:
        self.function, self.given = function, given


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arguments")
    configuration = ModelConfiguration(cell="lstm", vocabulary_size=4, hidden_size=4)
    random = np.random.default_rng(1)
    tensors = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in configuration.tensor_shapes().items()
    }
    vocabulary = CharacterVocabulary("\nabc", "\n")
    write_model_file(folder / "model.safetensors", ModelFile(configuration, vocabulary, tensors))
    (folder / "my.txt").write_text(TEXT)
    return folder


@pytest.fixture(scope="module")
def public(place: Path) -> dict[str, Public]:
    """Every public function, by its name."""
    model, file = load(place, threads=1), load_file(place)
    vocabulary, scores = model.vocabulary, model.score("abc", 1)
    divided = divided_model()
    sizes = gather_gradient_sizes(
        file.configuration, file.tensors, text.Part.whole(vocabulary.encode("abc" * 99)), 32
    )
    learner = engine.open_model(replace(file, gradient_sizes=sizes))
    ids, unit = vocabulary.encode(TEXT), insight.Unit(0, 1)
    numbers = np.arange(9, dtype=np.float64)
    sources = find_sources([place / "my.txt"])
    health = insight.unit_health(model, TEXT)
    tracked = insight.track_units(model, TEXT, shifts=1)
    matter = insight.influence(model, TEXT, [9], distance=2)
    equation = insight.step_equation(file, TEXT, 3, unit)
    write = {"prompt": "ab", "length": 2, "seed": 1, "stop": "c", "on_unknown": "skip"}
    read = {"text": "abc", "on_unknown": "skip"}
    open_as = {"precision": "float32", "backend": "auto", "threads": 1}
    as_read = {"newlines": "keep", "progress": None, "decompression": Decompression()}
    return {
        "load": Public(ricorda.load, path=place, **open_as),
        "load_file": Public(engine.load_file, path=place),
        "open_model": Public(engine.open_model, file=file, **open_as),
        "make_backend": Public(
            engine.make_backend,
            configuration=file.configuration,
            tensors=file.tensors,
            **open_as,
        ),
        "Model.generate": Public(model.generate, **write),
        "Model.stream": Public(model.stream, **write),
        "Model.begin": Public(model.begin, **write),
        "Model.distribution": Public(model.distribution, prompt="ab", on_unknown="skip"),
        "Model.score": Public(model.score, **read, alternatives=1),
        "Model.evaluate": Public(model.evaluate, **read, window=2),
        "Model.adaptive_backend": Public(learner.adaptive_backend),
        "Model.adapt": Public(learner.adapt, **read | {"text": "abc" * 20}),
        "Model.save": Public(learner.save, path=place / "saved.safetensors"),
        "Model.trace": Public(model.trace, **read),
        "Model.generate_many": Public(model.generate_many, prompts=["ab"]),
        "Model.begin_many": Public(model.begin_many, prompts=["ab"], count=1),
        "Model.score_documents": Public(
            divided.score_documents, documents=["ab"], on_unknown="skip"
        ),
        "Model.classify": Public(divided.classify, text="ab", prior="uniform", on_unknown="skip"),
        "Model.classify_documents": Public(
            divided.classify_documents, documents=["ab"], prior="uniform", on_unknown="skip"
        ),
        "Model.embed": Public(
            model.embed, texts=["ab"], vector="state", normalize=True, on_unknown="skip"
        ),
        "Model.embed_documents": Public(
            model.embed_documents, documents=["ab"], vector="layers", normalize=True
        ),
        "Distribution.most_likely": Public(model.distribution("a").most_likely, count=2),
        "Scores.alternatives": Public(scores.alternatives, position=1),
        "Session.add": Public(
            model.backend.session(vocabulary).add,
            ids=ids[:3],
            settings=engine.GenerationSettings(),
            state=None,
            before=None,
        ),
        "agreement": Public(
            insight.agreement, first=numbers.reshape(3, 3), second=numbers.reshape(3, 3)
        ),
        "rank_correlation": Public(insight.rank_correlation, first=numbers, second=numbers),
        "alternatives": Public(insight.alternatives, model=model, text=TEXT, top=2),
        "chance_length": Public(
            insight.chance_length, first=ids.astype(np.int64), second=ids.astype(np.int64)
        ),
        "clamped": Public(insight.clamped, file=file, units={unit: 0.5}),
        "clusters": Public(insight.clusters, ids=ids, vocabulary=vocabulary),
        "describe": Public(insight.describe, vocabulary=vocabulary, ids=ids),
        "influence": Public(
            insight.influence,
            model=model,
            text=TEXT,
            positions=[9],
            distance=2,
            method="replace",
            seed=1,
        ),
        "read_activations": Public(insight.read_activations, model=model, text=TEXT),
        "shared_stretches": Public(
            insight.shared_stretches, written=["abc"], training=["abcb"], lengths=[2, 3]
        ),
        "step_equation": Public(insight.step_equation, file=file, text=TEXT, position=3, unit=unit),
        "surprisal_page": Public(insight.surprisal_page, scores=scores, title="A text"),
        "track_units": Public(
            insight.track_units, model=model, text=TEXT, symbols=250, shifts=1, seed=1
        ),
        "unit_activity": Public(
            insight.unit_activity, model=model, text=TEXT, units=[unit], name="hidden"
        ),
        "unit_health": Public(insight.unit_health, model=model, text=TEXT),
        "Health.state_of": Public(health.state_of, unit=unit),
        "Tracked.of": Public(tracked.of, unit=unit),
        "Tracked.units_for": Public(tracked.units_for, key="vowel", count=1),
        "Influence.at": Public(matter.at, row=0),
        "StepEquation.gate": Public(equation.gate, name=equation.gates[0].name),
        "StepEquation.lines": Public(equation.lines, digits=2),
        "Unit.parse": Public(insight.Unit.parse, text="0:1"),
        "CharacterVocabulary.from_text": Public(CharacterVocabulary.from_text, text="abc"),
        "CharacterVocabulary.encode": Public(vocabulary.encode, **read),
        "CharacterVocabulary.unknown": Public(vocabulary.unknown, text="abc"),
        "ByteVocabulary.encode": Public(text.ByteVocabulary(10).encode, **read),
        "ByteVocabulary.unknown": Public(text.ByteVocabulary(10).unknown, text="abc"),
        "cache_for": Public(text.cache_for, option="off"),
        "encode_sources": Public(
            text.encode_sources,
            sources=sources,
            vocabulary="characters",
            folder=place,
            reading=ReadingSettings(newlines="keep"),
            on_unknown="skip",
            cache=None,
            say=print,
            progress=None,
        ),
        "find_sources": Public(
            text.find_sources,
            arguments=[place / "my.txt"],
            encoding=None,
            decompress=True,
            max_decompressed=None,
            tables=False,
            on_left_out=None,
        ),
        "id_type": Public(text.id_type, size=5),
        "parse_size": Public(text.parse_size, option="--size", text="5MB"),
        "read_bytes": Public(text.read_bytes, sources=sources, **as_read),
        "document_hint": Public(
            text.document_hint,
            text=text.encode_sources(sources, vocabulary="characters", folder=place),
        ),
        "read_documents": Public(
            text.read_documents,
            sources=sources,
            reading=ReadingSettings(),
            vocabulary=vocabulary,
            needs_label=False,
        ),
        "read_prompt": Public(
            text.read_prompt,
            text="abc",
            vocabulary=vocabulary,
            settings=ReadingSettings(),
            drop_mark=True,
        ),
        "Model.read_prompt": Public(model.read_prompt, text="abc", drop_mark=True),
        "read_text": Public(text.read_text, sources=sources, encoding="utf-8", **as_read),
        "split": Public(text.split, text=text.Part.whole(ids), validation_fraction=0.1),
    }


def test_every_public_function_is_here(public: dict[str, Public]) -> None:
    names = {
        name
        for package in (insight, text)
        for name in package.__all__
        if inspect.isfunction(getattr(package, name, None))
    }
    names |= {
        f"Model.{name}"
        for name, value in vars(Model).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    names.discard("gradient_influence")  # imports PyTorch; checked below
    assert names - public.keys() == set()


def test_every_argument_is_checked_by_name(public: dict[str, Public]) -> None:
    for name, each in public.items():
        each.function(**each.given)
        for argument in each.given:
            with pytest.raises(RicordaError) as caught:
                each.function(**{**each.given, argument: Nothing()})
            message = str(caught.value)
            assert message.startswith(f"{argument} must be "), (name, message)
            assert message.endswith("got <nothing>"), (name, message)
            assert "\n" not in message


@pytest.mark.parametrize(
    "name, given, message",
    [
        ("load", {"path": ""}, "path must be a path, got ''"),
        ("load", {"threads": 1.5}, "threads must be a whole number or None, got 1.5"),
        ("load", {"threads": True}, "threads must be a whole number or None, got True"),
        ("load", {"threads": 0}, "threads must be at least 1, got 0"),
        (
            "load",
            {"precision": "half"},
            "precision must be 'auto' or 'float32' or 'bfloat16' or 'int8', got 'half'",
        ),
        ("load", {"backend": None}, "backend must be 'auto' or 'native' or 'numpy', got None"),
        ("load", {"path": None}, "path must be text or bytes or a path or a run, got None"),
        ("Model.generate", {"prompt": None}, "prompt must be text or bytes, got None"),
        ("Model.generate", {"prompt": Path("a")}, "prompt must be text or bytes, got PosixPath"),
        ("Model.generate", {"prompt": ["a"]}, "prompt must be text or bytes, got ['a']"),
        (
            "Model.generate",
            {"length": 1.5},
            "length must be a whole number or 'inf' or None, got 1.5",
        ),
        (
            "Model.generate",
            {"length": False},
            "length must be a whole number or 'inf' or None, got False",
        ),
        (
            "Model.generate",
            {"length": 10**5000},
            "length must be at most 1000000000000, got a value of type int",
        ),
        ("Model.generate", {"on_unknown": "raise"}, "on_unknown must be 'error' or 'skip'"),
        ("Model.generate", {"stop": [1]}, "stop[0] must be text, got 1"),
        ("Model.generate", {"temprature": 1}, "unknown option temprature: did you mean temper"),
        ("Model.score", {"on_unknown": "raise"}, "on_unknown must be 'error' or 'skip', got 'r"),
        ("Model.score", {"text": 5}, "text must be text or bytes or an array of whole numbers"),
        ("Model.score", {"text": ["a", 5]}, "text[1] must be text or bytes or an array"),
        ("Model.score", {"text": iter(["a", 5])}, "a piece of the text must be text, bytes or"),
        ("Model.score", {"text": np.ones(3)}, "text must be text or bytes or an array of whole"),
        ("Model.score", {"alternatives": -1}, "alternatives must be at least 0, got -1"),
        ("Model.evaluate", {"window": 0}, "window must be at least 1, got 0"),
        ("Model.evaluate", {"window": "2"}, "window must be a whole number or None, got '2'"),
        ("clamped", {"units": {1: 0.5}}, "units keys must be of type Unit, got 1"),
        ("influence", {"positions": 3}, "positions must be a list or None, got 3"),
        ("influence", {"positions": [0.5]}, "positions[0] must be a whole number, got 0.5"),
        ("influence", {"method": "x"}, "method must be 'leave out' or 'replace', got 'x'"),
        ("find_sources", {"arguments": "my.txt"}, "arguments must be a list, got 'my.txt'"),
        ("find_sources", {"decompress": 1}, "decompress must be True or False, got 1"),
        ("split", {"validation_fraction": True}, "validation_fraction must be a number or None"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said(
    public: dict[str, Public], name: str, given: dict[str, Any], message: str
) -> None:
    each = public[name]
    with pytest.raises(InputError) as caught:
        each.function(**each.given | given)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("arguments", [(), ("a", 1, 2, 3)], ids=str)
def test_a_missing_or_another_argument_is_a_type_error(place: Path, arguments: Any) -> None:
    model = load(place)
    with pytest.raises(TypeError, match=r"Model\.trace: (missing|too many)"):
        model.trace(*arguments)


def test_numbers_of_numpy_and_bytes_and_paths_are_taken(place: Path) -> None:
    one: Any = np.int64(1)
    five: Any = np.uint8(5)
    model: Any = load(str(place), threads=one)
    expected = model.generate("ab", length=5, seed=3, temperature=0.5)
    other: Any = load(bytes(place))
    again = other.generate(b"ab", length=five, seed=np.int64(3), temperature=np.float32(0.5))
    assert again == expected
    assert model.score(b"abc").symbols == model.score("abc").symbols
    np.testing.assert_array_equal(model.trace(b"abc")["hidden"], model.trace("abc")["hidden"])
    assert model.distribution("a").most_likely(one) == model.distribution(b"a").most_likely(1)
    positions: Any = np.array([9])
    places = insight.influence(model, TEXT, positions, distance=2).positions
    assert places.tolist() == [9]
    with pytest.raises(InputError, match="UTF-8"):
        model.generate(b"\xff")


def test_gradients_are_checked_too(place: Path) -> None:
    pytest.importorskip("torch")
    file = load_file(place)
    for given, message in (
        ({"distance": 1.5}, "distance must be a whole number, got 1.5"),
        ({"measure": "x"}, "measure must be 'norm'"),
        ({"positions": [True]}, r"positions\[0\] must be a whole number, got True"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            insight.gradient_influence(file, TEXT, **given)


@checked
def example(
    *rest: int,
    flags: dict[str, bool] | None = None,
    many: Annotated[list[Literal["a", "b"]], "letters"] = ["a"],  # noqa: B006
    anything: Any = None,
    share: float = 0.5,
) -> Any:
    return rest, flags, many, anything, share


@checked
def sized(width: int, height: float = 2.0, *, name: str) -> Any:
    return width, height, name


@checked
def open_ended(first: int, **others: Any) -> Any:
    return first, others


def test_arguments_by_place_and_by_name() -> None:
    three: Any = np.int64(3)
    assert sized(three, 4, name="a") == (3, 4, "a")
    assert sized(name="a", width=3) == (3, 2.0, "a")
    assert open_ended(1, second="x") == (1, {"second": "x"})
    assert open_ended(first=1) == (1, {})
    for arguments, keywords, message in [
        ((), {"name": "a"}, "sized: missing a required argument: 'width'"),
        ((1,), {}, "sized: missing a required argument: 'name'"),
        ((1, 2.0, 3), {"name": "a"}, "sized: too many positional arguments"),
        ((1,), {"name": "a", "width": 2}, "sized: multiple values for argument 'width'"),
        ((1,), {"name": "a", "depth": 2}, "sized: got an unexpected keyword argument 'depth'"),
    ]:
        with pytest.raises(TypeError, match=message):
            sized(*arguments, **keywords)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="open_ended: multiple values for argument 'first'"):
        open_ended(1, **{"first": 2})
    with pytest.raises(ConfigurationError, match="height must be a number, got 'x'"):
        sized(1, "x", name="a")  # type: ignore[arg-type]


def test_values_reach_a_function_as_its_types() -> None:
    found = example(True, flags={}, many=["b"], share=np.float64(2), anything=MappingProxyType({}))
    assert found == ((True,), {}, ["b"], MappingProxyType({}), 2.0)
    assert type(found[4]) is float
    wrong: Any = ["a", "c"]
    with pytest.raises(ConfigurationError, match=r"many\[1\] must be 'a' or 'b', got 'c'"):
        example(many=wrong)
