"""`ricorda sample`: the prompt and its continuation, by every option."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ricorda
from ricorda.engine import kernels_are_built

Call = Callable[..., tuple[int, str, str]]

PLAIN = ["sample", "runs/tiny", "--prompt", "5 bottles", "--seed", "1", "--length", "120"]


def written(call: Call, *more: str) -> str:
    code, out, err = call(*PLAIN, *more)
    assert code == 0
    seed = more[more.index("--seed") + 1] if "--seed" in more else "1"
    allowed = "allowed: 7 characters: a, b, e, f, h, l, ␣\n" if "--allowed" in more else ""
    assert err == f"{allowed}seed {seed}\n"
    return out


def test_it_writes_the_prompt_and_as_many_symbols_as_asked_for(here: Path, call: Call) -> None:
    out = written(call)
    assert out.startswith("5 bottles")
    assert len(out) == len("5 bottles") + 120 + len("\n")
    continuation = ricorda.load("runs/tiny").generate("5 bottles", length=120, seed=1)
    assert out == f"5 bottles{continuation}\n"


def test_a_seed_repeats_the_text_and_without_one_it_is_fresh(here: Path, call: Call) -> None:
    assert written(call) == written(call)
    fresh = [call("sample", "--prompt", "5", "--length", "100")[1] for _ in range(2)]
    assert fresh[0] != fresh[1]


CHANGES = [
    ["--length", "121"],
    ["--temperature", "0.3"],
    ["--top-k", "2"],
    ["--top-p", "0.5"],
    ["--min-p", "0.6"],
    ["--greedy"],
    ["--stop", "o"],
    ["--seed", "2"],
    ["--repetition-penalty", "3"],
    ["--repetition-penalty", "3", "--repetition-window", "2"],
    ["--presence-penalty", "3"],
    ["--frequency-penalty", "1"],
    ["--allowed", "abefhl "],
    ["--banned", "o"],
    ["--banned-word", "ot", "--banned-word", "s "],
    ["--prompt", "6 bottles"],
]


def test_every_option_changes_the_text(here: Path, call: Call) -> None:
    texts = {written(call, *options) for options in [[], *CHANGES]}
    assert len(texts) == 1 + len(CHANGES)


def test_options_do_what_they_say(here: Path, call: Call) -> None:
    new = {
        " ".join(options): written(call, *options).removeprefix("5 bottles").removesuffix("\n")
        for options in CHANGES
    }
    assert set(new["--allowed abefhl "]) <= set("abefhl ")
    assert "o" not in new["--banned o"]
    assert "o" not in new["--stop o"]
    assert len(new["--stop o"]) < 120
    for word in ("ot", "s "):
        assert word not in new["--banned-word ot --banned-word s "]
    greedy = written(call, "--greedy")
    for same in (["--temperature", "0"], ["--top-k", "1"], ["--greedy", "--seed", "9"]):
        assert written(call, *same) == greedy


def test_stop_may_be_given_several_times(here: Path, call: Call) -> None:
    out = written(call, "--stop", "sss", "--stop", " ")
    assert " " not in out.removeprefix("5 bottles")


@pytest.mark.parametrize("stop, character", [(r"\n", "\n"), (r"\u006f", "o"), ("o", "o")])
def test_escapes_stand_for_characters(here: Path, call: Call, stop: str, character: str) -> None:
    out = written(call, "--stop", stop)
    assert out.removesuffix("\n").count(character) == "5 bottles".count(character)
    assert out == written(call, "--stop", character)
    assert character not in written(call, "--banned", stop).removeprefix("5 bottles")[:-1]


@pytest.mark.parametrize("option", ["--stop", "--allowed", "--banned", "--banned-word"])
@pytest.mark.parametrize("text", [r"\q", "\\", r"\u12", r"\U0001f600"])
def test_another_backslash_is_refused(here: Path, call: Call, option: str, text: str) -> None:
    code, out, err = call(*PLAIN, option, text)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert option in err
    assert r"write \\ for a backslash" in err


def test_a_stop_that_can_never_occur_is_refused(here: Path, call: Call) -> None:
    for command in ([*PLAIN], ["clamp", "runs/tiny", "1"]):
        code, out, err = call(*command, "--stop", "o", "--stop", "oQ")
        assert (code, out) == (2, "")
        assert err == "ricorda: the stop string 'oQ' can never occur: the model has no 'Q'\n"
    code, _, err = call(*PLAIN, "--stop", "o", "--banned", "o")
    assert (code, err) == (2, "ricorda: the stop string 'o' can never occur: 'o' is banned\n")


def test_characters_that_the_model_lacks_and_several_of_them_are_reported(
    here: Path, call: Call
) -> None:
    code, _, err = call(*PLAIN, "--banned", "eat", "--banned-word", "cat", "--count", "2")
    assert code == 0
    assert err.splitlines() == [
        "the banned word 'cat' can never occur: the model has no 'c'",
        "banned: 3 characters: e, a, t",
        "seed 1",
        "--- 1 of 2 ---",
        "--- 2 of 2 ---",
    ]
    assert call(*PLAIN, "--banned", "é")[2] == (
        "banned: the model has no 'é', so it never writes it\nseed 1\n"
    )


def test_precision(here: Path, call: Call) -> None:
    words = [*PLAIN, "--length", "2000", "--precision"]
    exact = call(*words, "float32")[1]
    assert call(*PLAIN, "--length", "2000")[1] == exact
    assert len(exact) == len("5 bottles") + 2000 + 1
    code, rounded, err = call(*words, "int8")
    if kernels_are_built():
        assert (code, err) == (0, "seed 1\n")
        assert rounded != exact
    else:
        assert code == 2
        assert "needs the compiled kernels" in err


def test_several_texts_of_one_seed_differ(here: Path, call: Call) -> None:
    code, out, err = call(*PLAIN, "--stop", "\n", "--count", "3")
    assert code == 0
    texts = out.splitlines()
    assert len(texts) == len(set(texts)) == 3
    assert all(text.startswith("5 bottles") for text in texts)
    assert err == "seed 1\n--- 1 of 3 ---\n--- 2 of 3 ---\n--- 3 of 3 ---\n"
    assert texts[0] + "\n" == written(call, "--stop", "\n")


def test_without_a_prompt_it_says_where_it_starts(here: Path, call: Call) -> None:
    code, out, err = call("sample", "runs/tiny", "--length", "7", "--seed", "5")
    assert (code, len(out)) == (0, 8)
    assert err == "No prompt: starting on a new line\nseed 5\n"


def test_a_text_without_a_line_end_starts_from_its_first_symbol(here: Path, call: Call) -> None:
    Path("line.txt").write_text("every good boy deserves fudge " * 20)
    ricorda.train("line.txt", steps=1, hidden_size=4, threads=1, quiet=True)
    _, out, err = call("sample", "runs/line", "--length", "3", "--seed", "5")
    assert len(out) == 4
    assert err == "No prompt: starting after the text's first symbol, e\nseed 5\n"


def test_what_the_model_never_saw_is_left_out_of_the_prompt(here: Path, call: Call) -> None:
    code, out, err = call(*PLAIN, "--prompt", "5 éboétZtles")
    assert code == 0
    message = "left out 3 characters of the prompt that the model never saw: 'é' and 'Z'"
    assert err == f"{message}\nseed 1\n"
    assert out == written(call).replace("5 bottles", "5 éboétZtles", 1)


def test_a_prompt_of_which_nothing_is_left(here: Path, call: Call) -> None:
    code, out, err = call("sample", "--prompt", "ZZ", "--length", "5", "--seed", "1")
    assert (code, len(out)) == (0, 5 + 1)  # the prompt is not shown
    assert err.splitlines() == [
        "left out 2 characters of the prompt that the model never saw: 'Z'",
        "No character of the prompt is known: starting on a new line",
        "seed 1",
    ]


def test_a_prompt_of_which_nothing_is_left_is_not_shown_before_any_of_several_texts(
    here: Path, call: Call
) -> None:
    code, out, _ = call("sample", "--prompt", "ZZ", "--count", "2", "--length", "5", "--seed", "1")
    assert (code, len(out)) == (0, 2 * (5 + 1))
    Path("prompts").write_text("ZZ\n5\n")
    code, out, _ = call("sample", "--prompts", "prompts", "--length", "5", "--seed", "1")
    assert (code, len(out)) == (0, 2 * (5 + 1) + 1)


@pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")
def test_a_context_is_read_before_each_prompt(here: Path, call: Call) -> None:
    Path("context").write_text("9 bottles of beer on the floor, 9 bottles of beer\n" * 3)
    Path("prompts").write_text("5 bottles\n4\n")
    plain = ["sample", "--seed", "1", "--length", "40"]
    options = [*plain, "--context", "context"]
    alone = [call(*options, "--prompt", each)[1] for each in ("5 bottles", "4")]
    assert call(*options, "--prompts", "prompts")[1] == "".join(alone)
    assert alone[0].startswith("5 bottles")
    assert alone[0] != call(*plain, "--prompt", "5 bottles")[1]


@pytest.mark.skipif(not kernels_are_built(), reason="the kernels are not built")
def test_a_context_from_which_nothing_is_learned_is_reported(here: Path, call: Call) -> None:
    Path("context").write_text("beer")
    code, _, err = call("sample", "--context", "context", "--seed", "1", "--length", "5")
    assert code == 0
    assert "nothing was learned: expected a text of more than 32 symbols, got 4\n" in err


def test_unknown_characters_can_be_an_error(here: Path, call: Call) -> None:
    code, out, err = call(*PLAIN, "--prompt", "5 éboétZtles", "--on-unknown", "error")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "'é' and 'Z', 3 times in all" in err


def test_a_line_of_json_per_text_repeats_it(here: Path, call: Call) -> None:
    code, out, err = call("sample", "--prompt", "5", "--length", "30", "--count", "2", "--json")
    first, second = map(json.loads, out.splitlines())
    assert (code, err) == (0, f"seed {first['seed']}\n")
    assert list(first) == list(second) == ["prompt", "seed", "text", "ended"]
    assert first["text"] != second["text"]
    assert {(each["prompt"], each["seed"], each["ended"]) for each in (first, second)} == {
        ("5", first["seed"], "length")
    }
    again = call("sample", "--prompt", "5", "--length", "30", "--seed", str(first["seed"]))[1]
    assert again == f"5{first['text']}\n"


def test_json_says_why_a_text_ended(here: Path, call: Call) -> None:
    _, out, _ = call(*PLAIN, "--stop", "b", "--json")
    sample = json.loads(out)
    assert sample["ended"] == "stop"
    assert "b" not in sample["text"]


def test_no_symbols_at_all(here: Path, call: Call) -> None:
    assert call(*PLAIN, "--length", "0") == (0, "5 bottles\n", "seed 1\n")


def test_the_newest_run_is_taken(here: Path, call: Call) -> None:
    shutil.copytree("runs/tiny", "runs/older")
    os.utime("runs/older/config.json", (1, 1))
    os.truncate("runs/older/model.safetensors", 10)
    assert call("sample", "--length", "1")[0] == 0
    os.utime("runs/older/config.json", (2**33, 2**33))
    assert call("sample", "--length", "1")[0] == 2


def test_a_run_without_a_model_is_passed_over(here: Path, call: Call) -> None:
    Path("runs/new").mkdir()
    Path("runs/new/config.json").write_text("{}")
    assert call("sample", "--length", "1")[0] == 0


def test_without_any_run_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call("sample")
    assert (code, out) == (2, "")
    assert "ricorda train my.txt" in err


def test_a_model_file_runs_without_its_folder(here: Path, call: Call) -> None:
    shutil.move("runs/tiny/model.safetensors", "mine.bin")
    shutil.rmtree("runs")
    code, out, _ = call("sample", "mine.bin", "--prompt", "5 bottles", "--seed", "1")
    assert code == 0
    assert out.startswith("5 bottles")
