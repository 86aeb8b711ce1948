"""The served OpenAPI document is true; `make serve-check` sends many more requests."""

import re
import subprocess

import pytest

from tests.serving.conftest import Server
from tests.serving.contract import command


def test_random_requests_get_the_answers_that_are_described(server: Server) -> None:
    pytest.importorskip("schemathesis")
    done = subprocess.run(
        [*command(server.url, cases=40, seed=3), "--phases", "fuzzing"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated, done.stdout
    assert int(generated[1]) > 100


def test_every_path_is_described(server: Server) -> None:
    paths = server.ask("GET", "/openapi.json")[2]["paths"]
    assert set(paths) == {
        *("/v1/completions", "/v1/models", "/v1/models/{model}", "/tokenize", "/detokenize"),
        *("/v1/embeddings", "/tokenizer_info", "/health", "/ready", "/metrics"),
    }
