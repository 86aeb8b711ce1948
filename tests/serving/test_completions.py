"""What the API answers, field by field."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ricorda
from ricorda.engine import GenerationSettings
from ricorda.serving.completion import CompletionTask
from tests.serving.conftest import SYMBOLS, Server, eventually

Serve = Callable[..., Any]


@pytest.fixture(scope="session")
def letters(models: dict[str, Path]) -> ricorda.Model:
    """The same model in this process, in the precision that `ricorda score` uses."""
    return ricorda.load(models["letters"], "float32")


def test_an_answer_has_every_field(server: Server) -> None:
    answer = server.complete(max_tokens=7, seed=1)
    assert answer["id"].startswith("cmpl-")
    assert answer["object"] == "text_completion"
    assert answer["model"] == "letters"
    assert answer["system_fingerprint"].startswith("fp_")
    (choice,) = answer["choices"]
    assert (choice["index"], choice["logprobs"], choice["finish_reason"]) == (0, None, "length")
    assert len(choice["text"]) == 7
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10}


def test_it_writes_what_the_library_writes(server: Server, letters: ricorda.Model) -> None:
    text = letters.generate("abc", length=40, seed=5, temperature=0.9, top_k=9, min_p=0.01)
    fields = {"max_tokens": 40, "seed": 5, "temperature": 0.9, "top_k": 9, "min_p": 0.01}
    assert server.text(**fields) == text


def test_max_tokens_is_16_unless_given(server: Server) -> None:
    assert len(server.text()) == len(server.text(max_tokens=None)) == 16


CHANGES: dict[str, Any] = {
    "prompt": "abd",
    "max_tokens": 29,
    "temperature": 0.3,
    "top_p": 0.4,
    "top_k": 2,
    "min_p": 0.7,
    "seed": 2,
    "stop": ["e", "a", "i"],
    "logit_bias": {"7": 100},
    "presence_penalty": 2,
    "frequency_penalty": 2,
    "echo": True,
    "best_of": 4,
}


def test_every_field_changes_the_text(server: Server) -> None:
    base = {"max_tokens": 30, "seed": 1}
    texts = [server.text(**base), *(server.text(**base | {k: v}) for k, v in CHANGES.items())]
    assert len(set(texts)) == 1 + len(CHANGES)


def test_a_seed_repeats_and_none_is_fresh(server: Server) -> None:
    assert server.text(seed=-3, max_tokens=30) == server.text(seed=-3, max_tokens=30)
    assert server.text(max_tokens=30) != server.text(max_tokens=30)


def test_temperature_0_writes_the_likeliest(server: Server, letters: ricorda.Model) -> None:
    greedy = letters.generate("abc", length=20, greedy=True)
    assert server.text(temperature=0, max_tokens=20) == greedy
    assert server.text(top_p=0, max_tokens=20) == greedy
    assert server.text(top_k=1, max_tokens=20) == greedy


def test_prompts_of_every_kind(server: Server, letters: ricorda.Model) -> None:
    ids = letters.vocabulary.encode("abc").tolist()
    for one in ("abc", ["abc"], ids, [ids], [float(each) for each in ids]):
        assert server.text(prompt=one, seed=3) == server.text(prompt="abc", seed=3)
    answer = server.complete(prompt=["abc", "def"], seed=3, n=2)
    texts = [choice["text"] for choice in answer["choices"]]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert texts[0] == server.text(prompt="abc", seed=3)
    assert texts[2] == server.text(prompt="def", seed=3)
    assert len(set(texts)) == 4
    assert answer["usage"]["prompt_tokens"] == 6
    assert answer["usage"]["completion_tokens"] == 64


def test_an_empty_prompt_starts_as_the_library_does(server: Server, letters: ricorda.Model) -> None:
    text = letters.generate("", length=16, seed=1, temperature=1.0)
    empties: list[Any] = ["", None, [""], [[]]]
    for empty in empties:
        assert server.text(prompt=empty, seed=1, echo=True) == text


def test_texts_of_one_request_without_a_seed_differ(server: Server) -> None:
    answer = server.complete(prompt=["abc"] * 3, n=3, max_tokens=30)
    assert len({choice["text"] for choice in answer["choices"]}) == 9


def test_stop_strings_end_the_text_before_them(server: Server) -> None:
    whole = server.text(seed=1, max_tokens=200)
    stop = whole[20:23]
    answer = server.complete(seed=1, max_tokens=200, stop=stop)
    (choice,) = answer["choices"]
    assert choice["text"] == whole[: whole.index(stop)]
    assert choice["finish_reason"] == "stop"
    several = server.text(seed=1, max_tokens=200, stop=["世é世é", stop, "zzzzz", "qqqq"])
    assert several == choice["text"]
    events = server.events(seed=1, max_tokens=200, stop=stop)
    assert "".join(event["choices"][0]["text"] for event in events) == choice["text"]
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


def test_logprobs_are_the_models_own(server: Server, letters: ricorda.Model) -> None:
    answer = server.complete(seed=1, max_tokens=12, logprobs=3, echo=True, temperature=0.5)
    (choice,) = answer["choices"]
    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"]) == choice["text"]
    assert logprobs["text_offset"] == list(range(15))
    assert logprobs["token_logprobs"][0] is None
    assert logprobs["top_logprobs"][0] is None
    scores = letters.score(choice["text"], alternatives=3)
    np.testing.assert_allclose(logprobs["token_logprobs"][1:], -scores.nats[1:], atol=1e-4)
    for place in range(1, 15):
        top = logprobs["top_logprobs"][place]
        assert 3 <= len(top) <= 4
        assert top[logprobs["tokens"][place]] == logprobs["token_logprobs"][place]
        assert max(top.values()) >= logprobs["token_logprobs"][place]
        best = scores.vocabulary.decode([scores.alternative_ids[place, 0]])
        assert max(top, key=lambda token: top[token]) == best


def test_logprobs_0_tells_the_chosen_symbol_alone(server: Server) -> None:
    logprobs = server.complete(logprobs=0)["choices"][0]["logprobs"]
    assert logprobs["top_logprobs"] == [
        {token: nats}
        for token, nats in zip(logprobs["tokens"], logprobs["token_logprobs"], strict=True)
    ]


@pytest.mark.parametrize("max_tokens", [0, 1])
def test_echo_with_logprobs_scores_the_prompt(
    server: Server, letters: ricorda.Model, max_tokens: int
) -> None:
    text = "è una frase, abc.\n" * 40
    expected = -letters.score(text).nats[1:]
    for prompt in (text, letters.vocabulary.encode(text).tolist()):
        answer = server.complete(prompt=prompt, max_tokens=max_tokens, logprobs=1, echo=True)
        (choice,) = answer["choices"]
        logprobs = choice["logprobs"]
        assert choice["text"].startswith(text)
        assert len(logprobs["tokens"]) == len(text) + max_tokens
        scores = logprobs["token_logprobs"][1 : len(text)]
        np.testing.assert_allclose(scores, expected, atol=1e-4)
        assert answer["usage"]["completion_tokens"] == max_tokens


def test_prompts_are_scored_side_by_side_as_alone(server: Server) -> None:
    prompts = ["a", "ab", "def" * 30, "世é" * 7]
    together = server.complete(prompt=prompts, max_tokens=0, logprobs=2, echo=True)
    for prompt, choice in zip(prompts, together["choices"], strict=True):
        alone = server.complete(prompt=prompt, max_tokens=0, logprobs=2, echo=True)
        assert alone["choices"][0]["logprobs"] == choice["logprobs"]


def test_max_tokens_0_writes_nothing(server: Server) -> None:
    assert server.text(max_tokens=0) == ""
    assert server.text(max_tokens=0, echo=True) == "abc"
    (event,) = server.events(max_tokens=0)
    assert event["choices"][0]["finish_reason"] == "length"


def test_bytes_have_names_and_places(server: Server) -> None:
    answer = server.complete(
        model="bytes", prompt="aé世", echo=True, logprobs=0, max_tokens=60, seed=3
    )
    (choice,) = answer["choices"]
    logprobs = choice["logprobs"]
    assert logprobs["tokens"][:6] == ["a", *(f"bytes:\\x{byte:02x}" for byte in "é世".encode())]
    assert logprobs["text_offset"][:6] == [0, 1, 1, 2, 2, 2]
    assert logprobs["text_offset"] == sorted(logprobs["text_offset"])
    raw = b"".join(
        bytes([int(token[8:], 16)]) if token.startswith("bytes:") else token.encode()
        for token in logprobs["tokens"]
    )
    assert raw.decode("utf-8", "replace") == choice["text"]
    for token, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        if not token.startswith("bytes:"):
            assert choice["text"][offset] == token


def test_best_of_gives_back_the_likeliest(server: Server) -> None:
    fields = {"seed": 1, "max_tokens": 10, "logprobs": 0}
    every = server.complete(n=6, **fields)["choices"]
    best = server.complete(n=2, best_of=6, **fields)
    means = [np.mean(choice["logprobs"]["token_logprobs"]) for choice in every]
    order = np.argsort(means)[::-1]
    assert [c["text"] for c in best["choices"]] == [every[i]["text"] for i in order[:2]]
    assert [c["index"] for c in best["choices"]] == [0, 1]
    assert best["usage"]["completion_tokens"] == 60


def test_logit_bias_forces_and_forbids(server: Server, letters: ricorda.Model) -> None:
    ids = letters.vocabulary.encode("e").tolist()
    assert server.text(logit_bias={str(ids[0]): 100}) == "e" * 16
    assert "e" not in server.text(logit_bias={str(ids[0]): -100}, max_tokens=200, seed=1)


def test_penalties_spread_the_symbols(server: Server) -> None:
    def variety(**fields: float) -> int:
        return len(set(server.text(seed=1, max_tokens=25, temperature=0.5, **fields)))

    assert variety(frequency_penalty=2, presence_penalty=2) > variety()
    assert variety(frequency_penalty=-2) < variety()


def test_ids_are_given_back_if_asked_for(server: Server, letters: ricorda.Model) -> None:
    (choice,) = server.complete(return_token_ids=True, echo=True, seed=1)["choices"]
    assert choice["prompt_token_ids"] == letters.vocabulary.encode("abc").tolist()
    assert letters.vocabulary.decode(choice["token_ids"]) == choice["text"][3:]
    events = server.events(return_token_ids=True, seed=1, max_tokens=16)
    ids = [symbol for event in events for symbol in event["choices"][0]["token_ids"]]
    assert ids == choice["token_ids"]
    assert events[0]["choices"][0]["prompt_token_ids"] == choice["prompt_token_ids"]


@pytest.mark.parametrize("model", ["letters", "bytes"])
@pytest.mark.parametrize("echo", [False, True])
def test_a_stream_is_the_same_text_in_pieces(server: Server, model: str, echo: bool) -> None:
    fields = {"model": model, "prompt": ["abc", "é世"], "n": 2, "seed": 4, "max_tokens": 300}
    fields |= {"logprobs": 2, "echo": echo, "stop": ["世", "ab"]}
    whole = server.complete(**fields)
    events = server.events(**fields, stream_options={"include_usage": True})
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == whole["usage"]
    assert {event["id"] for event in events} == {events[0]["id"]}
    assert all(event["usage"] is None for event in events[:-1])
    for choice in whole["choices"]:
        parts = [
            part
            for event in events
            for part in event["choices"]
            if part["index"] == choice["index"]
        ]
        assert "".join(part["text"] for part in parts) == choice["text"]
        for name, values in choice["logprobs"].items():
            assert [each for part in parts for each in part["logprobs"][name]] == values
        reasons = [part["finish_reason"] for part in parts]
        assert reasons == [None] * (len(parts) - 1) + [choice["finish_reason"]]


def test_unknown_characters_are_refused_or_left_out(server: Server, serve: Serve) -> None:
    status, error = server.refused(prompt="abXYc")
    assert (status, error["param"], error["code"]) == (400, "prompt", "unknown_characters")
    assert "'X' and 'Y'" in error["message"]
    skipping = server.text(prompt="abXYc", on_unknown="skip", seed=1)
    assert skipping == server.text(prompt="abc", seed=1)
    with serve(on_unknown="skip") as other:
        assert other.text(prompt="abXYc", seed=1) == skipping
        assert other.refused(prompt="abXYc", on_unknown="error")[0] == 400
        _, _, tokens = other.ask("POST", "/tokenize", {"model": "letters", "prompt": "aXYb"})
        assert tokens["skipped"] == [{"before": 1, "characters": "XY"}]
        assert tokens["count"] == 2


def test_what_is_left_out_of_a_prompt_is_reported(server: Server) -> None:
    fields: dict[str, Any] = {"on_unknown": "skip", "seed": 1, "logprobs": 1, "echo": True}
    answer = server.complete(prompt=["ab", "aXYbcZ"], **fields)
    assert answer["skipped"] == [
        {"prompt": 1, "before": 1, "characters": "XY"},
        {"prompt": 1, "before": 3, "characters": "Z"},
    ]
    plain = server.complete(prompt=["ab", "abc"], **fields)
    assert "skipped" not in plain
    found, expected = (each["choices"][1]["logprobs"] for each in (answer, plain))
    assert found["token_logprobs"][:2] == [None, None]  # b follows what it never saw
    assert found["top_logprobs"][1] is None
    assert found["token_logprobs"][2] == expected["token_logprobs"][2]
    first, *others = server.events(prompt=["ab", "aXYbcZ"], **fields)
    assert first["skipped"] == answer["skipped"]
    assert others
    assert not any("skipped" in event for event in others)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("stop", ["Q", ["a", "bQ"]])
def test_a_stop_string_that_can_never_occur_is_refused(
    server: Server, stop: str | list[str], stream: bool
) -> None:
    status, error = server.refused(prompt="ab", stop=stop, stream=stream)
    assert (status, error["param"]) == (400, "stop")
    last = stop if isinstance(stop, str) else stop[-1]
    assert error["message"] == (f"the stop string {last!r} can never occur: the model has no 'Q'")
    assert server.text(model="bytes", prompt="ab", stop=stop, seed=1) is not None


def test_a_stop_string_that_can_never_occur_is_skipped_on_request(server: Server) -> None:
    fields = {"prompt": "ab", "seed": 1, "max_tokens": 100}
    plain = server.complete(stop="\n", **fields)
    skipping = server.complete(stop=["Question: Q", "\n"], on_unknown="skip", **fields)
    assert "skipped" not in plain
    assert skipping["skipped"] == [{"stop": "Question: Q"}]
    assert skipping["choices"] == plain["choices"]
    assert len(plain["choices"][0]["text"]) < 100


def test_models_are_listed_and_described(server: Server) -> None:
    status, _, listed = server.ask("GET", "/v1/models")
    assert status == 200
    assert [card["id"] for card in listed["data"]] == ["letters", "bytes"]
    status, _, card = server.ask("GET", "/v1/models/bytes")
    assert (status, card) == (200, listed["data"][1])
    status, _, answer = server.ask("GET", "/v1/models/none")
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    assert server.refused(model="none")[0] == 404


def test_tokens_there_and_back(server: Server, serve: Serve, models: dict[str, Path]) -> None:
    body = {"model": "bytes", "prompt": "é!", "return_token_strs": True}
    status, _, found = server.ask("POST", "/tokenize", body)
    assert status == 200
    assert found["tokens"] == list("é!".encode())
    assert found["token_strs"] == ["bytes:\\xc3", "bytes:\\xa9", "!"]
    assert found["count"] == 3
    body = {"model": "bytes", "tokens": found["tokens"]}
    assert server.ask("POST", "/detokenize", body)[2] == {"prompt": "é!"}
    assert server.ask("POST", "/tokenize", {"prompt": "a"})[0] == 400  # which of the models?
    with serve({"one": models["letters"]}) as single:
        tokens = single.ask("POST", "/tokenize", {"prompt": SYMBOLS})[2]["tokens"]
        assert single.ask("POST", "/detokenize", {"tokens": tokens})[2] == {"prompt": SYMBOLS}


def test_health_ready_metrics_and_documents(server: Server) -> None:
    assert server.ask("GET", "/health")[::2] == (200, {"status": "ok"})
    status, _, ready = server.ask("GET", "/ready")
    assert (status, ready) == (200, {"status": "ready", "models": ["letters", "bytes"]})
    before = written(server)
    server.text(max_tokens=9)
    assert written(server) == before + 9
    status, _, page = server.ask("GET", "/docs")
    assert status == 200
    assert b"presence_penalty" in page


def written(server: Server) -> float:
    lines = server.ask("GET", "/metrics")[2].decode().splitlines()
    (line,) = [line for line in lines if line.startswith('ricorda_written_symbols_total{model="l')]
    return float(line.rsplit(" ", 1)[1])


def test_the_answers_are_those_of_the_document(server: Server) -> None:
    from ricorda.serving.schema import Completion, ErrorAnswer, ModelList, Tokens

    Completion.model_validate(server.complete(logprobs=2, n=2, echo=True, return_token_ids=True))
    for event in server.events(logprobs=1, stream_options={"include_usage": True}):
        Completion.model_validate(event)
    ModelList.model_validate(server.ask("GET", "/v1/models")[2])
    Tokens.model_validate(server.ask("POST", "/tokenize", {"model": "letters", "prompt": "a"})[2])
    ErrorAnswer.model_validate({"error": server.refused(n=0)[1]})


def test_a_model_that_overflows_fails_alone(
    server: Server, serve: Serve, models: dict[str, Path], tmp_path: Path
) -> None:
    file = ricorda.model.model_file.read_model_file(models["letters"])
    for name, tensor in file.tensors.items():
        if name == "output.weight":
            tensor[:] = 3e38
    path = tmp_path / "huge.safetensors"
    ricorda.model.model_file.write_model_file(path, file)
    with serve({"huge": path, "letters": models["letters"]}) as other:
        status, error = other.refused(model="huge")
        assert (status, error["code"]) == (500, "model_failed")
        status, error = other.refused(model="huge", echo=True, logprobs=1, max_tokens=0)
        assert (status, error["code"]) == (500, "model_failed")
        assert other.events(model="huge")[-1]["error"]["code"] == "model_failed"
        assert other.text(seed=1) == server.text(seed=1)
        assert eventually(lambda: other.service.admission.running == 0)


def test_a_stream_that_fails_says_so_and_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(task: CompletionTask) -> None:
        raise ZeroDivisionError("nobody else's business")

    monkeypatch.setattr(CompletionTask, "_news", fail)
    (event,) = server.events()
    assert event["error"]["message"] == "the server failed: its log has the reason"
    monkeypatch.undo()
    assert eventually(lambda: server.service.admission.running == 0)
    assert all("error" not in event for event in server.events(seed=1))


@pytest.mark.parametrize("prompt", ["ab\r\nce\u0301", "\ufeffab\rcé"])
def test_prompts_are_read_as_training_read_the_text(server: Server, prompt: str) -> None:
    fields = {"echo": True, "logprobs": 0, "max_tokens": 3, "seed": 1}
    (choice,) = server.complete(prompt=prompt, **fields)["choices"]
    assert choice["text"][:5] == "ab\ncé"
    assert choice["logprobs"]["tokens"][:5] == ["a", "b", "\n", "c", "é"]
    assert choice["logprobs"]["text_offset"] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert choice == server.complete(prompt="ab\ncé", **fields)["choices"][0]


def test_stop_strings_are_read_as_training_read_the_text(server: Server) -> None:
    texts = [server.text(seed=1, max_tokens=100, stop=stop) for stop in ("\n", "\r\n")]
    assert texts[0] == texts[1]
    assert len(texts[0]) < 100


def test_text_is_tokenized_as_training_read_it(server: Server) -> None:
    given, read = (
        server.ask("POST", "/tokenize", {"model": "letters", "prompt": prompt})
        for prompt in ("a\r\ne\u0301", "a\né")
    )
    assert given[0] == 200
    assert given[2] == read[2]
    assert given[2]["count"] == 3


def test_the_longer_text_wins_if_its_symbols_are_likelier(server: Server) -> None:
    """`best_of` compares means: by sums, a text that a stop string ends early would win."""
    fields = {"seed": 3, "max_tokens": 40, "logprobs": 0, "stop": ["a", "e"]}
    every = server.complete(n=12, **fields)["choices"]
    scores = [choice["logprobs"]["token_logprobs"] for choice in every if choice["text"]]
    texts = [choice["text"] for choice in every if choice["text"]]
    by_mean = texts[int(np.argmax([np.mean(score) for score in scores]))]
    by_sum = texts[int(np.argmax([np.sum(score) for score in scores]))]
    assert by_mean != by_sum
    best = [
        choice["text"]
        for choice in server.complete(best_of=12, n=12 - len(texts) + 1, **fields)["choices"]
    ]
    assert [text for text in best if text] == [by_mean]


def test_a_small_logit_bias_is_added_once(server: Server, letters: ricorda.Model) -> None:
    def text(amount: float) -> str:
        return letters.generate(
            "abc", length=60, seed=2, temperature=1.0, logit_bias=((7, amount), (9, -amount))
        )

    assert len({text(amount) for amount in (0.0, 0.4, 0.8)}) == 3
    fields = {"seed": 2, "max_tokens": 60}
    assert server.text(logit_bias={"7": 0.4, "9": -0.4}, **fields) == text(0.4)


@pytest.mark.parametrize("kind", ["presence", "frequency"])
def test_penalties_count_what_was_written_and_not_the_prompt(
    server: Server, letters: ricorda.Model, kind: str
) -> None:
    prompt = letters.generate("abc", length=30, greedy=True)

    def reference(counted: str) -> str:
        """The likeliest symbols, each less likely by 1.5 for (or as often as) it came before."""
        counts = np.zeros(letters.vocabulary.size)
        np.add.at(counts, letters.vocabulary.encode(counted), 1)
        ids = letters.vocabulary.encode(prompt).tolist()
        for _ in range(40):
            state = letters.backend.zero_state(1)
            logits, _ = letters.backend.forward(np.array([ids]), state)
            taken = 1.5 * (counts if kind == "frequency" else counts > 0)
            ids.append(int(np.argmax(logits[0, -1] - taken)))
            counts[ids[-1]] += 1
        return letters.vocabulary.decode(ids)[len(prompt) :]

    assert reference("") != reference(prompt)
    fields = {"prompt": prompt, "max_tokens": 40, "temperature": 0, f"{kind}_penalty": 1.5}
    assert server.text(**fields) == reference("")


def test_each_of_many_texts_is_another_one_of_the_seeds(
    server: Server, letters: ricorda.Model
) -> None:
    choices = server.complete(n=16, seed=5, max_tokens=30)["choices"]
    expected = []
    for number in range(16):
        session = letters.backend.session(letters.vocabulary)
        settings = GenerationSettings(length=30, seed=5, temperature=1.0, stream_index=number)
        session.add(letters.vocabulary.encode("abc"), settings)
        pieces = [piece.text for _ in range(40) for _, piece in session.advance(1) if piece]
        expected.append("".join(pieces))
    assert len(set(expected)) == 16
    assert [choice["text"] for choice in choices] == expected


def test_no_symbol_is_called_the_end_of_a_text(server: Server) -> None:
    for model in ("letters", "bytes"):
        info = server.ask("GET", f"/tokenizer_info?model={model}")[2]
        assert info["eos_token"] is None
        assert info["bos_token"] == "\n"


def biased(source: Path, target: Path, bias: float) -> Path:
    """Write a model whose symbols but the first four have an output bias."""
    file = ricorda.model.model_file.read_model_file(source)
    file.tensors["output.bias"][:] = 0
    file.tensors["output.bias"][4:] = bias
    ricorda.model.model_file.write_model_file(target, file)
    return target


@pytest.mark.parametrize("bias", [-3e38, 3e38, -1e5])
def test_impossible_symbols_have_a_finite_log_probability(
    serve: Serve, models: dict[str, Path], tmp_path: Path, bias: float,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with serve({"letters": biased(models["letters"], tmp_path / "m", bias)}) as server:
        lowest = set()
        fields = {"prompt": "\nab ,", "logprobs": 5, "max_tokens": 20, "echo": True}
        for choice in (
            *server.complete(**fields)["choices"],
            *(choice for event in server.events(**fields) for choice in event["choices"]),
        ):
            values = [*filter(None, choice["logprobs"]["top_logprobs"])]
            lowest.add(min((min(value.values()) for value in values), default=0))
            own = choice["logprobs"]["token_logprobs"]
            assert all(value is None or -9999.0 <= value <= 0 for value in own)
        assert min(lowest) == -9999.0
        for extreme in ({"temperature": 0}, {"temperature": 2}, {"temperature": 5e-324}):
            assert len(server.text(max_tokens=10, **extreme)) == 10
    assert not [record for record in caplog.records if record.exc_info]
