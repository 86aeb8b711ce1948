"""`ricorda score`: a table, an object, a page."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

import ricorda

Call = Callable[..., tuple[int, str, str]]

TEXT = "5 bottles\n"


@pytest.fixture
def text(here: Path) -> Path:
    Path("short.txt").write_text(TEXT)
    return Path("short.txt")


def test_the_table_has_a_line_for_each_symbol(text: Path, call: Call) -> None:
    code, out, err = call("score", "runs/tiny", text)
    assert (code, err) == (0, "")
    heading, first, *lines = out.splitlines()
    assert heading.split() == ["bits", "symbol", "expected"]
    assert first.split() == ["5"]  # nothing comes before it
    assert [line.split()[1] for line in lines] == ["␣", *"bottles", r"\n"]
    scores = ricorda.load("runs/tiny").score(TEXT, 5)
    for line, nats in zip(lines, scores.nats[1:], strict=True):
        bits, _, *alternatives = line.split()
        assert float(bits) == pytest.approx(nats / math.log(2), abs=0.006)
        assert len(alternatives) == 10
        chances = [float(chance) for chance in alternatives[1::2]]
        assert chances == sorted(chances, reverse=True)


@pytest.mark.parametrize("width, alternatives", [(80, 5), (60, 5), (52, 4), (40, 3), (20, 0)])
def test_a_narrow_terminal_shows_fewer_alternatives(
    text: Path, call: Call, monkeypatch: pytest.MonkeyPatch, width: int, alternatives: int
) -> None:
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": str(width)}.items():
        monkeypatch.setenv(name, value)
    lines = call("score", "runs/tiny", text)[1].splitlines()
    assert all(cell_len(line) <= width for line in lines if alternatives)
    assert [len(line.split()) for line in lines[2:]] == [2 + 2 * alternatives] * (len(TEXT) - 1)


def test_json(text: Path, call: Call) -> None:
    code, out, err = call("score", "runs/tiny", text, "--json")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    found = json.loads(out)
    names = ["symbols", "nats", "alternatives"]
    assert list(found)[-4:] == [*names, "unseen"]
    assert found["unseen"] == []
    assert found["symbols"] == ["5", " ", *"bottles", r"\n"]
    assert found["nats"][0] is None
    assert [len(found[name]) for name in names] == [len(TEXT)] * 3
    assert [len(each) for each in found["alternatives"]] == [0] + [5] * (len(TEXT) - 1)
    evaluated = json.loads(call("evaluate", "runs/tiny", text, "--json")[1])
    assert {name: found[name] for name in evaluated} == pytest.approx(evaluated)
    mean = sum(found["nats"][1:]) / (len(TEXT) - 1)
    assert mean == pytest.approx(found["nats_per_character"])


def test_unknown_characters_are_left_out_and_reported(text: Path, call: Call) -> None:
    Path("known.txt").write_text("5 bottles\n")
    text.write_text("5 bottlées\n")
    code, out, err = call("score", "runs/tiny", text, "--json")
    assert code == 0
    assert err == "left out 1 character of the text that the model never saw: 'é'\n"
    found = json.loads(out)
    plain = json.loads(call("score", "runs/tiny", "known.txt", "--json")[1])
    assert found["symbols"] == plain["symbols"]
    assert found["unseen"] == [{"before": 7, "characters": "é"}]
    assert (found["unseen_characters"], found["left_out"]) == (1, 1)
    assert found["nats"][7] is None
    assert found["nats"] == [*plain["nats"][:7], None, *plain["nats"][8:]]
    rest = [nats for nats in found["nats"] if nats is not None]
    assert found["nats_per_character"] == pytest.approx(sum(rest) / len(rest))


def test_the_table_shows_unseen_characters_where_they_stand(text: Path, call: Call) -> None:
    text.write_text("5 boéttlesZ\u200b\n")
    code, out, _ = call("score", "runs/tiny", text)
    assert code == 0
    lines = out.splitlines()
    assert lines[5] == "    -  é       never seen"
    assert lines[6] == "       t"
    assert lines[7].split()[1] == "t"
    assert lines[-3:] == ["    -  Z       never seen", r"    -  \u200b  never seen", r"       \n"]


def test_the_page_is_complete_in_itself(text: Path, call: Call) -> None:
    code, out, err = call("score", "runs/tiny", text, "--html", "page.html")
    assert (code, out, err) == (0, "", "wrote page.html\n")
    page = Path("page.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "short.txt" in page
    assert not re.search(r"""(src|href|action)\s*=\s*["']?\s*(https?:|//)""", page)
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:|#)", page)
    body = re.sub(r"<[^>]*>", "", page[page.index('id="text"') :])
    assert "5 bottles" in body
    assert {entry.name for entry in Path().iterdir()} == {
        "my.txt",
        "page.html",
        "runs",
        "short.txt",
    }


def test_the_page_and_the_object_may_both_be_wanted(text: Path, call: Call) -> None:
    code, out, _ = call("score", "runs/tiny", text, "--html", "page.html", "--json")
    assert code == 0
    assert len(json.loads(out)["nats"]) == len(TEXT)
    assert Path("page.html").is_file()


def test_a_page_is_written_anew(text: Path, call: Call) -> None:
    Path("page.html").write_text("old")
    assert call("score", "runs/tiny", text, "--html", "page.html")[0] == 0
    assert Path("page.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_text_cannot_break_out_of_the_page(text: Path, call: Call) -> None:
    attack = "</script><script>alert(1)</script>"
    text.write_text(attack + "<img src=x onerror=alert(1)>" * 40)
    ricorda.train(text, steps=1, hidden_size=4, threads=1, quiet=True)
    assert call("score", "runs/short", text, "--html", "page.html")[0] == 0
    page = Path("page.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "<img" not in page


def test_a_page_of_a_text_that_is_read_as_training_read_its_own(here: Path, call: Call) -> None:
    """Without the encoding, what the folder holds looks binary."""
    Path("wide").mkdir()
    Path("wide/a.txt").write_bytes(TEXT.encode("utf-16"))
    options: Any = {"encoding": "utf-16", "documents": "text", "steps": 1, "hidden_size": 4}
    ricorda.train("wide/a.txt", out="runs/wide", quiet=True, **options)
    assert call("score", "runs/wide", "wide", "--html", "page.html")[0] == 0
    assert Path("page.html").exists()


@pytest.mark.parametrize(
    "page, message",
    [
        ("short.txt", "a name that ends with .html"),
        ("runs/tiny/model.safetensors", "a name that ends with .html"),
        ("text.html", "is one of the input files"),
        ("folder.html", "found a folder"),
        ("missing/page.html", "no folder missing"),
        ("/proc/page.html", "cannot write the page"),
    ],
)
def test_the_page_replaces_no_other_file(
    text: Path, call: Call, tiny: ricorda.Run, page: str, message: str
) -> None:
    Path("text.html").write_text(TEXT)
    Path("folder.html").mkdir()
    name = page if page == "text.html" else text
    code, out, err = call("score", "runs/tiny", name, "--html", page)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert text.read_text() == Path("text.html").read_text() == TEXT
    kept = Path("runs/tiny/model.safetensors").read_bytes()
    assert kept == (tiny.folder / "model.safetensors").read_bytes()


def test_wide_symbols_keep_their_columns(here: Path, call: Call) -> None:
    Path("chinese.txt").write_text("春眠不覺曉，處處聞啼鳥。" * 20)
    ricorda.train("chinese.txt", steps=1, hidden_size=4, threads=1, quiet=True)
    _, out, _ = call("score", "runs/chinese", "chinese.txt")
    assert " 眠      " in out.splitlines()[2]


def test_adaptive_figures_say_so(text: Path, call: Call) -> None:
    model = ricorda.load("runs/tiny")
    scores = model.score(TEXT, 5, adaptive=True)
    code, out, err = call("score", "runs/tiny", text, "--adaptive", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["protocol"] == "adaptive"
    assert found["nats"][1:] == pytest.approx(scores.nats[1:].tolist())
    assert json.loads(call("score", "runs/tiny", text, "--json")[1])["protocol"] == "carried"
    assert call("score", "runs/tiny", text, "--adaptive")[1].startswith(
        "bits   symbol  expected  (adaptive)\n"
    )
    code, _, err = call("score", "runs/tiny", text, "--adaptive", "--html", "page.html")
    assert (code, err) == (0, "wrote page.html\n")
    page = Path("page.html").read_text("utf-8")
    assert "<title>Adaptive surprisal of short.txt</title>" in page
    assert "to an adaptive reader" in page
    assert "bits per character, adaptive" in page
    call("score", "runs/tiny", text, "--html", "page.html")
    assert "daptive" not in Path("page.html").read_text("utf-8")


def test_adaptive_rows_say_so(names_here: Path, call: Call) -> None:
    code, out, _ = call("score", "runs/names", "names.txt", "--lines", "--adaptive", "--json")
    assert code == 0
    assert {json.loads(line)["protocol"] for line in out.splitlines()} == {"adaptive"}
    out = call("score", "runs/names", "names.txt", "--lines", "--json")[1]
    assert all("protocol" not in json.loads(line) for line in out.splitlines())
    heading = call("score", "runs/names", "names.txt", "--lines", "--adaptive")[1].splitlines()[0]
    assert heading == "  bits      nats  document  (adaptive)"
    heading = call("score", "runs/names", "names.txt", "--lines")[1].splitlines()[0]
    assert heading == "  bits      nats  document"
    table = call("score", "runs/names", "names.txt", "--lines", "--adaptive", "--csv")[1]
    assert {line.split(",")[-1] for line in table.splitlines()} == {"protocol", "adaptive"}
