"""Runs and texts that came from a stranger: refused with one line, and the others still shown."""

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.insight.planted import planted_file, planted_text

from ricorda.models import write_model_file
from ricorda.runs import RunFolder
from ricorda.studio.activity import trainer_of
from ricorda.studio.application import LARGEST_REQUEST, Studio, make_application, make_studio
from ricorda.studio.entrance import Token
from ricorda.studio.feed import Place, read_news
from ricorda.studio.figures import AT_ONCE
from ricorda.studio.texts import Reading
from ricorda.studio.workspace import Workspace

ROW = {"step": 1, "event": "evaluation", "seconds": 1.0, "characters_seen": 64}
PLACES = ["", "/facts", "/baselines", "/curve", "/report", "/units"]
QUESTIONS: dict[str, Any] = {"surprise": {"length": 20}, "memorised": {"length": 50}, "pause": {}}


def record(text: Path) -> dict[str, Any]:
    """What of a config.json the studio reads."""
    return {
        "text": {
            "texts": [str(text)],
            "vocabulary": "characters",
            "encoding": None,
            "newlines": "auto",
            "validation_fraction": 0.1,
            "validation": None,
        },
        "training": {"threads": 1},
    }


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    workspace = Workspace(tmp_path / "runs", tmp_path / "texts")
    text = workspace.texts / "planted.txt"
    workspace.texts.mkdir()
    text.write_text(planted_text())
    for name in ("good", "strange"):
        run = RunFolder(workspace.runs / name)
        run.path.mkdir(parents=True)
        run.config.write_text(json.dumps(record(text)))
        run.metrics.write_text(json.dumps(ROW | {"nats_per_character": 1.0}) + "\n")
        write_model_file(run.model, planted_file("lstm"))
    return make_studio(workspace, Token(80, "secret"), 1_000_000)


@pytest.fixture
def client(studio: Studio) -> TestClient:
    application = make_application(studio, 1_000_000)
    client = TestClient(application, "http://127.0.0.1", raise_server_exceptions=False)
    client.headers["cookie"] = studio.token.cookie.split(";")[0]
    return client


@pytest.fixture
def strange(studio: Studio) -> RunFolder:
    return RunFolder(studio.workspace.runs / "strange")


def ask_everything(client: TestClient) -> None:
    """Nothing about the strange run breaks, and the good one is shown as ever."""
    for place in PLACES:
        answer = client.get(f"/api/runs/strange{place}")
        assert answer.status_code in (200, 422), (place, answer.text)
    for name, question in QUESTIONS.items():
        answer = client.post(f"/api/runs/strange/{name}", json=question)
        assert answer.status_code in (200, 422), (name, answer.text)
    runs = client.get("/api/runs").json()["runs"]
    assert "good" in [run["name"] for run in runs]


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


TEXTS: dict[str, Any] = {
    "texts": [5, ["a\0b"], ["\ud800"], ["-"], ["--help"], [], ["/dev/zero"], [[1]]],
    "encoding": [7, "--x", "\ud800", []],
    "newlines": [["x"], "other"],
    "validation_fraction": ["0.1", [1], 7, -1],
    "validation": [[1], 5],
    "decompress": [1, "often"],
    "max_decompressed": [5, "much", "a\0b"],
    "vocabulary": [["bytes"], "words"],
}


@pytest.mark.parametrize(
    "key, value", [(key, value) for key, values in TEXTS.items() for value in values]
)
def test_a_config_of_wrong_types(
    client: TestClient, strange: RunFolder, studio: Studio, key: str, value: Any
) -> None:
    told = record(studio.workspace.texts / "planted.txt")
    told["text"][key] = value
    strange.config.write_text(json.dumps(told))
    ask_everything(client)
    studio.close()


@pytest.mark.parametrize("training", ['"\\ud800"', "NaN", "1e999", deep(900), deep(33), "7"])
def test_a_config_that_json_has_no_form_for(
    client: TestClient, strange: RunFolder, training: str
) -> None:
    content = strange.config.read_text()
    strange.config.write_text(content.replace('{"threads": 1}', training))
    ask_everything(client)


@pytest.mark.parametrize(
    "row",
    [
        {"event": "ended", "stopped_because": "\ud800", "validation": None},
        {"event": "ended", "stopped_because": 5, "validation": 5},
        {"event": ["ended"]},
        {},
    ],
    ids=str,
)
def test_rows_of_wrong_types(client: TestClient, strange: RunFolder, row: dict[str, Any]) -> None:
    strange.metrics.write_text(json.dumps({"step": 1, **row}) + "\n")
    ask_everything(client)


def test_rows_that_are_deep(client: TestClient, strange: RunFolder) -> None:
    ended = '{"step": 1, "event": "ended", "stopped_because": "x", "validation": '
    strange.metrics.write_text(f"{ended}{deep(950)}}}\n")
    ask_everything(client)
    assert client.get("/api/runs").json()["runs"][1]["state"] in ("stopped", "paused")


def test_a_name_that_is_no_text_hides_nothing(client: TestClient, studio: Studio) -> None:
    workspace = studio.workspace
    name = os.fsdecode(b"\xff")
    shutil.copytree(workspace.runs / "good", workspace.runs / name)
    shutil.copy(workspace.texts / "planted.txt", workspace.texts / f"{name}.txt")
    names = [run["name"] for run in client.get("/api/runs").json()["runs"]]
    assert sorted(names) == ["good", "strange"]
    texts = client.get("/api/studio").json()["texts"]
    assert [text["name"] for text in texts] == ["planted.txt"]


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/etc/passwd")])
def test_no_pipe_or_link_is_read_as_a_report(
    client: TestClient, strange: RunFolder, put: Callable[[Path], None]
) -> None:
    strange.metrics.write_text('{"step": 1, "event": "ended", "stopped_because": "steps"}\n')
    put(strange.report)
    answer = client.get("/api/runs/strange/report")
    assert answer.status_code == 422
    assert "its report is gone" in answer.text


def test_a_pipe_in_the_place_of_rows_holds_nobody_up(strange: RunFolder) -> None:
    os.mkfifo(strange.samples)
    news = read_news(strange, Place())
    assert news is not None
    assert (len(news.metrics), news.samples) == (1, [])


def test_rows_that_are_damaged_are_passed_over(strange: RunFolder) -> None:
    strange.metrics.write_bytes(b"[1]\nno\n")
    news = read_news(strange, Place())
    assert news is not None
    assert (news.metrics, news.place.metrics) == ([], 7)


def test_an_infinity_is_no_number_of_a_row(strange: RunFolder) -> None:
    strange.metrics.write_bytes(b'{"step": 1, "loss": 1e999, "other": NaN, "third": 1.5}\n')
    news = read_news(strange, Place())
    assert news is not None
    assert news.metrics == [{"step": 1, "loss": None, "other": None, "third": 1.5}]


def test_a_link_in_the_place_of_a_lock_names_nobody(strange: RunFolder, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / "other").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        lock = strange.path / ".ricorda.lock"
        lock.symlink_to(tmp_path / "other")
        assert trainer_of(strange) is None
        lock.unlink()
        os.link(tmp_path / "other", lock)  # without a link the lock is found
        assert trainer_of(strange) == os.getpid()


def test_a_text_that_came_by_a_pipe_is_not_waited_for(
    client: TestClient, strange: RunFolder, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for name in ("-", str(pipe)):
        strange.config.write_text(json.dumps(record(Path(name))))
        answer = client.get("/api/runs/strange/facts")
        assert answer.status_code == 422
        assert "standard input or a pipe" in answer.text
        baselines = client.get("/api/runs/strange/baselines").json()
        assert baselines == {"done": True, "bits_per_character": None}


def test_a_full_disk_is_told_in_one_line(
    client: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, name: str) -> Path:
        raise OSError(28, "No space left on device", "/secret/place")

    monkeypatch.setattr(Workspace, "free_text", full)
    answer = client.post("/api/texts?name=x", content=b"some text or other " * 20)
    assert answer.status_code == 507
    assert "the disk is full" in answer.json()["error"]["message"]
    assert "secret" not in answer.text
    assert [path.name for path in studio.workspace.texts.iterdir()] == ["planted.txt"]


@pytest.mark.parametrize(
    "method, path, status",
    [("GET", "/nothing", 404), ("PUT", "/api/studio", 405), ("POST", "/api/sample-texts", 400)],
)
def test_every_error_has_one_form(client: TestClient, method: str, path: str, status: int) -> None:
    headers = {"content-type": "application/json"}
    answer = client.request(method, path, content=b"[" * 10_000, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_a_body_that_turns_out_too_large_is_told_as_such(client: TestClient) -> None:
    """Nothing says beforehand how long it is."""
    pieces = (b" " * 65536 for _ in range(LARGEST_REQUEST // 65536 + 1))
    headers = {"content-type": "application/json"}
    answer = client.post("/api/sample-texts", content=pieces, headers=headers)
    assert answer.status_code == 413
    assert str(LARGEST_REQUEST) in answer.json()["error"]["message"].replace(",", "")


def test_what_takes_long_leaves_threads_for_the_rest(
    client: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty wait for what does not end; a pause is answered all the same."""
    go_on = threading.Event()
    monkeypatch.setattr(studio.looking, "units", lambda run: {"went_on": go_on.wait(60)})
    with client:
        waiting = [
            threading.Thread(target=client.get, args=("/api/runs/good/units",)) for _ in range(60)
        ]
        for thread in waiting:
            thread.start()
        try:
            assert client.get("/api/studio").status_code == 200
            assert client.get("/api/runs").status_code == 200
        finally:
            go_on.set()
            for thread in waiting:
                thread.join()


def test_baselines_of_many_texts_are_computed_a_few_at_a_time(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Reading] = []

    class Running:
        def poll(self) -> None:
            return None

    def begin(reading: Reading) -> Running:
        begun.append(reading)
        return Running()

    monkeypatch.setattr(studio.baselines, "_begin", begin)
    text = str(studio.workspace.texts / "planted.txt")
    for share in range(1, 10):
        reading = Reading((text,), validation_fraction=share / 10)
        assert studio.baselines.get(reading) == {"done": False}
    assert len(begun) == AT_ONCE
