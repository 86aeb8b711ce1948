"""One clear line for each way in which an option can be wrong."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from ricorda.engine import GenerationSettings, SamplingSettings
from ricorda.errors import ConfigurationError
from ricorda.model import ModelConfiguration
from ricorda.serving.settings import ServerSettings
from ricorda.training.checkpoint.record import RunRecord, TextRecord
from ricorda.training.checkpoint.snapshot import Progress
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.options import TrainingOptions
from ricorda.validation import REQUIREMENTS, explain, parse_json, validated


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    dropout: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
    hidden_size: Annotated[int, Field(ge=1, le=65536)] = 128
    scale: Annotated[float, Field(gt=0.5)] = 1.0
    embedding_size: Annotated[int, Field(ge=1)] | Literal["onehot"] = "onehot"
    cell: Literal["rnn", "gru", "lstm"] = "rnn"
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    greedy: bool = False
    name: str = "run"
    even: int = 2

    @field_validator("even")
    @classmethod
    def _even(cls, even: int) -> int:
        if even % 2:
            raise ValueError(f"even must be divisible by two, got {even}")
        return even


def test_good_values_pass() -> None:
    assert validated(Options, dropout=0.5, hidden_size=64).hidden_size == 64


@pytest.mark.parametrize(
    "values, message",
    [
        ({"dropout": 1.5}, "dropout must be less than 1, got 1.5"),
        ({"dropout": -1}, "dropout must be at least 0, got -1"),
        ({"dropout": float("nan")}, "dropout must be a finite number, got nan"),
        ({"dropout": "x"}, "dropout must be a number, got 'x'"),
        ({"dropout": None}, "dropout must be a number, got None"),
        ({}, "dropout must be given"),
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"hidden_size": 70000}, "hidden_size must be at most 65536, got 70000"),
        ({"hidden_size": 1.5}, "hidden_size must be a whole number, got 1.5"),
        ({"hidden_size": "2"}, "hidden_size must be a whole number, got '2'"),
        ({"embedding_size": "2"}, "embedding_size must be a whole number or 'onehot', got '2'"),
        ({"scale": "2"}, "scale must be a number, got '2'"),
        ({"greedy": "true"}, "greedy must be true or false, got 'true'"),
        ({"scale": float("nan")}, "scale must be a finite number, got nan"),
        ({"scale": 0.5}, "scale must be greater than 0.5, got 0.5"),
        ({"embedding_size": 0}, "embedding_size must be at least 1 or 'onehot', got 0"),
        ({"embedding_size": "x"}, "embedding_size must be a whole number or 'onehot', got 'x'"),
        ({"cell": "elman"}, "cell must be 'rnn', 'gru' or 'lstm', got 'elman'"),
        ({"stop": ("a", "")}, "stop[1] must be at least 1 long, got ''"),
        ({"stop": 5}, "stop must be a list, got 5"),
        ({"greedy": "maybe"}, "greedy must be true or false, got 'maybe'"),
        ({"name": 5}, "name must be text, got 5"),
        ({"even": 3}, "even must be divisible by two, got 3"),
        ({"hiden_size": 3}, "unknown option hiden_size: did you mean hidden_size?"),
        ({".idden_size": 3}, "unknown option .idden_size: did you mean hidden_size?"),
        ({"hidden_size.": 3}, "unknown option hidden_size.: did you mean hidden_size?"),
        (
            {"zzz": 3},
            "unknown option zzz: the options are dropout, hidden_size, scale, embedding_size, "
            "cell, stop, greedy, name, even",
        ),
        (
            {"hidden_size": 0, "cell": "x"},
            "hidden_size must be at least 1, got 0; cell must be 'rnn', 'gru' or 'lstm', got 'x'",
        ),
    ],
)
def test_each_fault_is_one_line(values: dict[str, Any], message: str) -> None:
    given = values if not values or "dropout" in values else {"dropout": 0.1} | values
    with pytest.raises(ConfigurationError) as caught:
        validated(Options, **given)
    assert str(caught.value) == message


def test_long_values_are_shortened() -> None:
    with pytest.raises(ConfigurationError) as caught:
        validated(Options, dropout="x\n" * 1000)
    assert len(str(caught.value)) < 100
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("[" * 40 + "]" * 40, "more than 32 levels"),
        ("[" * 100_000, "more than 32 levels"),
        ('{"a": 1, "a": 2}', "a key twice"),
        ('{"a": NaN}', "not a number"),
        ("1" * 200_001, "more than"),
        ("[" + "0," * 60 + "0]", "more than 50 elements"),
        ("[" + "[]," * 60 + "[]]", "more than 50 elements"),
        ('{"a":' * 20 + "[" + "[{}]," * 15 + "[]]" + "}" * 20, "more than 50 elements"),
        ('["' + "[" * 40 + '\\\\",' + "[" * 40, "more than 32 levels"),
    ],
    ids=[
        "deep",
        "deeper than Python goes",
        "twice",
        "no number",
        "long",
        "many numbers",
        "many lists",
        "many in objects",
        "deep after a string that looks deep",
    ],
)
def test_json_from_anybody_is_bounded(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text, longest=200_000, most=50)
    with pytest.raises(ValueError, match=message):
        parse_json(text.encode(), longest=200_000, most=50)


@pytest.mark.parametrize(
    "value",
    [
        [[[[]]]],
        {"a": "[" * 100 + "," * 100},
        {'"[' * 40: "\\" * 3 + '"[{,'},
        ["\\", "[" * 40, "\\\\", "[" * 40],
        "\ud800",
        list(range(50)),
    ],
    ids=str,
)
def test_json_within_bounds_is_read(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert parse_json(text, longest=2000, most=51) == value
        assert parse_json(text.encode("utf-8", "surrogatepass"), longest=2000, most=51) == value


SETTINGS: list[Any] = [
    *(GenerationSettings, SamplingSettings, TrainingOptions, TrainingConfiguration, Budget),
    *(ModelConfiguration, RunRecord, TextRecord, Progress, ServerSettings),
]
WRONG: list[Any] = [
    *(None, True, "", "x", "\ud800", b"x", b"\xff", 1.5, -1, 0, 2**70, "9" * 5000, 1e400),
    *(float("nan"), [], ["x"], [1], [""], [None], [b"x"], {}, {"x": 1}, [[1]], [[1, "x"]]),
    *([[1, 2.0, 3]], [["x", 1.0]], [[1, float("inf")]], (), set(), object(), Path("x"), range(3)),
]
PHRASES = ["input should", "should be", "unable to", "instance of", "field required", "type="]
"""How pydantic itself puts it."""


def wrong_values() -> list[tuple[Any, str, Any]]:
    return [
        (settings, field, value)
        for settings in SETTINGS
        for field in settings.__pydantic_fields__
        for value in WRONG
    ]


def test_every_kind_of_fault_has_a_plain_sentence() -> None:
    """Prints a sentence of each kind: read them with `pytest -s`."""
    sentences: dict[str, str] = {}
    for settings, field, value in wrong_values():
        try:
            TypeAdapter(settings).validate_python({field: value})
        except ValidationError as error:
            details = [each for each in error.errors() if each["loc"][:1] == (field,)]
            message = explain(error, settings)
            for detail in details:
                sentences.setdefault(detail["type"], message.split("; ")[0])
                assert detail["type"] in REQUIREMENTS or detail["type"] in (
                    "missing",
                    "value_error",
                    "unexpected_keyword_argument",
                ), detail
            assert "\n" not in message
            assert not [phrase for phrase in PHRASES if phrase in message.lower()], message
        except ConfigurationError:
            pass  # a sentence of ours
    for kind, sentence in sorted(sentences.items()):
        print(f"{kind:28} {sentence}")
    assert sentences.keys() >= REQUIREMENTS.keys() - {"string_unicode", "dict_type"}
