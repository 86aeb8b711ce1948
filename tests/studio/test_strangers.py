"""Runs and texts from strangers: refused with one line, and the others are still shown."""

import asyncio
import gzip
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from ricorda.errors import TextError
from ricorda.model import write_model_file
from ricorda.runs import RunFolder
from ricorda.studio.application import LARGEST_REQUEST, Studio, make_application, make_studio
from ricorda.studio.baselines import AT_ONCE
from ricorda.studio.cache import NEVER, Cancelled, Kept, WorkLimiter
from ricorda.studio.entrance import Entrance
from ricorda.studio.feed import FeedPosition, read_news
from ricorda.studio.reading import Reading
from ricorda.studio.texts import Texts
from ricorda.studio.trainings import trainer_of
from ricorda.studio.workspace import Workspace
from tests.insight.planted import planted_file, planted_text

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
    return make_studio(workspace, Entrance(80), 1_000_000)


@pytest.fixture
def client(studio: Studio) -> TestClient:
    application = make_application(studio, 1_000_000)
    client = TestClient(application, "http://127.0.0.1", raise_server_exceptions=False)
    client.headers["cookie"] = studio.entrance.cookie.split(";")[0]
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


def test_gradients_without_pytorch_are_refused_with_one_line(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    asked = {"text": planted_text()[:10], "position": 5, "gradient": True}
    answer = client.post("/api/runs/good/influence", json=asked)
    error = answer.json()["error"]
    assert error["code"] == "missing_extra"
    assert error["message"] == (
        "influence by gradients needs PyTorch, which is not installed: pip install 'ricorda[torch]'"
    )


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
    config = record(studio.workspace.texts / "planted.txt")
    config["text"][key] = value
    strange.config.write_text(json.dumps(config))
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


Put = Callable[[Path], None]
PUTS: list[Put] = [os.mkfifo, lambda path: path.symlink_to("/etc/passwd")]


@pytest.mark.parametrize("put", PUTS)
@pytest.mark.parametrize("file", ["config", "metrics", "samples", "model", "report"])
def test_no_pipe_or_link_is_read(
    client: TestClient, strange: RunFolder, file: str, put: Put
) -> None:
    place = getattr(strange, file)
    place.unlink(missing_ok=True)
    put(place)
    ask_everything(client)
    assert client.get("/api/runs/strange/news").status_code in (200, 422)
    assert "root:" not in client.get("/api/runs/strange/news").text


def test_a_link_to_another_folder_is_no_run(client: TestClient, studio: Studio) -> None:
    elsewhere = studio.workspace.runs.parent / "elsewhere"
    (studio.workspace.runs / "strange").rename(elsewhere)
    (studio.workspace.runs / "strange").symlink_to(elsewhere)
    assert [run["name"] for run in client.get("/api/runs").json()["runs"]] == ["good"]
    assert client.get("/api/runs/strange").status_code == 422


def test_nothing_in_the_folder_of_runs_is_written_or_obeyed(
    client: TestClient, studio: Studio, tmp_path: Path
) -> None:
    """A stranger's .studio, as earlier versions kept it, with links where files would be made."""
    hidden = studio.workspace.runs / ".studio"
    hidden.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (hidden / "good.log").symlink_to(victim)
    (hidden / "good.stopped").symlink_to(victim)
    os.mkfifo(hidden / "strange.log")
    line = [{"name": "evil", "arguments": ["train", "x", "--out", "runs/evil"], "threads": 1}]
    (hidden / "line.json").write_text(json.dumps(line))
    later = make_studio(studio.workspace, Entrance(81), 1_000_000)
    assert later.trainings.waiting() == []
    before = sorted(studio.workspace.runs.rglob("*"))
    ask_everything(client)
    client.post("/api/runs/good/stop", json={})
    assert client.get("/api/runs/good").json()["state"] == "stopped"
    assert sorted(studio.workspace.runs.rglob("*")) == before
    assert victim.read_text() == "mine"
    later.close()


def test_a_run_whose_name_is_as_long_as_can_be_hides_no_other(
    client: TestClient, studio: Studio
) -> None:
    shutil.copytree(studio.workspace.runs / "good", studio.workspace.runs / ("x" * 255))
    answer = client.get("/api/runs")
    assert answer.status_code == 200
    assert len(answer.json()["runs"]) == 3


def test_a_pipe_in_the_place_of_rows_blocks_no_request(strange: RunFolder) -> None:
    os.mkfifo(strange.samples)
    news = read_news(strange, FeedPosition())
    assert (len(news.metrics), news.samples) == (1, [])


def test_rows_that_are_damaged_are_passed_over(strange: RunFolder) -> None:
    strange.metrics.write_bytes(b"[1]\nno\n")
    news = read_news(strange, FeedPosition())
    assert (news.metrics, news.position.metrics) == ([], 7)


def test_an_infinity_is_no_number_of_a_row(strange: RunFolder) -> None:
    strange.metrics.write_bytes(b'{"step": 1, "loss": 1e999, "other": NaN, "third": 1.5}\n')
    news = read_news(strange, FeedPosition())
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


def ask_text(client: TestClient, strange: RunFolder, **changes: Any) -> Any:
    """The message with which a stranger's text is refused."""
    config = record(Path("x"))
    config["text"] |= changes
    strange.config.write_text(json.dumps(config))
    answer = client.get("/api/runs/strange/facts")
    assert answer.status_code == 422
    baselines = client.get("/api/runs/strange/baselines").json()
    assert baselines == {"done": True, "bits_per_character": None}
    resumed = client.post("/api/runs/strange/resume", json={})
    assert resumed.status_code == 422
    message = answer.json()["error"]["message"]
    assert message == resumed.json()["error"]["message"]
    return message


@pytest.mark.parametrize(
    "name, message",
    [
        ("/etc/passwd", "outside the folders that the studio may read"),
        ("/**/*.py", "outside the folders that the studio may read"),
        ("{texts}/../secret.txt", "outside the folders that the studio may read"),
        ("{texts}/link.txt", "outside the folders that the studio may read"),
        ("{texts}/.hidden/key.txt", "outside the folders that the studio may read"),
        ("{texts}/*.txt", "or is a pattern"),
        ("{texts}", "is not a regular file"),
        ("{texts}/none.txt", "does not exist"),
    ],
)
def test_a_config_names_files_that_may_be_read(
    client: TestClient, studio: Studio, strange: RunFolder, name: str, message: str
) -> None:
    texts = studio.workspace.texts
    (texts.parent / "secret.txt").write_text("secret " * 100)
    (texts / "link.txt").symlink_to(texts.parent / "secret.txt")
    (texts / ".hidden").mkdir()
    (texts / ".hidden" / "key.txt").write_text("secret " * 100)
    assert message in ask_text(client, strange, texts=[name.format(texts=texts)])


def test_what_the_user_names_may_be_read(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("one.txt", "two.txt"):
        (tmp_path / "elsewhere" / name).write_text("some words " * 50)
    names = [str(tmp_path / "elsewhere" / name) for name in ("one.txt", "two.txt")]
    for readable in (tmp_path / "elsewhere", tmp_path / "elsewhere" / "one.txt"):
        workspace = Workspace(studio.workspace.runs, studio.workspace.texts, (readable,))
        assert Texts(workspace, 10_000).facts(Reading((names[0],)))["symbols"] == 550
    with pytest.raises(TextError, match="outside"):
        Texts(workspace, 10_000).facts(Reading((names[1],)))


def test_the_limits_are_the_studios(client: TestClient, studio: Studio, strange: RunFolder) -> None:
    large, packed = studio.workspace.texts / "large.txt", studio.workspace.texts / "packed.gz"
    with large.open("wb") as file:
        file.truncate(1 << 40)  # holes: no room is taken
    assert "--largest-text" in ask_text(client, strange, texts=[str(large)])
    packed.write_bytes(gzip.compress(bytes(2_000_000)))
    config = record(packed)
    config["text"]["max_decompressed"] = "1000TB"
    strange.config.write_text(json.dumps(config))
    answer = client.get("/api/runs/strange/facts")
    assert answer.status_code == 422
    assert "more than" in answer.json()["error"]["message"]


def test_one_text_never_waits_for_another(studio: Studio) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go_on.wait(60)
        return "slow"

    kept: Kept[str] = Kept(3)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(kept.get, "first", slow, NEVER)
        assert begun.wait(60)
        assert threads.submit(kept.get, "second", lambda: "quick", NEVER).result(60) == "quick"
        gone = threading.Event()
        gone.set()
        with pytest.raises(Cancelled):
            threads.submit(kept.get, "first", lambda: "twice", gone).result(60)
        go_on.set()
        assert first.result(60) == "slow"
    assert kept.get("first", lambda: "twice", NEVER) == "slow"


def test_reading_ends_when_the_client_has_gone(studio: Studio) -> None:
    gone = threading.Event()
    gone.set()
    reading = studio.texts.reading("planted.txt")
    for work in (studio.texts.facts, studio.texts.prepare):
        with pytest.raises(Cancelled):
            work(reading, gone)
    assert studio.texts.facts(reading)["symbols"] > 0


def test_the_work_is_informed_that_its_client_has_gone() -> None:
    leave = asyncio.Event()

    async def receive() -> dict[str, str]:
        await leave.wait()
        return {"type": "http.disconnect"}

    async def ask() -> None:
        loop = asyncio.get_running_loop()

        def work(gone: threading.Event) -> None:
            loop.call_soon_threadsafe(leave.set)
            assert gone.wait(60)
            raise Cancelled

        with pytest.raises(ClientDisconnect):
            await WorkLimiter().run(Request({"type": "http"}, receive), work)

    with ThreadPoolExecutor() as pool:  # a browser's event loop may run in this thread
        pool.submit(asyncio.run, ask()).result()


def test_a_text_that_came_by_a_pipe_is_not_waited_for(
    client: TestClient, strange: RunFolder, studio: Studio
) -> None:
    pipe = studio.workspace.texts / "pipe"
    os.mkfifo(pipe)
    for name in ("-", str(pipe)):
        strange.config.write_text(json.dumps(record(Path(name))))
        answer = client.get("/api/runs/strange/facts")
        assert answer.status_code == 422
        assert "standard input or a pipe" in answer.text
        baselines = client.get("/api/runs/strange/baselines").json()
        assert baselines == {"done": True, "bits_per_character": None}


def test_a_full_disk_is_reported_in_one_line(
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


def test_a_body_that_turns_out_too_large_is_reported_as_such(client: TestClient) -> None:
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
