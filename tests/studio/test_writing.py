"""Writing with a model: streamed, stopped, compared, copied and downloaded."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ricorda.runs import RunFolder
from ricorda.studio.looking import Looking
from ricorda.studio.settings import NextRequest, StreamRequest
from ricorda.studio.texts import Texts
from ricorda.studio.workspace import Workspace
from tests.studio.conftest import PATIENCE, TEXT, Place, in_sight, opening
from tests.studio.test_server import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STREAM = "/api/runs/bottles/stream"
ASKED = {"text": "9 bottles", "length": 120, "seed": 3, "temperature": 0.7, "top_k": 5}


@pytest.fixture(scope="module")
def client(place: Place) -> Client:
    return Client(place)


def lines(client: Client, **asked: Any) -> list[dict[str, Any]]:
    status, headers, content = client.ask("POST", STREAM, asked)
    assert status == 200, content
    assert headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in content.splitlines()]


def test_what_is_streamed_is_what_is_written_at_once(client: Client) -> None:
    first, *pieces, last = lines(client, **ASKED)
    written = client.json("POST", "/api/runs/bottles/write", ASKED)
    assert "".join(piece["text"] for piece in pieces) == written["text"]
    assert first == {"seed": 3, "unknown": "", "prompt": "9 bottles"}
    assert last == {"ended": "length"}
    assert len(pieces) > 1


def test_what_the_model_never_saw_is_left_out_of_the_prompt(client: Client) -> None:
    first = lines(client, text="9 bottles ☂", length=1)[0]
    assert (first["prompt"], first["unknown"]) == ("9 bottles ", "☂")
    assert 0 <= first["seed"] < 2**64


@pytest.mark.parametrize(
    "path, asked",
    [
        (STREAM, {"length": 0}),
        (STREAM, {"length": 100_001}),
        (STREAM, {"temperature": -1}),
        (STREAM, {"text": "x" * 10_001}),
        (STREAM, {"wrong": 1}),
        ("/api/runs/nothing/stream", {}),
    ],
    ids=str,
)
def test_a_refusal_is_one_line_before_anything_is_written(
    client: Client, path: str, asked: dict[str, Any]
) -> None:
    status, _, content = client.ask("POST", path, asked)
    assert status == 422
    assert json.loads(content)["error"]["message"]


def test_a_client_may_leave_in_the_middle(place: Place, client: Client) -> None:
    for _ in range(8):  # more than work at once
        connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=PATIENCE)
        given = {"Cookie": client.cookie, "Content-Type": "application/json"}
        connection.request("POST", STREAM, json.dumps({"length": 100_000}), given)
        response = connection.getresponse()
        assert b"seed" in response.readline()
        connection.close()
    assert client.json("POST", "/api/runs/bottles/next", {})["symbols"]


def test_other_looks_take_their_turn_while_a_text_is_written(place: Place) -> None:
    folder = place.folder
    looking = Looking(Texts(Workspace(folder / "runs", folder / "texts"), 10**6))
    run = RunFolder(folder / "runs" / "bottles")
    writing = looking.stream(run, StreamRequest(length=100_000))
    assert "seed" in next(writing)
    assert next(writing)["text"]
    found: list[Any] = []
    other = threading.Thread(target=lambda: found.append(looking.next(run, NextRequest())))
    other.start()
    other.join(60)
    assert found
    assert next(writing)["text"]


def write(page: "Page", prompt: str, **settings: object) -> None:
    """Fill the form and wait until the text is whole."""
    page.fill("#write-prompt", prompt)
    for name, value in settings.items():
        page.locator(f"#write-{name.replace('_', '-')}").fill(str(value))
    page.click("#write-start")
    page.wait_for_selector("#write-facts:has-text('characters')")
    page.wait_for_selector("#write-start:visible")


@pytest.fixture(scope="module")
def shared(browser: "Browser", place: Place) -> "Iterator[Page]":
    """One page at the panel of samples, which may use the clipboard."""
    with opening(browser, place) as open_page:
        page = open_page()
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield page


@pytest.fixture
def writer(shared: "Page") -> "Page":
    """The page with the form as it is at first."""
    shared.select_option("#language", "en")
    in_sight(shared, "writes")
    shared.wait_for_selector("#write-run option[value=bottles]", state="attached")
    shared.select_option("#write-run", "bottles")
    for name, value in {"prompt": "", "length": "500", "seed": "1", "temperature": "0.8"}.items():
        shared.locator(f"#write-{name}").fill(value)
    return shared


def parts(page: "Page", side: str, kind: str) -> list[str]:
    """The pieces of one of the two samples that both have, or that it alone has."""
    return page.locator(f"#compare-{side}-text .{kind}").all_text_contents()


def test_two_samples_are_compared(writer: "Page") -> None:
    first_step = writer.locator("#compare-one option:checked").inner_text()
    last_step = writer.locator("#compare-other option:checked").inner_text()
    assert first_step == "bottles, step 0"
    assert last_step.startswith("bottles, step ")
    assert last_step != first_step
    write(writer, "9 bottles of beer", length=40, seed=3)
    write(writer, "9 bottles of milk", length=40, seed=4)
    chosen = [writer.locator(f"#compare-{side} option:checked") for side in ("one", "other")]
    assert [each.inner_text().split(":")[0] for each in chosen] == ["Text 1", "Text 2"]
    assert parts(writer, "one", "same")[0] == "9 bottles of "
    assert parts(writer, "one", "only")[0].startswith("beer")
    assert parts(writer, "other", "only0") == []
    assert "the same 13 characters" in writer.inner_text("#compare-words")
    newest = writer.text_content("#compare-other-text")
    assert newest == writer.text_content("#written")
    writer.select_option("#compare-other", "w1")
    assert parts(writer, "other", "only") == []
    assert "100%" in writer.inner_text("#compare-words")
    show_run(writer, "planted")  # which has no samples of its own
    writer.wait_for_selector("#compare-one option[value=s0]", state="detached")
    assert writer.locator("#compare-one option").count() == 2
    show_run(writer, "bottles")
    writer.wait_for_selector("#compare-one option[value=s0]", state="attached")


def show_run(page: "Page", name: str) -> None:
    """Choose a run, and come back to its samples."""
    in_sight(page, "runs")
    page.click(f"#runs-table button:text-is('{name}')")
    in_sight(page, "writes")


def test_a_prompt_is_continued_copied_and_downloaded(writer: "Page", client: Client) -> None:
    write(writer, "9 bottles", length=120, seed=3, temperature="0.7")
    asked = ASKED | {"top_k": None}
    expected = "9 bottles" + client.json("POST", "/api/runs/bottles/write", asked)["text"]
    assert writer.text_content("#written") == expected
    facts = writer.inner_text("#write-facts")
    assert facts == "bottles; temperature 0.70; seed 3 · 120 characters"
    copying = writer.locator("#written-copying")
    copying.get_by_role("button", name="Copy").click()
    writer.wait_for_function(IS_COPIED, arg=expected)
    with writer.expect_download() as download:
        copying.get_by_role("button", name="Download").click()
    assert re.fullmatch(r"bottles-\d+\.txt", download.value.suggested_filename)
    assert Path(download.value.path()).read_text("utf-8") == expected
    command = writer.inner_text("[data-command=writes] code >> nth=0")
    assert command.startswith("ricorda sample runs/bottles --prompt '9 bottles' --temperature 0.7")
    assert "--length 120 --seed 3" in command


IS_COPIED = "async (text) => (await navigator.clipboard.readText()) === text"


def test_a_text_of_the_training_is_copied_too(writer: "Page") -> None:
    sample = writer.text_content("#sample")
    said = writer.locator("#sample-copying button").first.evaluate(
        """async (button) => {
            const changed = new Promise((resolve) =>
                new MutationObserver(resolve).observe(button, { childList: true }));
            button.click();
            await changed;
            return button.textContent;
        }"""
    )
    assert said == "Copied"
    writer.wait_for_function(IS_COPIED, arg=sample)


HELD_BACK = """() => {
    window.realFetch = window.fetch;
    window.fetch = (path, options) => {
        if (!String(path).endsWith("/stream")) return window.realFetch(path, options);
        const line = (value) => new TextEncoder().encode(JSON.stringify(value) + "\\n");
        return Promise.resolve(new Response(new ReadableStream({
            start(controller) {
                controller.enqueue(line({ seed: 5, unknown: "", prompt: "so" }));
                controller.enqueue(line({ text: " it begins" }));
                const { signal } = options;
                signal.addEventListener("abort", () => controller.error(signal.reason));
            },
        })));
    };
}"""
"""A model that writes ten characters and then thinks for ever."""


def test_a_text_grows_until_it_is_stopped(writer: "Page") -> None:
    writer.evaluate(HELD_BACK)
    writer.focus("#write-start")
    writer.keyboard.press("Enter")
    writer.wait_for_selector("#written:has-text('so it begins')")
    assert "Writing" in writer.inner_text("#write-facts")
    assert writer.evaluate("document.activeElement.id") == "write-stop"
    writer.keyboard.press("Enter")
    writer.wait_for_selector("#write-facts:has-text('stopped after 10 characters')")
    assert writer.evaluate("document.activeElement.id") == "write-start"
    assert writer.text_content("#written") == "so it begins"
    writer.select_option("#language", "it")
    assert "fermato dopo 10 caratteri" in writer.inner_text("#write-facts")
    writer.evaluate("window.fetch = window.realFetch")


def test_a_wrong_setting_is_named(writer: "Page") -> None:
    writer.fill("#write-length", "0")
    writer.click("#write-start")
    assert "Length in symbols" in writer.inner_text("#write-problem")
    assert writer.evaluate("document.activeElement.id") == "write-length"


def common_words(first: list[str], second: list[str]) -> int:
    """The length of the longest common subsequence, by its definition."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = row[:]
        for place, other in enumerate(second):
            row[place + 1] = (
                before[place] + 1 if word == other else max(before[place + 1], row[place])
            )
    return row[-1]


PAIRS = [
    ("", ""),
    ("same", "same"),
    ("one two three", "one 2 three"),
    ("a b c d e f", "b c x e f g"),
    ("perché no? sì", "perché sì? no"),
    ("x\n\ny", "x\ny"),
    ("…,;", "…;,"),
    ("🙂 smile", "🙃 smile"),
    (TEXT[:400], TEXT[200:700]),
]


def test_a_difference_keeps_both_texts_and_the_most_words(shared: "Page") -> None:
    script = "async ([a, b]) => (await import('/page/difference.js')).difference(a, b)"
    for first, second in PAIRS:
        found = shared.evaluate(script, [first, second])
        assert ["".join(text for text, _ in side) for side in found["parts"]] == [first, second]
        common = [[text for text, same in side if same] for side in found["parts"]]
        assert "".join(common[0]) == "".join(common[1])
        words = [
            [word for word in text.replace("\n", " ").split(" ") if word]
            for text in (first, second, " ".join(common[0]))
        ]
        if all(word.isalnum() for word in words[0] + words[1]):
            assert len(words[2]) == common_words(words[0], words[1])
        assert 0 <= found["share"] <= 1
        assert first[:1] != second[:1] or found["begin"] > 0 or not first
