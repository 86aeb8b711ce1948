"""The page as a person uses it, in headless Chromium: every panel, from the text to the report."""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ricorda
from ricorda.runs import RunFolder
from ricorda.shell import command_line
from ricorda.studio.trainings import trainer_of
from tests.rows import append_row
from tests.studio.conftest import (
    TEXT,
    Open,
    Place,
    end_studio,
    in_sight,
    make_place,
    studio_in,
)
from tests.test_shell import WORDS

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request


def drop(page: "Page", name: str, text: str) -> None:
    """Drop a file on the page."""
    transfer = page.evaluate_handle(
        "([name, text]) => { const data = new DataTransfer();"
        "data.items.add(new File([text], name, {type: 'text/plain'})); return data; }",
        [name, text],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def number_in(page: "Page", selector: str) -> float:
    text = page.inner_text(selector).replace(",", "")
    return float(text) if re.fullmatch(r"[\d.]+", text) else float("nan")


def is_beginning(request: "Request") -> bool:
    """Whether a training is asked for, not the list of runs."""
    return request.method == "POST" and request.url.endswith("/api/runs")


def begin_training(page: "Page", minutes: float) -> None:
    page.select_option("#size", "64")
    page.click("#settings summary")
    page.fill("#minutes", str(minutes))
    page.fill("#hidden_size", "12")
    page.fill("#threads", "1")
    page.click("#start")


def test_from_a_text_to_a_report(open_page: Open, own_place: Place) -> None:
    page = open_page(None, own_place)
    drop(page, "My beer.txt", TEXT)
    page.wait_for_selector("#facts-name:text-is('My-beer.txt')")
    assert page.inner_text("#facts-characters") == f"{len(TEXT):,}"
    assert "for validation" in page.inner_text("#split-words")
    begin_training(page, 60)
    in_sight(page, "writes")
    page.wait_for_selector("#writes-full:not([hidden])")
    assert len(page.text_content("#sample") or "") > 100
    in_sight(page, "learning")
    page.click("#learning details:has(#loss-table) summary")
    page.wait_for_selector("#loss-table tbody tr")
    page.wait_for_function("() => Number(document.querySelector('#now-bits').innerText) < 6")
    page.context.close()  # the page is closed while the run goes on

    again = open_page(None, own_place)
    again.wait_for_selector("#state:text('training')")
    in_sight(again, "writes")
    again.wait_for_selector("#moment:not([max='0'])")  # a sample of a trained network
    again.locator("#moment").fill("0")
    assert "random" in again.inner_text("#sample-facts")
    before_learning = again.inner_text("#sample")
    again.click("#newest")
    assert again.inner_text("#sample") != before_learning

    again.click("#pause")
    again.wait_for_selector("#state:text-is('paused')")
    steps = number_in(again, "#now-step")
    again.click("#go-on")
    again.wait_for_selector("#state:text-is('training')")
    again.click("#pause")
    again.wait_for_selector("#state:text-is('paused')")
    assert number_in(again, "#now-step") >= steps
    again.click("#stop")
    again.wait_for_selector("#state:text-is('stopped')")

    in_sight(again, "runs")
    with again.expect_download() as download:
        again.click("#run-report")
    assert download.value.suggested_filename == "My-beer.html"
    report = Path(download.value.path()).read_text("utf-8")
    assert report.startswith("<!DOCTYPE html>")
    assert "A run of ricorda" in report


def test_the_form_asks_for_documents_and_pieces(open_page: Open, own_place: Place) -> None:
    page = open_page(None, own_place)
    drop(page, "beer.txt", TEXT)
    page.wait_for_selector("#facts-name:text-is('beer.txt')")
    page.click("#settings summary")
    for field in ("vocabulary", "documents"):
        assert page.is_hidden(f"#{field}-detail")
    page.select_option("#vocabulary", "pieces")
    page.fill("#vocabulary-detail", "64")
    page.select_option("#documents", "separator")
    page.fill("#documents-detail", " -- ")
    page.select_option("#split", "blocks")
    page.fill("#test_fraction", "0.2")
    page.fill("#min_count", "2")
    page.fill("#steps", "1")
    page.fill("#threads", "1")
    with page.expect_request(is_beginning) as sent:
        page.click("#start")
    assert sent.value.post_data_json == {
        **{"text": "beer.txt", "hidden_size": 256, "steps": 1, "threads": 1},
        **{"vocabulary": "pieces:64", "documents": "separator: -- ", "split": "blocks"},
        **{"test_fraction": 0.2, "min_count": 2},
    }


def test_the_loss_curve_grows_during_training(open_page: Open) -> None:
    page = open_page()
    in_sight(page, "learning")
    page.click("#learning details:has(#loss-table) summary")
    page.wait_for_selector("#loss-table tbody tr >> nth=10")
    newest = page.locator("#loss-table tbody tr").first.locator("td").nth(2).text_content()
    oldest = page.locator("#loss-table tbody tr").last.locator("td").nth(2).text_content()
    assert float(newest or 9) < float(oldest or 0) - 0.2
    page.wait_for_selector("#learning .level-name >> nth=3")  # the simple methods
    page.locator("#loss .plot").focus()
    page.keyboard.press("Home")
    first = page.inner_text("#loss .reading")
    page.keyboard.press("End")
    assert page.inner_text("#loss .reading") != first
    assert "bits" in first


def test_a_unit_is_clicked_and_the_text_coloured(open_page: Open) -> None:
    page = open_page("planted")
    in_sight(page, "inside")
    rows = page.locator("#units tbody tr")
    rows.first.wait_for()
    first = [cell.inner_text() for cell in rows.first.locator("th, td").all()]
    assert first[0] == "0:5"  # the unit that was planted
    assert "inside" in first[1]
    effect, control = float(first[2]), float(first[3])
    assert effect > 0.9
    assert control < 0.25
    coloured = page.locator("#unit-text .symbols span[class*=more], #unit-text span[class*=less]")
    coloured.first.wait_for()
    classes = "() => [...document.querySelectorAll('#unit-text span')].map((s) => s.className)"
    colours = page.evaluate(classes)
    page.select_option("#unit-filter", "*")
    other = rows.nth(8).locator("button")
    name = other.inner_text()
    other.click()
    page.wait_for_selector(f"#unit-heading:text('Unit {name}')")
    page.locator(f"#step p:text('unit {name}')").wait_for()
    assert page.evaluate(classes) != colours
    assert page.locator("#step tbody tr").count() >= 4
    page.fill("#unit-number", "0:999")
    page.click("#show-unit")
    assert "16" in page.inner_text("#inside-problem")


def test_a_picture_that_does_not_come_is_reported(open_page: Open) -> None:
    page = open_page(None)
    page.route("**/heat", lambda route: route.abort())
    in_sight(page, "runs")
    page.click("#runs-table button:text-is('planted')")
    in_sight(page, "inside")
    page.wait_for_selector("#inside-problem:has-text('does not answer')")


def test_a_unit_is_held_and_the_sample_written_again(open_page: Open) -> None:
    page = open_page("planted")
    in_sight(page, "inside")
    page.locator("#units tbody tr").first.wait_for()
    page.locator("#clamp-value").fill("1")
    page.click("#clamp button")
    page.wait_for_selector("#clamped:not([hidden])")
    assert page.inner_text("#as-it-is") != page.inner_text("#held")
    page.locator("#clamp-value").fill("-1")  # the samples are still those of 1
    assert "held at 1" in page.inner_text("#held-heading")
    page.locator("#clamp-value").fill("1")
    assert "ricorda clamp runs/planted 0:5=1 --length 300 --seed 1" in page.inner_text(
        "[data-command=inside]"
    )


def test_the_page_quotes_as_the_server_does(open_page: Open) -> None:
    page = open_page(None)
    for word in WORDS:
        if word.encode("utf-8", "ignore").decode() == word:  # the others are no text
            script = "async (word) => (await import('/page/commands.js')).quoted(word)"
            assert page.evaluate(script, word) == command_line([word])


def test_a_file_in_another_encoding(open_page: Open, own_place: Place) -> None:
    page = open_page(None, own_place)
    content = ("perché no?\n" * 100).encode("latin-1")
    page.set_input_files("#file", {"name": "old.txt", "mimeType": "text/plain", "buffer": content})
    page.wait_for_selector("#text-problem:not([hidden])")
    assert "expected UTF-8" in page.inner_text("#text-problem")
    page.select_option("#encoding", "windows-1252")
    page.wait_for_selector("#facts-name:text-is('old.txt')")
    assert "perché" in page.inner_text("#beginning")
    assert not page.is_visible("#text-problem")


def test_surprise_is_read_out_by_pointer_and_keys(open_page: Open) -> None:
    page = open_page()
    in_sight(page, "surprise")
    page.wait_for_selector("#surprise-text span[class*=s]")
    page.hover("#surprise-text .symbols span >> nth=20")
    assert "gave this character a probability of" in page.inner_text("#inspector")
    page.locator("#surprise-text .symbols").focus()
    for key in ("Home", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    read = page.inner_text("#surprise-text .reading")
    assert "expected:" in read
    page.locator("#inspector .past li").first.wait_for()
    assert page.locator("#surprising tbody tr").count() == 12
    page.hover("#surprise-text .symbols span >> nth=30")
    page.mouse.wheel(0, 40)  # other symbols come under the pointer
    page.hover("#surprise-text .symbols span >> nth=40")
    assert page.inner_text("#surprise-text .reading") == read


@pytest.mark.usefixtures("with_pytorch")
def test_gradients_are_shown_beside_leaving_out(open_page: Open) -> None:
    page = open_page()
    in_sight(page, "surprise")
    page.locator("#inspector .past li").first.wait_for()
    assert page.evaluate("""() => {
        const [box, held] = [".symbols", ".held"].map((part) =>
            document.querySelector("#surprise-text " + part).getBoundingClientRect());
        return box.top <= held.top && held.bottom <= box.bottom;
    }""")
    page.check("#by-gradient")
    page.locator("#steepest li").first.wait_for()
    assert "Rank correlation" in page.inner_text("#agreement")
    assert "--gradient norm" in page.inner_text("[data-command=surprise]")
    with page.expect_response("**/surprise"), page.expect_response("**/influence"):
        page.evaluate("import('/page/state.js').then((state) => state.tellAll('model'))")
    page.locator("#steepest li").first.wait_for()  # a new checkpoint takes nothing away
    page.uncheck("#by-gradient")
    page.locator("#agreement").wait_for(state="detached")


def test_adaptive_reading_is_shown_beside_the_frozen_network(open_page: Open) -> None:
    page = open_page()
    in_sight(page, "surprise")
    page.wait_for_selector("#surprise-text span[class*=s]")
    frozen = page.inner_text("#surprise-mean")
    assert not page.is_visible("#surprise-curves")
    page.check("#adaptive")
    page.wait_for_selector("#surprise-curves:not([hidden]) path.curve >> nth=1", state="attached")
    assert page.locator("#surprise-curves path.curve[d]").count() >= 2
    assert page.locator("#surprise-curves .legend").inner_text().split() == ["adaptive", "frozen"]
    assert "Adaptive: " in page.inner_text("#surprise-mean")
    assert "Bits, adaptive:" in page.inner_text("#surprise-legend")
    assert "a protocol of their own" in page.inner_text("#adaptive-note")
    command = page.inner_text("[data-command=surprise] code")
    assert command.endswith("/bottles - --adaptive")
    page.hover("#surprise-text .symbols span >> nth=20")
    assert "bits, adaptive: the reader gave" in page.inner_text("#inspector")
    assert not page.is_visible("#by-gradient")
    page.locator("#surprise-text .symbols").focus()
    page.keyboard.press("ArrowRight")
    assert "bits, adaptive" in page.inner_text("#surprise-text .reading")
    page.click("#surprise-table-name")
    assert "bits, adaptive" in page.inner_text("#surprising thead")
    page.locator("#surprise-curves .plot").focus()
    page.keyboard.press("Home")
    assert page.inner_text("#surprise-curves .reading").startswith("character 1: adaptive ")
    page.select_option("#language", "it")
    assert "Adattiva: " in page.inner_text("#surprise-mean")
    assert "bit, adattivi; attesi" in page.inner_text("#surprise-text .reading")
    legend = page.locator("#surprise-curves .legend").inner_text()
    assert legend.split() == ["adattiva", "congelata"]
    page.select_option("#language", "en")
    page.uncheck("#adaptive")
    page.wait_for_selector("#surprise-curves", state="hidden")
    assert page.inner_text("#surprise-mean") == frozen
    page.locator("#inspector .past li").first.wait_for()


def test_a_model_that_cannot_learn_says_why(open_page: Open) -> None:
    page = open_page("planted")
    in_sight(page, "surprise")
    page.wait_for_selector("#surprise-text span[class*=s]")
    page.check("#adaptive")
    page.wait_for_selector("#surprise-problem:not([hidden])")
    assert "lacks the gradient sizes" in page.inner_text("#surprise-problem")
    assert "Adaptive" not in page.inner_text("#surprise-mean")
    assert not page.is_visible("#surprise-curves")
    page.uncheck("#adaptive")
    page.wait_for_selector("#surprise-problem", state="hidden")


def test_what_is_memorized_is_looked_for(open_page: Open) -> None:
    page = open_page()
    in_sight(page, "writes")
    page.click("#memorized")
    page.wait_for_selector("#memorized-found:not([hidden])")
    assert (page.text_content("#memorized-text") or "") in TEXT
    assert "validation text" in page.inner_text("#memorized-longest")
    assert page.locator("#memorized-shares tbody tr").count() == 4
    assert "ricorda memorised" in page.inner_text("[data-command=writes]")


def test_one_reads_a_text_of_ones_own(open_page: Open) -> None:
    page = open_page()
    in_sight(page, "surprise")
    page.wait_for_selector("#surprise-text span[class*=s]")
    page.click("[data-reader=surprise] summary")
    page.fill("#surprise-own", "9 bottles <b>&amp;</b> of beer")
    page.click("[data-reader=surprise] button >> nth=0")
    page.wait_for_selector("#surprise-unseen:text('that the model never saw')")
    assert "<b>" in page.inner_text("#surprise-text .symbols")
    marked = page.locator("#surprise-text .unseen-symbol").all_inner_texts()
    assert marked[0] == "<"
    assert "that the model never saw" in page.inner_text("#surprise-unseen")


def test_a_character_is_chosen_by_hand(open_page: Open) -> None:
    page = open_page()
    in_sight(page, "choose")
    page.fill("#context", "9 bottl")
    chance = page.locator("#chances button").first
    page.wait_for_selector("#chances button")
    page.locator("#temperature").fill("0")
    page.wait_for_selector("#chances-words:text-matches('^1 of')")
    assert chance.locator(".chance").inner_text() == "100%"
    symbol = chance.locator(".symbol").inner_text()
    chance.click()
    assert page.input_value("#context") == "9 bottl" + symbol.replace("␣", " ")
    page.click("#draw-many")
    page.wait_for_function("() => document.querySelector('#context').value.length > 8")
    page.click("#undo")
    page.click("#undo")
    assert page.input_value("#context") == "9 bottl"
    page.locator("#top_k").fill("3")
    page.locator("#temperature").fill("1")
    page.wait_for_selector("#chances-words:text-matches('^3 of')")
    assert "--temperature 1 --top-k 3" in page.inner_text("[data-command=choose]")


def test_the_language_is_the_browsers_and_may_be_changed(open_page: Open) -> None:
    page = open_page(locale="it-IT")
    assert page.locator("html").get_attribute("lang") == "it"
    assert "impara" in page.inner_text("h1")
    page.select_option("#language", "en")
    assert page.inner_text("#text-heading").endswith("Text")
    in_sight(page, "runs")
    english = page.locator("#runs-table tbody tr:has-text('planted') td.number").first.inner_text()
    page.select_option("#language", "it")
    italian = page.locator("#runs-table tbody tr:has-text('planted') td.number").first.inner_text()
    assert (english, italian) == ("2.885", "2,885")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.locator("html").get_attribute("lang") == "it"


def test_runs_are_compared(open_page: Open) -> None:
    page = open_page()
    in_sight(page, "runs")
    for name in ("bottles", "planted"):
        page.check(f"input[aria-label='Compare {name}']")
    page.wait_for_selector("#comparison .curve.compared1", state="attached")
    page.uncheck("input[aria-label='Compare planted']")
    page.wait_for_selector("#comparison .curve.compared1", state="detached")


def test_a_connection_that_was_lost_continues(open_page: Open) -> None:
    page = open_page()
    page.context.set_offline(True)
    page.click("#runs-table button:text-is('planted')")
    page.wait_for_selector("#lost:not([hidden])", state="attached")
    page.context.set_offline(False)
    page.wait_for_selector("#lost[hidden]", state="attached")
    page.wait_for_selector("#state:text-is('complete')", state="attached")


def test_what_is_wrong_is_reported_in_the_page(open_page: Open, own_place: Place) -> None:
    page = open_page(None, own_place)
    page.click("#start")
    assert "choose a text first" in page.inner_text("#learning-problem")
    drop(page, "empty.txt", "")
    page.wait_for_selector("#text-problem:not([hidden])")
    assert "empty" in page.inner_text("#text-problem")
    page.select_option("#language", "it")
    drop(page, "vuoto.txt", "")
    page.wait_for_selector("#text-problem [lang=en]:has-text('vuoto.txt')")
    assert "Il testo non può essere usato." in page.inner_text("#text-problem")
    page.select_option("#language", "en")
    page.fill("#paste", "<img src=x onerror=alert(1)> & \u202e so on " * 30)
    page.click("#use-paste")
    page.wait_for_selector("#facts-name:text-is('pasted.txt')")
    assert page.inner_text("#beginning").startswith("<img src=x onerror=alert(1)> &")
    page.fill("#minutes", "-1")
    page.click("#start")
    assert "Minutes" in page.inner_text("#learning-problem")


def test_another_run_takes_nothing_over(open_page: Open) -> None:
    page = open_page("planted")
    in_sight(page, "inside")
    page.locator("#units tbody tr").first.wait_for()
    page.click("#clamp button")
    page.wait_for_selector("#clamped:not([hidden])")
    planted = page.input_value("#context")
    in_sight(page, "runs")
    page.click("#runs-table button:text-is('bottles')")
    page.wait_for_selector("#clamped[hidden]", state="attached")
    page.wait_for_function(
        "planted => !['', planted].includes(document.querySelector('#context').value)", arg=planted
    )
    assert TEXT.startswith(page.input_value("#context"))


def test_a_studio_that_was_started_anew_is_found_again(open_page: Open, tmp_path: Path) -> None:
    make_place(tmp_path)
    with studio_in(tmp_path) as first:
        page = open_page("bottles", first)
        end_studio(first)
        with studio_in(tmp_path, "--port", str(first.port)) as second:
            page.wait_for_selector("#lost:has-text('no longer has access')", state="attached")
            other = page.context.new_page()
            other.goto(second.next_address())
            page.wait_for_selector("#lost[hidden]", state="attached")


def test_seven_tabs_load_and_all_of_them_update(open_page: Open, own_place: Place) -> None:
    """A browser has six connections for all tabs of a host: none may be held."""
    run = RunFolder(own_place.folder / "runs" / "bottles")
    text = own_place.folder / "texts" / "bottles.txt"
    text.parent.mkdir()
    text.write_text(TEXT)
    ricorda.train(text, out=run.path, steps=1, hidden_size=4, quiet=True)
    pages = [open_page(None, own_place)]
    for _ in range(6):
        pages.append(pages[0].context.new_page())
        pages[-1].goto(own_place.url)
        pages[-1].wait_for_selector("html[data-ready]")
    for page in pages:
        in_sight(page, "learning")
        page.wait_for_selector("#now-step:text-is('1')")
    row = {"event": "evaluation", "seconds": 9.0, "characters_seen": 64, "nats_per_character": 2.0}
    append_row(run.metrics, {"step": 777, **row})
    for page in pages:
        page.wait_for_selector("#now-step:text-is('777')")


def test_the_same_file_may_be_chosen_twice(open_page: Open, own_place: Place) -> None:
    page = open_page(None, own_place)
    for _ in range(2):
        page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b""})
        page.wait_for_selector("#text-problem:not([hidden])")
        assert page.input_value("#file") == ""


def test_a_file_dropped_beside_the_frame_does_not_replace_the_page(open_page: Open) -> None:
    page = open_page()
    assert page.evaluate("""() => {
        const data = new DataTransfer();
        data.items.add(new File(["text"], "a.txt", {type: "text/plain"}));
        const how = {dataTransfer: data, bubbles: true, cancelable: true};
        const dropped = new DragEvent("drop", how);
        document.querySelector("h1").dispatchEvent(dropped);
        return dropped.defaultPrevented;
    }""")


def test_numbers_are_written_by_few_formats(open_page: Open) -> None:
    page = open_page()
    made = page.evaluate("""async () => {
        const { number } = await import("/page/numbers.js");
        const Format = Intl.NumberFormat;
        let made = 0;
        Intl.NumberFormat = function (...given) { made += 1; return new Format(...given); };
        for (let value = 0; value < 1000; value += 1) number(value, 7);
        Intl.NumberFormat = Format;
        return made;
    }""")
    assert made == 1


def test_the_command_of_a_stretch_leaves_a_byte_order_mark_out(
    open_page: Open, own_place: Place
) -> None:
    text = own_place.folder / "texts" / "marked.txt"
    text.parent.mkdir()
    text.write_bytes(b"\xef\xbb\xbf" + TEXT.encode().replace(b"\n", b"\r\n"))
    ricorda.train(
        text, out=own_place.folder / "runs" / "marked", steps=1, hidden_size=4, quiet=True
    )
    page = open_page("marked", own_place)
    in_sight(page, "surprise")
    page.wait_for_selector("#surprise-text span[class*=s]")
    shown = "".join(
        page.evaluate("""() => [...document.querySelectorAll("#surprise-text .symbols span")]
        .map((span) => span.classList.contains("end") ? "\\n" : span.textContent)""")
    )
    command = page.inner_text("[data-command=surprise] code >> nth=0").split(" | ")[0]
    said = subprocess.run(
        command, shell=True, cwd=own_place.folder, capture_output=True, check=True
    )
    assert said.stdout.decode() == shown


def test_a_training_that_was_killed_says_so_in_both_languages(
    open_page: Open, own_place: Place
) -> None:
    page = open_page(None, own_place)
    drop(page, "beer.txt", TEXT)
    page.wait_for_selector("#facts-name:text-is('beer.txt')")
    begin_training(page, 60)
    page.wait_for_selector("#state:text-is('training')")
    trainer = trainer_of(RunFolder(own_place.folder / "runs" / "beer"))
    assert trainer
    os.kill(trainer, signal.SIGKILL)
    page.wait_for_selector("#state:text-is('failed')")
    page.select_option("#language", "it")
    assert "finito prima del tempo" in page.inner_text("#learning-problem")
    assert "SIGKILL" in page.inner_text("#learning-problem [lang=en]")
    page.click("#go-on")
    page.wait_for_selector("#state:text-is('in corso')")
