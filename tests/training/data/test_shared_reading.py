"""Several processes read one text, which must be the same on every machine."""

from pathlib import Path

import pytest

from ricorda.errors import TextError
from ricorda.text import encode_sources, find_sources
from ricorda.training.data.dataset import Dataset, read_in_every_process
from ricorda.training.process_group import ProcessGroup
from tests.training.threads import in_threads


def read(text: Path, folder: Path) -> Dataset:
    """Read a text, all of it to be learned."""
    encoded = encode_sources(find_sources([text]), vocabulary="characters", folder=folder)
    return Dataset(encoded, None, encoded.part, None)


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    """Two that differ in one letter."""
    paths = [tmp_path / "first.txt", tmp_path / "second.txt"]
    for path, last in zip(paths, "xy", strict=True):
        path.write_text("abc" * 100 + last)
    return paths


def test_every_process_reads_and_the_first_into_the_runs_folder(
    texts: list[Path], tmp_path: Path
) -> None:
    folders: list[Path] = []

    def work(group: ProcessGroup) -> tuple[str, list[int]]:
        def dataset(folder: Path) -> Dataset:
            folders.append(folder)
            return read(texts[0], folder)

        found = read_in_every_process(group, tmp_path, dataset)
        return found.text.digest, found.training.read(0, 4).tolist()

    first, *others = in_threads(3, work)
    assert others == [first] * 2
    assert folders[0] == tmp_path
    assert len(set(folders)) == 3
    assert not any(folder.exists() for folder in folders[1:])


def test_machines_whose_texts_differ_all_end_and_say_so(texts: list[Path], tmp_path: Path) -> None:
    def work(group: ProcessGroup) -> tuple[str, bool]:
        group.is_first_of_machine = group.rank in (0, 2)
        text = texts[group.rank == 2]
        with pytest.raises(TextError) as raised:
            read_in_every_process(group, tmp_path, lambda folder: read(text, folder))
        return str(raised.value), raised.value.reported_elsewhere

    before = sorted(tmp_path.iterdir())
    results = in_threads(3, work)
    assert all("the text differs between machines" in message for message, _ in results)
    assert [is_reporter for _, is_reporter in results] == [False, True, False]
    assert sorted(tmp_path.iterdir()) == before
