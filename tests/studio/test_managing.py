"""Runs are described, renamed, noted, deleted, restored and downloaded, as requests ask for it."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ricorda
from ricorda.model import read_model_file
from ricorda.runs import RunFolder
from ricorda.studio.application import Studio, make_application, make_studio
from ricorda.studio.entrance import Entrance
from ricorda.studio.trash import FOLDER
from ricorda.studio.workspace import Workspace
from ricorda.training.checkpoint.held_folder import RunLock

TEXT = "so much depends upon a red wheel barrow\n" * 30


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that differ in their size, and a branch of the first."""
    folder = tmp_path_factory.mktemp("managing")
    (folder / "texts").mkdir()
    (folder / "texts" / "red.txt").write_text(TEXT)
    for name, size in (("one", 4), ("two", 6)):
        ricorda.train(
            folder / "texts" / "red.txt",
            out=folder / "runs" / name,
            steps=2,
            hidden_size=size,
            threads=1,
            quiet=True,
        )
    ricorda.resume(
        folder / "runs" / "one",
        out=folder / "runs" / "branch",
        learning_rate=0.001,
        steps=3,
        quiet=True,
    )
    return folder


@pytest.fixture
def studio(trained: Path, tmp_path: Path) -> Iterator[Studio]:
    shutil.copytree(trained / "runs", tmp_path / "runs")
    found = make_studio(Workspace(tmp_path / "runs", trained / "texts"), Entrance(80), 1_000_000)
    yield found
    found.close()


@pytest.fixture
def client(studio: Studio) -> TestClient:
    application = make_application(studio, 1_000_000)
    client = TestClient(application, "http://127.0.0.1", raise_server_exceptions=False)
    client.headers["cookie"] = studio.entrance.cookie.split(";")[0]
    return client


def runs(client: TestClient) -> dict[str, dict[str, object]]:
    return {run["name"]: run for run in client.get("/api/runs").json()["runs"]}


def deleted(client: TestClient) -> list[tuple[int, str]]:
    return [(each["number"], each["name"]) for each in client.get("/api/runs").json()["deleted"]]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_runs_are_described(client: TestClient, studio: Studio) -> None:
    found = runs(client)
    assert {name: run["settings"]["hidden_size"] for name, run in found.items()} == {  # type: ignore[index]
        "one": 4,
        "two": 6,
        "branch": 4,
    }
    assert found["branch"]["branch"] == {"run": "one", "step": 2}
    assert "branch" not in found["one"]
    assert found["one"]["settings"]["budget"] == {"minutes": None, "epochs": None, "steps": 2}  # type: ignore[index]
    assert not any(run["resumed"] for run in found.values())
    metrics = studio.workspace.runs / "one" / "metrics.jsonl"
    os.utime(metrics, (2_000_000_000, 2_000_000_000))
    assert runs(client)["one"]["changed"] == 2_000_000_000


def test_a_note_is_shown_at_once_and_removed(client: TestClient) -> None:
    runs(client)  # the figures are kept; the note is not
    assert client.post("/api/runs/one/note", json={"note": " è il primo "}).json() == {
        "note": "è il primo"
    }
    assert runs(client)["one"]["note"] == "è il primo"
    client.post("/api/runs/one/note", json={"note": ""})
    assert runs(client)["one"]["note"] is None
    refused = client.post("/api/runs/one/note", json={"note": "two\nlines"})
    assert refused.status_code == 422
    assert "one line" in refused.json()["error"]["message"]


def test_a_run_gets_another_name(client: TestClient, studio: Studio) -> None:
    before = contents(studio.workspace.runs / "one")
    studio.workspace.mark_of("one").touch()
    assert client.post("/api/runs/one/rename", json={"name": "lstm-0.5"}).json() == {
        "name": "lstm-0.5"
    }
    assert set(runs(client)) == {"lstm-0.5", "two", "branch"}
    assert contents(studio.workspace.runs / "lstm-0.5") == before
    assert studio.workspace.mark_of("lstm-0.5").exists()
    assert not studio.workspace.mark_of("one").exists()
    assert client.get("/api/runs/lstm-0.5").status_code == 200


@pytest.mark.parametrize(
    "name", ["two", "", ".hidden", "../one", "a/b", "-x", "a b", "x.", "x" * 61, "a\0b"]
)
def test_other_names_are_refused(client: TestClient, name: str) -> None:
    refused = client.post("/api/runs/one/rename", json={"name": name})
    assert refused.status_code == 422
    assert set(runs(client)) == {"one", "two", "branch"}


def test_a_deleted_run_is_restored_byte_for_byte(client: TestClient, studio: Studio) -> None:
    folder = studio.workspace.runs
    before = contents(folder / "one")
    studio.workspace.resumed_mark_of("one").touch()
    number = client.post("/api/runs/one/delete").json()["number"]
    assert set(runs(client)) == {"two", "branch"}
    assert deleted(client) == [(number, "one")]
    assert client.get("/api/runs/one").status_code == 422
    shutil.copytree(folder / "two", folder / "one")  # another run takes the name
    assert client.post(f"/api/deleted/{number}/restore").json() == {"name": "one-2"}
    assert contents(folder / "one-2") == before
    assert runs(client)["one-2"]["resumed"]
    assert not (folder / FOLDER).exists()


def test_several_runs_of_a_name_are_deleted_and_one_for_good(
    client: TestClient, studio: Studio
) -> None:
    folder = studio.workspace.runs
    client.post("/api/runs/one/delete")
    client.post("/api/runs/two/rename", json={"name": "one"})
    (folder / "one" / "mine.txt").write_text("a user's own")
    client.post("/api/runs/one/delete")
    assert deleted(client) == [(2, "one"), (1, "one")]
    assert client.post("/api/deleted/1/delete").json() == {"left": []}
    assert client.post("/api/deleted/2/delete").json() == {"left": ["mine.txt"]}
    assert deleted(client) == []  # what is left is no run
    assert contents(folder / FOLDER) == {"2/one/mine.txt": b"a user's own"}
    assert client.post("/api/deleted/1/restore").status_code == 422


def test_a_run_that_trains_is_neither_renamed_nor_deleted(
    client: TestClient, studio: Studio
) -> None:
    with RunLock(studio.workspace.runs / "one"):
        for action, asked in (("rename", {"name": "other"}), ("delete", {})):
            refused = client.post(f"/api/runs/one/{action}", json=asked)
            assert refused.status_code == 422
            assert "is being trained" in refused.json()["error"]["message"]
    assert set(runs(client)) == {"one", "two", "branch"}
    assert not (studio.workspace.runs / FOLDER).exists()


def test_a_trash_with_links_in_it_moves_and_deletes_nothing_elsewhere(
    client: TestClient, studio: Studio, tmp_path: Path
) -> None:
    folder, elsewhere = studio.workspace.runs, tmp_path / "elsewhere"
    shutil.copytree(folder / "one", elsewhere / "victim")
    before = contents(elsewhere)
    trash = folder / FOLDER
    trash.mkdir()
    (trash / "1").symlink_to(elsewhere)
    (trash / "2").mkdir()
    (trash / "2" / "victim").symlink_to(elsewhere / "victim")
    (trash / "007").mkdir()
    assert deleted(client) == []
    for number in (1, 2, 7):
        assert client.post(f"/api/deleted/{number}/delete").status_code == 422
    assert client.post("/api/runs/one/delete").json() == {"number": 3}
    shutil.rmtree(trash)
    trash.symlink_to(elsewhere)
    assert client.post("/api/runs/two/delete").status_code == 422
    assert contents(elsewhere) == before


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"cookie": ""}], ids=str)
@pytest.mark.parametrize(
    "path", ["runs/one/delete", "runs/one/rename", "runs/one/note", "deleted/1/delete"]
)
def test_other_sites_change_nothing(client: TestClient, path: str, headers: dict[str, str]) -> None:
    answer = client.post(f"/api/{path}", json={"name": "x", "note": "x"}, headers=headers)
    assert answer.status_code in (401, 403)
    assert set(runs(client)) == {"one", "two", "branch"}


def test_the_model_is_downloaded(client: TestClient, studio: Studio, tmp_path: Path) -> None:
    answer = client.get("/api/runs/one/model")
    assert 'filename="one.safetensors"' in answer.headers["content-disposition"]
    model = studio.workspace.runs / "one" / "model.safetensors"
    assert answer.content == model.read_bytes()
    assert int(answer.headers["content-length"]) == len(answer.content)
    model.unlink()
    assert client.get("/api/runs/one/model").status_code == 422
    model.symlink_to("/etc/passwd")
    assert client.get("/api/runs/one/model").status_code == 422


def test_the_page_holds_the_model(client: TestClient, studio: Studio) -> None:
    answer = client.get("/api/runs/one/page")
    assert 'filename="one-page.html"' in answer.headers["content-disposition"]
    assert "sandbox" in answer.headers["content-security-policy"]
    page = answer.text
    begin = page.index(">", page.index('id="model"')) + 1
    held = json.loads(page[begin : page.index("</script>", begin)])
    file = read_model_file(RunFolder(studio.workspace.runs / "one").model)
    assert held["parameters"] == file.configuration.parameters
    assert held["weights"] == "float32"
