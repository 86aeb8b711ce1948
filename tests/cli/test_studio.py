"""`ricorda studio`, before a page is opened."""

import importlib.util
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ricorda.runs import RunFolder
from ricorda.studio.trainings import trainer_of
from tests.studio.conftest import end_studio, studio_in
from tests.studio.test_server import Client
from tests.studio.test_trainings import wait_for

Call = Callable[..., tuple[int, str, str]]


WRONG = [["--port", "x"], ["--port", "-1"], ["--largest-text", "0"], ["extra"]]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_usage(call: Call, words: list[str]) -> None:
    code, out, err = call("studio", *words)
    assert (code, out) == (2, "")
    assert "see `ricorda studio --help`" in err


def test_a_port_that_is_taken_is_reported(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = call("studio", "--no-browser", "--port", str(taken.getsockname()[1]))
    assert code == 2
    assert "cannot listen on 127.0.0.1" in err


def test_without_its_packages_it_says_what_to_install(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "uvicorn" else find(name, *rest)

    monkeypatch.delitem(sys.modules, "uvicorn", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", without)
    code, _, err = call("studio", "--no-browser")
    assert code == 1
    assert err == (
        "ricorda: the studio needs uvicorn, which is not installed: pip install 'ricorda[studio]'\n"
    )


def test_the_page_ends_and_trainings_continue(tmp_path: Path, bottles: str) -> None:
    with studio_in(tmp_path, "--runs", "here", "--texts", "there") as place:
        client = Client(place)
        assert client.ask("POST", "/api/texts?name=my.txt", bottles.encode())[0] == 200
        asked = {"text": "my.txt", "minutes": 5, "hidden_size": 8, "threads": 1}
        assert client.json("POST", "/api/runs", asked) == {"name": "my"}
        assert (tmp_path / "there" / "my.txt").is_file()
        run = RunFolder(tmp_path / "here" / "my")
        wait_for(run.samples.is_file)
        assert "still training: my" in end_studio(place)
        trainer = trainer_of(run)
        assert trainer is not None
        os.kill(trainer, signal.SIGINT)
        wait_for(lambda: trainer_of(run) is None)
        assert run.report.is_file()
