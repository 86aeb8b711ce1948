"""OpenAI's own client: what it sends is taken, what it gets is what it expects."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("openai")
import openai

from tests.serving.conftest import Server


@pytest.fixture
def client(server: Server) -> Iterator["openai.OpenAI"]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_models(client: "openai.OpenAI") -> None:
    assert [model.id for model in client.models.list()] == ["letters", "bytes"]
    assert client.models.retrieve("bytes").owned_by == "ricorda"


def test_a_completion(client: "openai.OpenAI", server: Server) -> None:
    answer = client.completions.create(
        model="letters", prompt="abc", max_tokens=9, seed=1, user="somebody"
    )
    assert answer.choices[0].text == server.text(max_tokens=9, seed=1)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 12


def test_n_stop_logprobs_echo(client: "openai.OpenAI") -> None:
    answer = client.completions.create(
        model="letters", prompt=["abc", "de"], n=2, stop=["a", "e"], logprobs=2, echo=True,
        max_tokens=50, seed=2, temperature=0.7, top_p=0.9, presence_penalty=0.5,
        frequency_penalty=0.5, logit_bias={"3": 1}, extra_body={"top_k": 20, "min_p": 0.01},
    )  # fmt: skip
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    for choice in answer.choices:
        logprobs = choice.logprobs
        assert logprobs is not None
        assert logprobs.tokens is not None
        assert "".join(logprobs.tokens) == choice.text
        assert logprobs.token_logprobs is not None
        assert logprobs.token_logprobs[0] is None
        assert "a" not in choice.text[3:]


def test_a_stream(client: "openai.OpenAI", server: Server) -> None:
    stream = client.completions.create(
        model="letters", prompt="abc", max_tokens=200, seed=1, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    chunks = list(stream)
    text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
    assert text == server.text(max_tokens=200, seed=1)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 200
    assert chunks[-2].choices[0].finish_reason == "length"


def test_async(server: Server) -> None:
    async def ask() -> tuple[list[str], str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            answers = await asyncio.gather(
                *(
                    client.completions.create(model="letters", prompt="abc", seed=seed)
                    for seed in range(8)
                )
            )
            stream = await client.completions.create(
                model="letters", prompt="abc", seed=0, stream=True
            )
            pieces = [chunk.choices[0].text async for chunk in stream]
            return [answer.choices[0].text for answer in answers], "".join(pieces)

    texts, streamed = asyncio.run(ask())
    assert texts == [server.text(seed=seed) for seed in range(8)]
    assert streamed == texts[0]


def test_errors_have_the_clients_types(client: "openai.OpenAI") -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        client.completions.create(model="letters", prompt="abc", temperature=3)
    assert wrong.value.param == "temperature"
    assert "temperature" in wrong.value.message
    with pytest.raises(openai.NotFoundError) as missing:
        client.completions.create(model="none", prompt="abc")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError) as chat:
        client.chat.completions.create(model="letters", messages=[])
    assert "POST /v1/completions" in chat.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model="letters", prompt="abc", suffix="end")


@pytest.mark.parametrize("base", ["", "/v1/v1", "/v1/completions"])
def test_a_wrong_base_url_is_explained(server: Server, base: str) -> None:
    with (
        openai.OpenAI(base_url=server.url + base, api_key="none", max_retries=0) as client,
        pytest.raises(openai.NotFoundError) as wrong,
    ):
        client.completions.create(model="letters", prompt="abc")
    assert "the base URL of a client is the server's address and /v1" in wrong.value.message


def test_keys(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RICORDA_API_KEY", "a-key-of-some-length")
    with serve() as server:

        def client(key: str) -> "openai.OpenAI":
            return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)

        with client("a-key-of-some-length") as own:
            assert [model.id for model in own.models.list()] == ["letters", "bytes"]
            with pytest.raises(openai.NotFoundError) as chat:
                own.chat.completions.create(model="letters", messages=[])
            assert chat.value.code == "no_chat"
        with client("wrong") as other:
            with pytest.raises(openai.AuthenticationError) as refused:
                other.completions.create(model="letters", prompt="abc")
            assert refused.value.code == "invalid_api_key"
            with pytest.raises(openai.AuthenticationError):
                other.chat.completions.create(model="letters", messages=[])


def test_a_full_queue_is_a_rate_limit(serve: Callable[..., Any]) -> None:
    many = ["abc"] * 9
    full: dict[str, tuple[type[openai.APIStatusError], int]] = {
        "max_queue_per_client": (openai.RateLimitError, 429),
        "max_queue": (openai.InternalServerError, 503),
    }
    for option, (kind, status) in full.items():
        with (
            serve(max_streams=1, **{option: 2}) as server,
            openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
        ):
            with pytest.raises(kind) as refused:
                client.completions.create(model="letters", prompt=many, max_tokens=4000)
            assert refused.value.status_code == status
            assert client.completions.create(model="letters", prompt="abc").choices
