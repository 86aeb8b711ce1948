"""Spans inside quotes and brackets."""

from collections.abc import Callable, Iterator

import pytest

from ricorda.insight import spans
from ricorda.insight.spans import Span


def inside(text: str, found: Iterator[Span]) -> str:
    """The text with a dot for every place that lies in no span."""
    marked = ["."] * len(text)
    for begin, end in found:
        marked[begin:end] = text[begin:end]
    return "".join(marked)


def check(find: Callable[[str], Iterator[Span]], text: str, expected: str) -> None:
    assert inside(text, find(text)) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ('a "b c" d', '.."b c...'),
        ('"a" "b"', '"a.."b.'),
        ('a "b', "...."),  # never closed
        ('a "b\n\nc" d', "." * 10),  # not beyond a paragraph
        ('a "b\nc" d', '.."b\nc...'),
        (r'{"k": "a \"b\" c"}', r'."k..."a \"b\" c..'),
        (r'"a\\" b', r'"a\\...'),
        ("", ""),
    ],
)
def test_straight_quotes(text: str, expected: str) -> None:
    check(spans.straight_quotes, text, expected)


def test_a_sign_too_far_away_is_no_partner() -> None:
    far = "x" * (spans.LONGEST + 1)
    text = f'"{far}"a"'
    assert list(spans.straight_quotes(text)) == [Span(len(far) + 1, len(far) + 3)]
    assert list(spans.curly_quotes(f"“{far}”")) == []
    assert list(spans.brackets(f"({far})", "()")) == []
    assert list(spans.guillemets(f"«{far}»")) == []


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a “b” c", "..“b..."),
        ("„a“ b „c”", "„a....„c."),
        ("“a\n\n“b” c", "...." + "“b..."),  # each paragraph of a long speech opens anew
        ("a” b", "...."),
    ],
)
def test_curly_quotes(text: str, expected: str) -> None:
    check(spans.curly_quotes, text, expected)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("disse: «va bene» e", "......." + "«va bene..."),
        ("il dit « oui »", "......." + "« oui ."),
        ("er sagte »ja« und", "........." + "»ja....."),
    ],
)
def test_guillemets(text: str, expected: str) -> None:
    check(spans.guillemets, text, expected)


def test_corner_quotes() -> None:
    check(spans.corner_quotes, "吾輩は「猫『で』」ある", "...「猫『で』...")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("he said 'go on' now", "........'go on....."),
        ("it's John's don't", "." * 17),
        ("‘it’s mine’ he", "‘it’s mine...."),
        ("the players' and 'tis", "." * 21),
        ("'a\n\nb'", "......"),
    ],
)
def test_single_quotes_are_not_apostrophes(text: str, expected: str) -> None:
    check(spans.single_quotes, text, expected)


def test_brackets_lie_in_each_other() -> None:
    assert sorted(spans.brackets("f(a(b)c) d) (", "()")) == [Span(1, 7), Span(3, 5)]


def test_tags() -> None:
    check(spans.tags, "a <b>c</b> 1 < 2 > 0", "..<b..</b...........")
