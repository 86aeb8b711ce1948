"""What a reader sees of symbols that are several characters long."""

import numpy as np

from ricorda.engine.display.clusters import Cluster, clusters
from ricorda.insight.features import every_column
from ricorda.text.pieces import PieceVocabulary

# \n, space, (, a, b, the mark of an accent, a zero width space, ab, "ab\n", "(a"
VOCABULARY = PieceVocabulary(
    "\n (ab\u0301\u200b", [(3, 4), (7, 0), (2, 3), (3, 6)], "\n", has_boundary=True
)


def test_a_symbol_of_several_characters_is_one_cluster() -> None:
    ids = VOCABULARY.encode("ab\n(ab\u0301 a\u200b")
    found = list(clusters(ids, VOCABULARY))
    assert "".join(each.text for each in found) == "ab\n(ab\u0301 a\\u200b"
    assert found[0].text == "ab"
    assert (found[0].begin, found[0].end) == (0, 1)
    assert found[-1].spelled_out
    assert sum(each.end - each.begin for each in found) == len(ids)


def test_a_boundary_is_shown_by_its_name() -> None:
    assert list(clusters(np.array([VOCABULARY.boundary, 3]), VOCABULARY)) == [
        Cluster("\N{WHITE DIAMOND}", 0, 1, spelled_out=True),
        Cluster("a", 1, 2),
    ]


def test_features_are_those_of_the_last_character() -> None:
    text = "a (ab) b".replace(")", "")
    ids = VOCABULARY.encode(text)
    columns = every_column(VOCABULARY, ids)
    by_character = every_column(VOCABULARY.characters, VOCABULARY.characters.encode(text))
    ends = [len(VOCABULARY.decode(ids[: place + 1])) - 1 for place in range(len(ids))]
    assert len(ids) < len(text)
    for name, column in columns.items():
        assert column.tolist() == by_character[name][ends].tolist()
