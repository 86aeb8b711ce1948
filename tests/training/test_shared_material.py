"""One reading of the text a machine, which must be the same on all."""

from pathlib import Path

import pytest

from ricorda.errors import TextError
from ricorda.text import encode_sources, find_sources
from ricorda.training.data.dataset import Dataset
from ricorda.training.process_group import ProcessGroup
from ricorda.training.shared_material import share_dataset
from tests.training.threads import in_threads


def material_of(text: Path, folder: Path) -> Dataset:
    """A text, all of it to learn."""
    encoded = encode_sources(find_sources([text]), vocabulary="characters", folder=folder)
    return Dataset(encoded, None, encoded.ids, None)


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    """Two that differ in one letter."""
    paths = [tmp_path / "first.txt", tmp_path / "second.txt"]
    for path, last in zip(paths, "xy", strict=True):
        path.write_text("abc" * 100 + last)
    return paths


def test_processes_of_one_machine_map_what_one_of_them_read(
    texts: list[Path], tmp_path: Path
) -> None:
    read: list[Path] = []

    def work(ranks: ProcessGroup) -> tuple[str, list[int]]:
        def dataset(folder: Path) -> Dataset:
            read.append(folder)
            return material_of(texts[0], folder)

        found = share_dataset(ranks, tmp_path, dataset)
        return found.text.digest, found.training[:4].tolist()

    first, *others = in_threads(3, work)
    assert others == [first] * 2
    assert read == [tmp_path]


def test_machines_whose_texts_differ_all_end_and_say_so(texts: list[Path], tmp_path: Path) -> None:
    def work(ranks: ProcessGroup) -> tuple[str, bool]:
        ranks.first_of_machine_does = lambda work: work()  # type: ignore[method-assign]
        text = texts[ranks.rank == 2]
        with pytest.raises(TextError) as raised:
            share_dataset(ranks, tmp_path, lambda folder: material_of(text, folder))
        return str(raised.value), raised.value.told

    before = sorted(tmp_path.iterdir())
    first, beside, other = in_threads(3, work)
    assert "another machine has not the text that this one has" in first[0]
    assert not first[1]
    assert beside == (first[0], True)
    assert "this one's has digest" in other[0]
    assert not other[1]
    assert sorted(tmp_path.iterdir()) == before
