"""Parts of an encoded text: spans, segments, documents and labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ricorda.errors import TextError
from ricorda.text import Ids, Part
from ricorda.text.id_file import IdFile

BOUNDARY = 9

Documents = list[tuple[list[int], int]]
"""The symbols and the label number of each document."""

DOCUMENTS = st.lists(
    st.tuples(st.lists(st.integers(0, BOUNDARY - 1), max_size=6), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


def on_disk(documents: Documents) -> Ids:
    ids = [id for symbols, label in documents for id in (BOUNDARY + label, *symbols)]
    return np.array([*ids, BOUNDARY], np.uint8)


def part(documents: Documents) -> Part:
    return Part.whole(on_disk(documents), BOUNDARY)


def symbols(documents: Documents) -> list[int]:
    return [id for each, _ in documents for id in (BOUNDARY, *each)] + [BOUNDARY]


def labels(documents: Documents) -> list[int]:
    return [label for each, label in documents for _ in range(len(each) + 1)] + [0]


def assert_holds(found: Part, documents: Documents) -> None:
    """Compare a part with what Python's lists say."""
    expected = symbols(documents)
    assert len(found) == len(expected)
    assert found.segments == len(documents)
    assert found.read(0, len(found)).tolist() == expected
    assert [each.tolist() for each in found.documents()] == [each for each, _ in documents]
    if found.label_numbers is None:
        assert not any(label for _, label in documents)
    else:
        assert found.label_numbers.tolist() == [label for _, label in documents]
        numbers = found.labels(0, len(found))
        assert numbers is not None
        assert numbers.tolist() == labels(documents)
    for first, length in [(0, 1), (len(found) - 1, 1), (len(found) // 3, len(found) // 2)]:
        rows = found.rows(np.array([first, 0]), length)
        assert rows.dtype == np.uint32
        assert rows.tolist() == [expected[first : first + length], expected[:length]]
        assert found.read(first, first + length).tolist() == expected[first : first + length]
        numbers = found.row_labels(np.array([first]), length)
        if numbers is not None:
            assert numbers[0].tolist() == labels(documents)[first : first + length]


@given(DOCUMENTS)
def test_a_whole_text_of_documents(documents: Documents) -> None:
    assert_holds(part(documents), documents)


@given(DOCUMENTS, st.data())
def test_selected_documents_follow_each_other(documents: Documents, data: st.DataObject) -> None:
    order = data.draw(st.lists(st.integers(0, len(documents) - 1), min_size=1, max_size=20))
    selected = part(documents).select(np.array(order))
    assert_holds(selected, [documents[number] for number in order])
    again = data.draw(st.lists(st.integers(0, len(order) - 1), min_size=1, max_size=9))
    assert_holds(selected.select(np.array(again)), [documents[order[number]] for number in again])


def test_labels_may_be_replaced() -> None:
    selected = part([([1], 2), ([2], 0)]).select(np.array([1, 0]), np.array([5, 0], np.uint32))
    assert_holds(selected, [([2], 5), ([1], 0)])


@given(DOCUMENTS, st.data())
def test_pieces_of_one_document_are_joined(documents: Documents, data: st.DataObject) -> None:
    """Each document loses a block; what is left of it stays one document."""
    left: Documents = []
    pieces: list[tuple[int, int, int]] = []
    for number, (each, label) in enumerate(documents):
        first = data.draw(st.integers(0, len(each)))
        last = data.draw(st.integers(first, len(each)))
        pieces += [(number, 0, first), (number, last, len(each))]
        if kept := each[:first] + each[last:]:
            left.append((kept, label))
    cut = part(documents).cut(*(np.array(column) for column in zip(*pieces, strict=True)))
    if not left:
        assert cut.segments == 0
        return
    assert_holds(cut, left)
    order = data.draw(st.permutations(range(len(left))))
    assert_holds(cut.select(np.array(order)), [left[number] for number in order])


def test_an_undivided_text() -> None:
    ids = np.arange(200, dtype=np.uint8)
    whole = Part.whole(ids)
    assert (len(whole), whole.segments, whole.boundary, whole.label_numbers) == (200, 1, None, None)
    assert np.shares_memory(whole.read(0, 200), ids)
    assert whole.read(150, 160).tolist() == list(range(150, 160))
    assert whole.labels(0, 9) is None
    assert [each.tolist() for each in whole.documents()] == [list(range(200))]
    zeros = np.zeros(2, np.int64)
    cut = whole.cut(zeros, np.array([10, 100]), np.array([20, 103]))
    expected = [*range(10, 20), 100, 101, 102]
    assert cut.read(0, 99).tolist() == expected
    assert cut.rows(np.array([8, 0]), 4).tolist() == [expected[8:12], expected[:4]]
    assert cut.beginning(11).read(0, 99).tolist() == expected[:11]
    with pytest.raises(TextError, match="expected a text of documents"):
        whole.select(zeros)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 6])
def test_a_beginning_of_one_document_is_its_beginning(most: int) -> None:
    whole = part([([0, 1, 2, 3, 4, 5, 6, 7], 2)])
    pieces = whole.cut(np.zeros(2, np.int64), np.array([1, 5]), np.array([3, 8]))
    assert_holds(pieces, [([1, 2, 5, 6, 7], 2)])
    assert_holds(pieces.beginning(most), [([1, 2, 5, 6, 7][: most - 1], 2)])


def test_a_beginning_is_whole_documents_spread_over_the_part() -> None:
    documents: Documents = [([number % 9] * 9, 0) for number in range(100)]
    beginning = part(documents).beginning(101)
    assert_holds(beginning, [documents[number] for number in np.linspace(0, 99, 10).astype(int)])
    assert_holds(part(documents).beginning(5), [(documents[0][0][:4], 0)])
    assert len(part(documents).beginning(1001)) == 1001


def test_blocks() -> None:
    whole = Part.whole(np.arange(10, dtype=np.uint8))
    assert [block.tolist() for block in whole.blocks(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [block.tolist() for block in whole.blocks(2, most=4)] == [[0, 1], [8, 9]]


@pytest.mark.parametrize("ids", [[1, 2], [9], [9, 1], [1, 9], []])
def test_documents_without_boundaries_at_both_ends(ids: list[int]) -> None:
    with pytest.raises(TextError, match="a boundary before and after each"):
        Part.whole(np.array(ids, np.uint8), BOUNDARY)


def test_documents_longer_than_what_is_searched_at_a_time(monkeypatch: Any) -> None:
    monkeypatch.setattr("ricorda.text.parts._SCANNED", 3)
    monkeypatch.setattr("ricorda.text.parts._READ", 4)
    documents: Documents = [([1] * 10, 0), ([2, 2], 3), ([], 1)]
    assert_holds(part(documents), documents)
    assert_holds(part(documents).select(np.array([2, 0, 1])), [documents[n] for n in (2, 0, 1)])


def test_a_large_text_is_read_from_its_file(tmp_path: Path, monkeypatch: Any) -> None:
    """Not through the memory map, whose pages count as the process's memory."""
    documents: Documents = [([number % 9] * (number % 5), number % 3) for number in range(50)]
    with IdFile(tmp_path) as file:
        file.append(on_disk(documents), 12)
        ids = file.map(12)
    monkeypatch.setattr("ricorda.text.id_file.RowReader.__init__.__defaults__", (0,))
    selected = Part.whole(ids, BOUNDARY).select(np.arange(49, -1, -1))
    assert_holds(selected, documents[::-1])


@given(DOCUMENTS, st.data())
def test_a_part_is_found_again_in_another_vocabulary(
    documents: Documents, data: st.DataObject
) -> None:
    """Each symbol becomes two in the other vocabulary."""
    order = np.array(data.draw(st.lists(st.integers(0, len(documents) - 1), min_size=1)))
    doubled: Documents = [([id for id in each for _ in "ab"], label) for each, label in documents]
    selected = part(documents).select(order)
    ids = on_disk(documents)
    sizes = np.where(ids < BOUNDARY, 2, 1)
    places = np.concatenate([[0], np.cumsum(sizes)])
    borders = selected.borders()
    moved = selected.moved(on_disk(doubled), BOUNDARY, borders, places[borders])
    assert_holds(moved, [doubled[number] for number in order])


def test_a_cut_part_is_found_again_in_another_vocabulary() -> None:
    documents: Documents = [([1, 2, 3, 4, 5], 0), ([6, 7, 8], 1)]
    numbers = np.array([0, 0, 1])
    cut = part(documents).cut(numbers, np.array([0, 3, 1]), np.array([1, 5, 2]))
    joined = np.array([9, 1, 0, 4, 9 + 1, 6, 7, 8, 9], np.uint8)  # 2 3 is one symbol, and so is 4 5
    places = np.array([0, 1, 2, -1, 3, -1, 4, 5, 6, 7, 8])
    assert_holds(cut, [([1, 4, 5], 0), ([7], 1)])
    borders = cut.borders()
    moved = cut.moved(joined, BOUNDARY, borders, places[borders])
    assert_holds(moved, [([1, 4], 0), ([7], 1)])
    undivided = Part.whole(np.array([1, 2, 3], np.uint8))
    zero = np.zeros(1, np.int64)
    tail = undivided.cut(zero, zero + 1, zero + 3)
    assert tail.borders().tolist() == [1, 3]
    again = tail.moved(np.array([1, 1, 5], np.uint8), None, tail.borders(), np.array([2, 3]))
    assert again.read(0, 9).tolist() == [5]
