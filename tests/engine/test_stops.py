"""Stop strings, however the text is cut into pieces, against a search in the whole text."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.engine.stops import StopDetector


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the stop string that is complete first; before the longer of two."""
    for end in range(1, len(text) + 1):
        complete = [len(stop) for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(complete)]
    return text


LETTERS = st.text("ab", max_size=30)
STOPS = st.lists(st.text("ab", min_size=1, max_size=6), max_size=4)


@given(st.lists(LETTERS, max_size=8), STOPS)
def test_any_pieces_give_what_a_search_in_the_whole_gives(
    pieces: list[str], stops: list[str]
) -> None:
    detector = StopDetector(stops)
    released = ""
    for piece in pieces:
        released += detector.feed(piece)
        if detector.stopped:
            break
    stopped = detector.stopped
    text = "".join(pieces)
    assert released + detector.finish() == cut(text, stops)
    assert stopped == any(stop in text for stop in stops)


@given(LETTERS, STOPS)
def test_no_more_is_held_back_than_might_begin_a_stop_string(text: str, stops: list[str]) -> None:
    detector = StopDetector(stops)
    released = detector.feed(text)
    if not detector.stopped:
        held = text[len(released) :]
        beginnings = {stop[:length] for stop in stops for length in range(len(stop))} | {""}
        longest = max((text[k:] for k in range(len(text) + 1) if text[k:] in beginnings), key=len)
        assert held == longest


@pytest.mark.parametrize(
    "stops, pieces, expected",
    [
        (["\n\n"], ["one\n", "two\n", "\nthree"], "one\ntwo"),
        (["END"], ["aEN", "D"], "a"),
        (["END"], ["aEN", "EN", "D"], "aEN"),
        (["aab"], ["aaa", "ab"], "aa"),
        (["abc", "b"], ["abc"], "a"),
        (["xab", "ab"], ["0xab"], "0"),
        (["é"], ["caffé"], "caff"),
    ],
)
def test_examples(stops: list[str], pieces: list[str], expected: str) -> None:
    detector = StopDetector(stops)
    assert "".join(detector.feed(piece) for piece in pieces) == expected
    assert detector.stopped


def test_a_long_stop_string_costs_no_more() -> None:
    detector = StopDetector(["a" * 5000 + "b"])
    released = sum(len(detector.feed("a" * 1000)) for _ in range(20))
    assert released == 15000
    assert detector.feed("b") == ""
    assert detector.stopped
