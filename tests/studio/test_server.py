"""The studio's addresses: access, answers and refusals."""

import contextlib
import http.client
import json
import math
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

import ricorda
from ricorda.insight import gradient_influence
from ricorda.model.model_file import read_model_file
from ricorda.runs import RunFolder
from ricorda.text import Part, split
from tests.studio.conftest import PATIENCE, TEXT, Place, end_studio, studio_in
from tests.studio.test_trainings import wait_for

Answer = tuple[int, dict[str, str], bytes]


class Client:
    """Asks as a browser that has come in would."""

    def __init__(self, place: Place, timeout: float = PATIENCE) -> None:
        self._timeout = timeout
        self.port = place.port
        self.cookie = place.cookie

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        cookie: bool = True,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self._timeout)
        given = {"Cookie": self.cookie} if cookie else {}
        content = body
        if body is not None and not isinstance(body, bytes):
            content = json.dumps(body).encode()
            given["Content-Type"] = "application/json"
        given |= headers or {}
        connection.request(method, path, content, given)
        response = connection.getresponse()
        found = response.status, dict(response.getheaders()), response.read()
        connection.close()
        return found

    def json(self, method: str, path: str, body: Any = None) -> Any:
        status, _, content = self.ask(method, path, body)
        assert status == 200, content
        return json.loads(content)


@pytest.fixture(scope="module")
def client(place: Place) -> Client:
    return Client(place)


@pytest.mark.parametrize("path", ["/", "/?ticket=wrong", "/?ticket=", "/?ticket=%ff&ticket=x"])
def test_without_a_ticket_access_is_refused(client: Client, path: str) -> None:
    status, headers, content = client.ask("GET", path, cookie=False)
    assert status == 401
    assert "set-cookie" not in headers
    assert b"Open the newest address" in content


def test_a_ticket_lets_in_once_and_the_next_one_is_printed(tmp_path: Path) -> None:
    with studio_in(tmp_path) as place:
        client = Client(place)
        address = urlsplit(place.next_address())
        status, headers, _ = client.ask("GET", f"/?{address.query}", cookie=False)
        assert (status, headers["location"]) == (303, "./")
        assert headers["set-cookie"] == f"{client.cookie}; HttpOnly; SameSite=Strict"
        assert client.ask("GET", f"/?{address.query}", cookie=False)[0] == 401  # as `ps` shows it
        assert client.ask("GET", f"/?{address.query}")[0] == 200  # reloaded by that browser
        secret = client.cookie.split("=")[1]
        assert client.ask("GET", f"/?ticket={secret}", cookie=False)[0] == 401
        again = urlsplit(place.next_address())
        assert again.query not in (address.query, "")
        assert client.ask("GET", f"/?{again.query}", cookie=False)[0] == 303


REFUSED: list[tuple[dict[str, str], int]] = [
    ({"Cookie": "ricorda_studio=x"}, 401),
    ({"Cookie": ""}, 401),
    ({"Host": "evil.example"}, 403),
    ({"Host": "192.168.1.2"}, 403),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 401),
    ({"Sec-Fetch-Site": "same-site"}, 401),
]


@pytest.mark.parametrize("headers, status", REFUSED, ids=str)
@pytest.mark.parametrize("path", ["/api/studio", "/page/main.js", "/api/runs/bottles/report"])
def test_who_is_refused(client: Client, path: str, headers: dict[str, str], status: int) -> None:
    found, _, content = client.ask("GET", path, None, headers)
    assert found == status
    assert b"--allow-origin" not in content  # the studio has no such option
    assert b"API key" not in content


@pytest.mark.parametrize(
    "other", ['settings={"a": 1}', "a[b]=1", "nothing", "expires=Mon, 01 Jan", "path=/", "é=1"]
)
def test_cookies_of_other_programs_do_no_harm(client: Client, other: str) -> None:
    wrong = client.cookie.split("=")[0] + "=wrong"
    for cookie, status in ((client.cookie, 200), (wrong, 401)):
        for header in (f"{other}; {cookie}", f"{cookie}; {other}"):
            assert client.ask("GET", "/api/studio", None, {"Cookie": header})[0] == status, header


def test_every_answer_has_the_policy(client: Client) -> None:
    for path in ("/", "/page/main.js", "/api/studio", "/nothing"):
        _, headers, _ = client.ask("GET", path)
        assert headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/page/../workspace.py",
        "/page/%2e%2e/workspace.py",
        "/page/none.js",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_other_file_is_served(client: Client, path: str) -> None:
    assert client.ask("GET", path)[0] == 404


BAD: list[tuple[str, str, Any]] = [
    ("POST", "/api/runs", {}),
    ("POST", "/api/runs", {"text": "none.txt"}),
    ("POST", "/api/runs", {"text": "../planted.txt"}),
    ("POST", "/api/runs", {"text": "bottles.txt", "hidden_size": 4096}),
    ("POST", "/api/runs", {"text": "bottles.txt", "minutes": 0}),
    ("POST", "/api/runs", {"text": "bottles.txt", "out": "/tmp/x"}),
    ("POST", "/api/runs/none/pause", {}),
    ("POST", "/api/runs/bottles/pause", {}),
    ("POST", "/api/runs/bottles/resume", {}),
    ("GET", "/api/runs/none", None),
    ("GET", "/api/runs/..%2f..%2fetc", None),
    ("GET", "/api/runs/planted/report", None),
    ("GET", "/api/texts/none.txt", None),
    ("POST", "/api/sample-texts", {"name": "other"}),
    ("POST", "/api/texts?name=x", b""),
    ("POST", "/api/texts?name=x", b"\xff\xfe\xfa"),
    ("POST", "/api/runs/bottles/surprise", {"text": ""}),
    ("POST", "/api/runs/bottles/surprise", {"text": "☃☃"}),
    ("POST", "/api/runs/bottles/surprise", {"text": "a" * 20_001}),
    ("POST", "/api/runs/bottles/activity", {"unit": 99}),
    ("POST", "/api/runs/bottles/activity", {"layer": 9}),
    ("POST", "/api/runs/bottles/step", {"position": 19_000}),
    ("POST", "/api/runs/bottles/heat", {"units": [[0, 99]]}),
    ("POST", "/api/runs/bottles/clamp", {"value": 2}),
    ("POST", "/api/runs/bottles/next", {"temperature": -1}),
    ("POST", "/api/runs/bottles/write", {"length": 10_000}),
    ("POST", "/api/runs/bottles/influence", {"position": 0}),
    ("POST", "/api/runs/bottles/memorised", {"length": 0}),
    ("POST", "/api/runs/bottles/memorised", {"length": 20_001}),
    ("POST", "/api/runs/bottles/next", b"{"),
]


@pytest.mark.parametrize(
    "method, path, body", BAD, ids=[f"{each[1]} {each[2]}"[:60] for each in BAD]
)
def test_what_is_wrong_is_reported_in_one_line(
    client: Client, method: str, path: str, body: Any
) -> None:
    status, _, content = client.ask(method, path, body)
    assert status in (404, 422)
    if status == 422:
        message = json.loads(content)["error"]["message"]
        assert message
        assert "\n" not in message
        assert "Traceback" not in message


def test_bodies_are_bounded(client: Client) -> None:
    path = "/api/runs/bottles/next"
    status, _, _ = client.ask("POST", path, b"x" * 300_000)
    assert status == 413
    headers = {"Content-Length": str(10**12)}
    assert client.ask("POST", "/api/texts?name=x", b"", headers)[0] == 413


def test_what_a_model_shows(client: Client) -> None:
    run = "/api/runs/bottles"
    facts = client.json("GET", f"{run}/facts")
    assert facts["symbols"] == len(TEXT)
    surprise = client.json("POST", f"{run}/surprise", {"begin": 10, "length": 50})
    assert "".join(surprise["symbols"]) == TEXT[10:60]
    assert surprise["bits"][0] is None
    assert all(bits >= 0 for bits in surprise["bits"][1:])
    chances = surprise["alternatives"][1]
    assert [each[1] for each in chances] == sorted((each[1] for each in chances), reverse=True)
    activity = client.json("POST", f"{run}/activity", {"length": 50, "unit": 3})
    heat = client.ask("POST", f"{run}/heat", {"length": 50, "units": [[0, 3], [0, 4]]})[2]
    assert len(heat) == 100
    signed = [byte - 256 * (byte > 127) for byte in heat[:50]]
    assert [round(value * 127) for value in activity["values"]] == pytest.approx(signed, abs=1)
    step = client.json("POST", f"{run}/step", {"length": 50, "unit": 3, "position": 7})
    assert step["hidden"] == pytest.approx(activity["values"][7], abs=1e-3)
    past = client.json("POST", f"{run}/influence", {"length": 50, "position": 20})["past"]
    assert [place for place, _, _ in past] == list(range(19, -1, -1))


def test_an_adaptive_reader_is_shown_beside_the_frozen_network(
    client: Client, place: Place
) -> None:
    run, asked = "/api/runs/bottles", {"begin": 100, "length": 4000}
    frozen = client.json("POST", f"{run}/surprise", asked)
    found = client.json("POST", f"{run}/surprise", asked | {"adaptive": True})
    assert found["symbols"] == frozen["symbols"]
    assert {name: frozen[name] for name in found["frozen"]} == found["frozen"]
    model = ricorda.load(place.folder / "runs" / "bottles")
    scores = model.score(TEXT[100:4100], 8, adaptive=True)
    bits = (scores.nats[1:] / math.log(2)).tolist()
    assert found["bits"][0] is None
    assert found["bits"][1:] == pytest.approx(bits, abs=1e-3)
    assert found["mean_bits"] == pytest.approx(scores.figures.bits_per_character, abs=1e-3)
    assert found["mean_bits"] < found["frozen"]["mean_bits"]
    labels = [label for label, _ in found["alternatives"][50]]
    assert labels == [label for label, _ in scores.alternatives(50)]
    status, _, content = client.ask(
        "POST", "/api/runs/planted/surprise", {"text": "the cat", "adaptive": True}
    )
    assert status == 422
    assert "lacks the gradient sizes" in json.loads(content)["error"]["message"]


def test_unseen_characters_are_shown_and_not_scored(client: Client) -> None:
    run = "/api/runs/bottles"
    known = client.json("POST", f"{run}/surprise", {"text": "9 bottles of"})
    text = "☃9 bo☃☃ttles of\u200b"
    found = client.json("POST", f"{run}/surprise", {"text": text})
    assert found["symbols"] == known["symbols"]
    assert found["unseen"] == [[0, "☃"], [4, "☃"], [4, "☃"], [12, "\\u200b"]]
    assert found["bits"] == [*known["bits"][:4], None, *known["bits"][5:]]
    assert found["alternatives"][4] == []
    counted = [bits for bits in found["bits"] if bits is not None]
    assert found["mean_bits"] == pytest.approx(sum(counted) / len(counted), abs=1e-3)
    activity = client.json("POST", f"{run}/activity", {"text": text})
    assert activity["unseen"] == found["unseen"]
    for path in ("write", "clamp", "next"):
        answer = client.json("POST", f"{run}/{path}", {"text": "9 ☃bot"})
        assert answer["unknown"] == "☃"
    asked = {"text": text, "position": 6}
    assert client.json("POST", f"{run}/influence", asked)["past"]
    assert client.json("POST", f"{run}/step", {"text": text})["unit"] == "0:0"


def test_gradients_are_compared_with_leaving_out(client: Client, place: Place) -> None:
    asked = {"text": TEXT[:50], "position": 20, "gradient": True}
    found = client.json("POST", "/api/runs/bottles/influence", asked)
    assert [place for place, *_ in found["gradient"]] == list(range(19, -1, -1))
    ids = ricorda.load(place.folder / "runs" / "bottles").vocabulary.encode(TEXT[:50])
    file = read_model_file(place.folder / "runs" / "bottles" / "model.safetensors")
    _, slopes = gradient_influence(file, ids, [20], distance=20)
    assert [slope for *_, slope in found["gradient"]] == pytest.approx(slopes[0], abs=1e-4)
    assert -1 <= found["agreement"] <= 1
    first = client.json("POST", "/api/runs/bottles/influence", {**asked, "position": 1})
    assert first["agreement"] is None


def test_what_a_model_memorized(client: Client, place: Place) -> None:
    found = client.json("POST", "/api/runs/bottles/memorised", {"length": 200, "seed": 3})
    parts = split(Part.whole(np.frombuffer(TEXT.encode(), np.uint8)))
    learned = parts.training.read(0, len(parts.training)).tobytes().decode()
    model = ricorda.load(place.folder / "runs" / "bottles", "auto")  # as `ricorda memorised` does
    written = model.generate("", length=200, seed=3)
    stretches = [written[begin:end] for begin in range(200) for end in range(begin + 1, 201)]
    assert found["length"] == 200
    assert found["longest"] == max(len(each) for each in stretches if each in learned)
    assert len(found["text"]) == found["longest"]
    assert found["text"] in learned
    assert found["kept_back"] > 10  # the bottles are counted down by the same words
    assert [size for size, *_ in found["shares"]] == [10, 20, 40, 80]


def test_no_more_is_written_than_was_kept_back(client: Client) -> None:
    facts = client.json("GET", "/api/runs/bottles/facts")
    found = client.json("POST", "/api/runs/bottles/memorised", {})
    assert found["length"] == facts["validation"]


def test_the_settings_reshape_the_chances(client: Client) -> None:
    path = "/api/runs/bottles/next"
    plain = client.json("POST", path, {"text": "9 bott", "temperature": 1})
    assert sum(each["own"] for each in plain["symbols"]) == pytest.approx(1)
    for each in plain["symbols"]:
        assert each["own"] == pytest.approx(each["shaped"])
    for change, possible in (({"top_k": 2}, 2), ({"temperature": 0}, 1), ({"min_p": 1.0}, 1)):
        shaped = client.json("POST", path, {"text": "9 bott", "temperature": 1, **change})
        assert shaped["possible"] == possible
    few = client.json("POST", path, {"text": "9 bott", "temperature": 1, "top_p": 0.5})
    assert few["possible"] < plain["possible"]
    assert client.json("POST", path, {"text": "9 ☃"})["unknown"] == "☃"


def test_the_same_seed_writes_the_same(client: Client) -> None:
    asked = {"text": "9 ", "length": 30, "seed": 3}
    texts = {client.json("POST", "/api/runs/bottles/write", asked)["text"] for _ in range(2)}
    assert len(texts) == 1


def test_simple_methods_are_computed_in_the_background(client: Client) -> None:
    found: dict[str, Any] = {}

    def done() -> bool:
        found.update(client.json("GET", "/api/texts/bottles.txt/baselines"))
        return bool(found["done"])

    wait_for(done)
    evaluated = found["bits_per_character"]
    assert evaluated["five_grams"] < evaluated["frequencies"] < evaluated["uniform"]
    assert client.json("GET", "/api/texts/bottles.txt/baselines") == found


def test_bytes_are_shown_as_bytes(client: Client) -> None:
    facts = client.json("GET", "/api/texts/bottles.txt?vocabulary=bytes")
    assert facts["kind"] == "bytes"
    assert facts["command"].endswith("--vocabulary bytes")


def test_the_run_tells_its_command(client: Client) -> None:
    details = client.json("GET", "/api/runs/bottles")
    assert details["state"] == "ended"
    assert details["command"].startswith("ricorda train ")
    assert "--config runs/bottles" in details["command"]
    assert Path(details["text"]["texts"][0]).name == "bottles.txt"


def test_an_upload_that_breaks_off_leaves_nothing(client: Client, place: Place) -> None:
    head = (
        f"POST /api/texts?name=broken HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {client.cookie}\r\n"
        "Content-Length: 100000\r\n\r\nabc"
    )
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(head.encode())
        wait_for(lambda: list((place.folder / "texts").glob(".*")) != [])
    wait_for(lambda: list((place.folder / "texts").glob(".*")) == [])
    assert "broken.txt" not in [text["name"] for text in client.json("GET", "/api/studio")["texts"]]


@pytest.fixture
def unfinished(place: Place) -> Iterator[RunFolder]:
    """A run that has not come to its end."""
    run = RunFolder(place.folder / "runs" / "unfinished")
    shutil.copytree(place.folder / "runs" / "bottles", run.path)
    rows = run.metrics.read_text().splitlines(keepends=True)
    run.metrics.write_text("".join(row for row in rows if '"ended"' not in row))
    yield run
    shutil.rmtree(run.path)


def test_an_unfinished_run_has_a_report_of_how_far_it_has_come(
    client: Client, unfinished: RunFolder
) -> None:
    assert client.json("GET", "/api/runs/unfinished")["has_report"]
    status, headers, content = client.ask("GET", "/api/runs/unfinished/report")
    assert (status, "unfinished.html" in headers["content-disposition"]) == (200, True)
    assert b"It has not ended" in content
    assert b"60 steps" in content


SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize("ended", [True, False])
def test_a_strangers_report_is_not_handed_out(
    client: Client, unfinished: RunFolder, ended: bool
) -> None:
    """In its stead comes a page made of the rows, in which all that they hold is text."""
    unfinished.report.write_text(SCRIPT)
    sample = {"step": 60, "text": f"what it wrote {SCRIPT}"}
    unfinished.samples.write_text(json.dumps(sample) + "\n")
    if ended:
        rows = (unfinished.path.parent / "bottles" / "metrics.jsonl").read_text()
        last = json.loads(rows.splitlines()[-1]) | {"run": f"'{SCRIPT}"}
        with unfinished.metrics.open("a") as file:
            file.write(json.dumps(last) + "\n")
    status, headers, content = client.ask("GET", "/api/runs/unfinished/report")
    assert status == 200
    assert SCRIPT not in content.decode()
    assert "what it wrote &lt;script&gt;" in content.decode()
    policy = headers["content-security-policy"].split("; ")
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert not any(part.startswith("script-src") for part in policy)


def test_a_report_made_anew_is_the_one_that_the_run_left(client: Client, place: Place) -> None:
    run = RunFolder(place.folder / "runs" / "bottles")
    content = client.ask("GET", "/api/runs/bottles/report")[2].decode()
    left = run.report.read_text("utf-8").replace(str(run.path), "runs/bottles")
    assert content == left


ENDED, TRAINED = {"event": "ended"}, {"event": "training", "seconds": {}}


@pytest.mark.parametrize("row", [ENDED, TRAINED, {"event": "evaluation"}])
def test_rows_that_tell_nothing_make_no_report(
    client: Client, unfinished: RunFolder, row: dict[str, Any]
) -> None:
    unfinished.metrics.write_text(json.dumps({"step": 1, **row}) + "\n")
    status, _, content = client.ask("GET", "/api/runs/unfinished/report")
    assert status == 422
    assert b"are damaged" in content


def test_ctrl_c_under_an_open_page_says_nothing_but_goodbye(tmp_path: Path) -> None:
    with studio_in(tmp_path) as own:
        connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/api/runs", headers={"Cookie": own.cookie})
            answered = json.loads(connection.getresponse().read())
            said = end_studio(own)
    assert answered == {"runs": [], "deleted": []}
    assert "Traceback" not in said
