"""The index of documents: what is in it is found, and damage is reported."""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from ricorda.errors import RunError
from ricorda.text import document_index
from ricorda.text.document_index import DocumentIndex, write_document_index


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_documents_are_found_and_others_are_not(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_index, "_WRITTEN_AT_ONCE", 7)
    documents = [f"document {number}\né世\udc80" for number in range(count)]
    path = tmp_path / "documents.index"
    write_document_index(path, iter(documents))
    index = DocumentIndex(path)
    assert len(index) == count
    assert all(document in index for document in documents)
    assert not any(f"other {number}" in index for number in range(100))
    assert "" not in index
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_holds_sorted_hashes(tmp_path: Path) -> None:
    path = tmp_path / "documents.index"
    documents = ["anna", "dino", "carla"]
    write_document_index(path, documents)
    data = path.read_bytes()
    expected = sorted(
        int.from_bytes(blake2b(each.encode(), digest_size=8).digest(), "little")
        for each in documents
    )
    assert data[:32] == b"ricorda documents 1\n" + bytes(12)
    assert np.frombuffer(data[32:], "<u8").tolist() == expected
    write_document_index(path, ["lucia"])
    assert "lucia" in DocumentIndex(path)
    assert "anna" not in DocumentIndex(path)


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "documents.index"
    with pytest.raises(RunError, match=r"cannot read .*: no such file"):
        DocumentIndex(path)
    write_document_index(path, ["anna"])
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], b"x" + whole[1:]):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="is not an index of documents, or damaged"):
            DocumentIndex(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(RunError, match="found a folder"):
        write_document_index(path, ["anna"])


def test_nothing_is_left_where_reading_the_documents_fails(tmp_path: Path) -> None:
    def failing() -> object:
        yield "anna"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_document_index(tmp_path / "documents.index", failing())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
