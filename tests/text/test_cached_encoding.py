"""The cache: what is taken from it, what never is, and encodings that were interrupted."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ricorda.errors import ConfigurationError, TextError, VocabularyError
from ricorda.text import (
    Cache,
    CharacterVocabulary,
    EncodedText,
    ReadingSettings,
    cache_for,
    cached_encoding,
    encode_sources,
    find_sources,
    reading,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no cache without file locks")

TEXT = "".join(f"{number} città, 猫 and €\r\n" for number in range(2000))


def arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Turn options of reading and others into the arguments of `encode_sources`."""
    others = {"vocabulary": "characters", "on_unknown": "error"}
    given = {name: options.get(name, value) for name, value in others.items()}
    own = {name: value for name, value in options.items() if name not in others}
    reading = {"documents": "text"} | own
    return given | {"reading": ReadingSettings(**reading)}


class Encoded:
    """Encodes files through a cache, and knows what was said and read."""

    def __init__(self, folder: Path, cache: Cache | None) -> None:
        self.folder = folder
        self.cache = cache
        self.said: list[str] = []
        self.read = 0
        self.total: int | None = None

    def __call__(self, *paths: Path, **options: Any) -> EncodedText:
        self.said, self.read = [], 0
        return encode_sources(
            find_sources(paths),
            folder=self.folder,
            **arguments(options),
            cache=self.cache,
            say=self.said.append,
            progress=self._progress,
        )

    def _progress(self, done: int, total: int | None) -> None:
        self.read, self.total = done, total


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small texts are cached too, and checkpoints are many."""
    monkeypatch.setattr(cached_encoding, "SMALLEST", 1)
    monkeypatch.setattr(cached_encoding, "CHECKPOINT_BYTES", 3000)
    monkeypatch.setattr(reading, "PIECE_BYTES", 1000)


@pytest.fixture
def encode(tmp_path: Path) -> Encoded:
    (tmp_path / "work").mkdir()
    return Encoded(tmp_path / "work", Cache(tmp_path / "cache", 10**9))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, "utf-8", newline="")
    return path


def plain(*paths: Path, folder: Path, **options: Any) -> EncodedText:
    return encode_sources(find_sources(paths), folder=folder, **arguments(options))


def assert_same(one: EncodedText, other: EncodedText) -> None:
    np.testing.assert_array_equal(one.ids, other.ids)
    assert one.ids.dtype == other.ids.dtype
    assert one.vocabulary == other.vocabulary
    for name in ("characters", "bytes", "digest", "skipped", "sources"):
        assert getattr(one, name) == getattr(other, name)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"newlines": "keep"},
    {"vocabulary": "bytes"},
    {"vocabulary": "bytes", "encoding": "utf-8", "newlines": "keep"},
    {"vocabulary": CharacterVocabulary.from_text("0123456789 \n"), "on_unknown": "skip"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_second_time_nothing_is_read(
    encode: Encoded, text: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    expected = plain(text, folder=tmp_path, **options)
    assert_same(encode(text, **options), expected)
    assert encode.read == encode.total == text.stat().st_size
    assert_same(encode(text, **options), expected)
    assert (encode.read, encode.said) == (0, [])
    assert list((tmp_path / "work").iterdir()) == []


def test_each_option_has_its_own_text(encode: Encoded, text: Path) -> None:
    for options in OPTIONS:
        encode(text, **options)
        assert encode.read == text.stat().st_size
    assert encode.cache is not None
    assert encode.cache.usage().texts == len(OPTIONS) - 1  # the bytes are the same bytes


def change_content(path: Path) -> None:
    times = path.stat()
    path.write_text(TEXT.replace("1", "2"), "utf-8", newline="")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as if nothing had happened


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("more")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_text(TEXT.replace("città", "paese"), "utf-8", newline="")
    shutil.copystat(path, other)
    other.replace(path)


@pytest.mark.parametrize("change", [change_content, append, replace])
def test_a_text_that_changed_is_read_again(
    encode: Encoded, text: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    encode(text)
    change(text)
    assert_same(encode(text), plain(text, folder=tmp_path))
    assert encode.read == text.stat().st_size


def test_a_text_that_changes_while_it_is_read_is_not_kept(
    encode: Encoded, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = reading._opened

    def opened_and_changed(source: Any) -> Any:
        file = opened(source)
        append(text)
        return file

    monkeypatch.setattr(reading, "_opened", opened_and_changed)
    encode(text)
    assert "its files changed while they were read" in encode.said[0]
    monkeypatch.setattr(reading, "_opened", opened)
    assert_same(encode(text), plain(text, folder=tmp_path))
    assert encode.read == text.stat().st_size


def test_a_text_written_a_moment_ago_is_waited_for(
    encode: Encoded, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    status = text.stat()
    clock = Mock(sleep=slept.append, time_ns=lambda: status.st_ctime_ns + 10**7)
    monkeypatch.setattr(cached_encoding, "time", clock)
    encode(text)
    assert slept
    assert 0 < slept[0] < 0.05 or slept[0] > 2


def test_a_text_from_the_future_is_not_kept(
    encode: Encoded, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = text.stat().st_ctime_ns
    monkeypatch.setattr(cached_encoding, "time", Mock(time_ns=lambda: changed - 10**10))
    encode(text)
    assert "its files have timestamps in the future" in encode.said[0]
    encode(text)
    assert encode.read == text.stat().st_size


def entry_of(encode: Encoded) -> Path:
    assert encode.cache is not None
    (entry,) = encode.cache.entries.iterdir()
    return entry


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte of the ids": lambda entry: flip(entry / "ids", 1234),
    "ids cut": lambda entry: os.truncate(entry / "ids", 100),
    "no ids": lambda entry: (entry / "ids").unlink(),
    "a byte of the manifest": lambda entry: flip(entry / "manifest.json", 30),
    "an empty manifest": lambda entry: (entry / "manifest.json").write_bytes(b""),
    "another manifest": lambda entry: (entry / "manifest.json").write_text("[{}, 1]"),
    "no manifest": lambda entry: (entry / "manifest.json").unlink(),
    "nothing": shutil.rmtree,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_entry_is_made_again(
    encode: Encoded, text: Path, tmp_path: Path, name: str
) -> None:
    expected = plain(text, folder=tmp_path)
    encode(text)
    DAMAGE[name](entry_of(encode))
    assert_same(encode(text), expected)
    assert encode.read == text.stat().st_size
    assert_same(encode(text), expected)
    assert encode.read == 0


def test_a_copied_cache_serves(encode: Encoded, text: Path) -> None:
    encode(text)
    assert encode.cache is not None
    shutil.copytree(encode.cache.folder, encode.cache.folder.with_name("copy"))
    encode.cache = Cache(encode.cache.folder.with_name("copy"), 10**9)
    encode(text)
    assert encode.read == 0


def test_a_finished_entry_is_what_the_ids_point_at_after_removal(
    encode: Encoded, text: Path, tmp_path: Path
) -> None:
    encoded = encode(text)
    assert encode.cache is not None
    shutil.rmtree(encode.cache.folder)
    assert_same(encoded, plain(text, folder=tmp_path))


def test_only_its_owner_may_look_into_the_cache(encode: Encoded, text: Path) -> None:
    assert encode.cache is not None
    encode(text)
    assert encode.cache.folder.stat().st_mode & 0o777 == 0o700


def test_small_texts_and_pipes_are_not_kept(
    encode: Encoded, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_encoding, "SMALLEST", text.stat().st_size + 1)
    encode(text)
    assert encode.cache is not None
    assert not encode.cache.folder.exists()


def test_errors_of_the_text_leave_nothing_behind(encode: Encoded, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(TEXT.encode() + b"\xff")
    with pytest.raises(TextError, match=r"\(0xff\) is not valid"):
        encode(path)
    path.write_bytes(TEXT.encode())
    with pytest.raises(VocabularyError, match="never saw"):
        encode(path, vocabulary=CharacterVocabulary("a", "a"))
    assert encode.cache is not None
    assert list(encode.cache.work.iterdir()) == []
    assert list(encode.cache.entries.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_done_without(
    encode: Encoded, text: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    encode.cache = Cache(tmp_path / "file" / "cache", 10**9)
    assert_same(encode(text), plain(text, folder=tmp_path))
    assert len(encode.said) == 1
    assert "is not cached in" in encode.said[0]
    assert "cannot be written: " in encode.said[0]


def test_a_full_disk_is_done_without(
    encode: Encoded, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cached_encoding, "flush", full)
    assert_same(encode(text), plain(text, folder=tmp_path))
    assert "No space left on device" in encode.said[0]


def test_a_nearly_full_disk_is_seen_before(
    encode: Encoded, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(text.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5))
    encode(text)
    assert "only 5 bytes are free there" in encode.said[0]


def test_the_oldest_texts_go_when_the_limit_is_reached(encode: Encoded, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(4)]
    for path in paths:
        path.write_text(f"{path.name}\n" * 5000)
    encode.cache = Cache(tmp_path / "cache", 2 * paths[0].stat().st_size + 20_000)
    for number in (0, 1, 0, 2):
        encode(paths[number])
        for entry in encode.cache.entries.iterdir():  # as if all that had been a while ago
            status = entry.stat()
            os.utime(entry, ns=(status.st_atime_ns, status.st_mtime_ns - 10**10))
    read = {}
    for number in (0, 2, 1):
        encode(paths[number])
        read[number] = encode.read > 0
    assert read == {0: False, 2: False, 1: True}
    assert encode.cache.usage().bytes <= encode.cache.limit
    assert len(list(encode.cache.known.iterdir())) == encode.cache.usage().texts


def test_a_text_larger_than_the_limit_is_not_kept(
    encode: Encoded, text: Path, tmp_path: Path
) -> None:
    encode.cache = Cache(tmp_path / "cache", 1000)
    encode(text)
    assert "the cache may take 1 kB (RICORDA_CACHE_LIMIT)" in encode.said[0]


def test_while_another_process_encodes_the_text(
    encode: Encoded, text: Path, tmp_path: Path
) -> None:
    """A second lock on the file stands for it: flock tells descriptors apart, not processes."""
    assert encode.cache is not None
    inner = Encoded(tmp_path / "work", encode.cache)
    outer = encode.cache.working

    def busy(key: str) -> Any:
        with outer(key) as folder:
            assert folder is not None
            assert_same(inner(text), plain(text, folder=tmp_path))
        return outer(key)

    cache = Cache(encode.cache.folder, 10**9)
    cache.working = busy  # type: ignore[method-assign]
    encode.cache = cache
    encode(text)
    assert inner.said == [
        f"the encoded text is not cached in {cache.folder}: another process is encoding it"
    ]
    assert encode.said == []


SYMBOLS = st.characters(codec="utf-8", exclude_characters="\0")


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def interrupt(
    encode: Encoded, monkeypatch: pytest.MonkeyPatch, paths: list[Path], save: int
) -> bool:
    """End an encoding after so many checkpoints; tell whether it came so far."""
    saved = cached_encoding._Work._save
    count = 0

    def counting(work: Any) -> None:
        nonlocal count
        saved(work)
        count += 1
        if count == save:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(cached_encoding._Work, "_save", counting)
        try:
            encode(*paths)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("save", [1, 3])
def test_an_interrupted_encoding_continues(
    encode: Encoded,
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    save: int,
) -> None:
    expected = plain(text, folder=tmp_path, **options)
    call = Encoded.__call__
    monkeypatch.setattr(Encoded, "__call__", lambda self, *paths: call(self, *paths, **options))
    assert interrupt(encode, monkeypatch, [text], save)
    assert encode.cache is not None
    assert list(encode.cache.entries.iterdir()) == []
    assert_same(encode(text), expected)
    assert "continues an encoding that was interrupted after" in encode.said[0]
    assert_same(encode(text), expected)
    assert encode.read == 0
    assert list(encode.cache.work.iterdir()) == []


@given(
    st.lists(
        st.text(st.sampled_from("aè€😀\r\nz0") | SYMBOLS),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 12),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_any_texts_interrupted_anywhere(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    texts: list[str],
    save: int,
) -> None:
    if not "".join(texts).strip("\ufeff"):
        texts = [*texts, "some"]
    folder = tmp_path_factory.mktemp("texts")
    (folder / "work").mkdir()
    encode = Encoded(folder / "work", Cache(folder / "cache", 10**9))
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"{number}.txt")
        paths[-1].write_bytes(text.encode())
    expected = plain(*paths, folder=folder)
    with monkeypatch.context() as patched:
        patched.setattr(cached_encoding, "CHECKPOINT_BYTES", 1)
        patched.setattr(cached_encoding, "time", Mock(time_ns=time.time_ns))
        patched.setattr(reading, "PIECE_BYTES", 4)
        interrupted = interrupt(encode, monkeypatch, paths, save)
        assert_same(encode(*paths), expected)
        assert interrupted or encode.read == 0


def test_what_was_left_is_checked(
    encode: Encoded, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = plain(text, folder=tmp_path)
    assert encode.cache is not None
    for damage in ("ids", "fewer ids", "state", "no state"):
        shutil.rmtree(encode.cache.folder, ignore_errors=True)
        assert interrupt(encode, monkeypatch, [text], 5)
        (folder,) = (path for path in encode.cache.work.iterdir() if path.is_dir())
        if damage == "ids":
            flip(folder / "provisional.1", 50)
        elif damage == "fewer ids":
            os.truncate(folder / "provisional.1", 50)
        elif damage == "state":
            state = json.loads((folder / "state.json").read_text())
            state["encoder"]["symbols"] = state["encoder"]["symbols"][::-1]
            (folder / "state.json").write_text(json.dumps(state))
        else:
            (folder / "state.json").unlink()
        assert_same(encode(text), expected)
        assert encode.said == []
        assert encode.read == text.stat().st_size


def test_a_killed_process_leaves_an_encoding_to_continue_with(
    encode: Encoded, text: Path, tmp_path: Path
) -> None:
    program = f"""
import os, signal
from pathlib import Path
from ricorda.text import *
from ricorda.text import cached_encoding, reading
cached_encoding.SMALLEST, cached_encoding.CHECKPOINT_BYTES, reading.PIECE_BYTES = 1, 3000, 1000
saved = cached_encoding._Work._save
def save(work):
    saved(work)
    if work.writing.encoder.byte_count > 20000:
        os.kill(os.getpid(), signal.SIGKILL)
cached_encoding._Work._save = save
encode_sources(
    find_sources([{str(text)!r}]),
    vocabulary="characters",
    folder=Path({str(tmp_path)!r}),
    cache=Cache(Path({str(tmp_path / "cache")!r}), 10**9),
    say=print,
)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert_same(encode(text), plain(text, folder=tmp_path))
    assert "continues an encoding that was interrupted after 2" in encode.said[0]


# Where the cache is.


def test_the_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RICORDA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder_of(None) == tmp_path / "ricorda"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_of(None) == tmp_path / ".cache" / "ricorda"
    monkeypatch.setenv("RICORDA_CACHE", str(tmp_path / "mine"))
    assert folder_of(None) == tmp_path / "mine" / "ricorda"
    assert folder_of(str(tmp_path / "given")) == tmp_path / "given" / "ricorda"
    assert folder_of("off") is None
    monkeypatch.setenv("RICORDA_CACHE", "off")
    assert folder_of(None) is None


def folder_of(option: str | None) -> Path | None:
    cache = cache_for(option)
    return None if cache is None else cache.folder


def test_the_limit_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache = cache_for(str(tmp_path))
    assert cache is not None
    assert 0 < cache.limit <= 100 * 10**9
    monkeypatch.setenv("RICORDA_CACHE_LIMIT", "3GB")
    cache = cache_for(str(tmp_path))
    assert cache is not None
    assert cache.limit == 3 * 10**9
    monkeypatch.setenv("RICORDA_CACHE_LIMIT", "lots")
    with pytest.raises(ConfigurationError, match="RICORDA_CACHE_LIMIT: expected a size"):
        cache_for(str(tmp_path))


def test_what_a_finished_encoding_left_is_no_interrupted_one(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.prepare()
    left = cache.work / ("0" * 64)
    left.mkdir()  # its entry was published, then the process was killed
    assert cache.usage().interrupted == 0
    assert cache.make_room(0)
    assert not left.exists()


# Whose the cache is.


def users_folders(folder: Path) -> dict[str, int]:
    """Fill a folder as a user might, with the cache's own names; return each path's mode."""
    old = time.time() - 10**8
    for name in ("work", "entries", "known", "work/" + "0" * 64, "entries/" + "1" * 64):
        (folder / name).mkdir(parents=True)
        (folder / name / "diary.txt").write_text("mine")
    (folder / "work" / "empty").mkdir()
    for path in folder.rglob("*"):
        os.utime(path, (old, old))
    folder.chmod(0o755)
    return modes(folder)


def modes(folder: Path) -> dict[str, int]:
    paths = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder)): path.stat().st_mode for path in paths}


def test_a_users_folder_is_not_changed_by_a_cache_in_it(
    encode: Encoded, text: Path, tmp_path: Path
) -> None:
    before = users_folders(tmp_path / "mine")
    encode.cache = cache_for(str(tmp_path / "mine"))
    encode(text)
    assert encode.cache is not None
    assert encode.cache.make_room(10**12) is False  # removes all that may be removed
    after = modes(tmp_path / "mine")
    assert {name: mode for name, mode in after.items() if name.split("/")[0] != "ricorda"} == before
    assert (tmp_path / "mine" / "ricorda" / "CACHEDIR.TAG").is_file()


@pytest.mark.parametrize("marker", [None, "Signature: 8a477f597d28d172789f06886806bc55\n# cargo\n"])
def test_a_folder_without_the_marker_is_not_used(
    encode: Encoded, text: Path, tmp_path: Path, marker: str | None
) -> None:
    before = users_folders(tmp_path / "mine")
    if marker is not None:
        (tmp_path / "mine" / "CACHEDIR.TAG").write_text(marker)
        before = modes(tmp_path / "mine")
    encode.cache = Cache(tmp_path / "mine", 10**9)
    assert_same(encode(text), plain(text, folder=tmp_path))
    assert modes(tmp_path / "mine") == before
    assert encode.said == [
        f"the encoded text is not cached in {tmp_path / 'mine'}: it has no CACHEDIR.TAG of "
        "ricorda's: empty it, or choose another folder"
    ]


def test_a_users_files_in_the_cache_stay(encode: Encoded, text: Path) -> None:
    encode(text)
    assert encode.cache is not None
    (entry,) = encode.cache.entries.iterdir()
    theirs = [
        *(entry / "diary.txt", encode.cache.known / "diary.txt", encode.cache.work / "diary.lock"),
        *(encode.cache.entries / "mine" / "ids", encode.cache.work / "mine" / "state.json"),
    ]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("0" * 64)
        os.utime(path.parent, (0, 0))
    encode.cache.make_room(10**12)
    assert all(path.exists() for path in theirs)
    assert not (entry / "ids").exists()


def another_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be another user than the one whose files these are."""
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)


def test_a_cache_of_another_user_is_not_used(
    encode: Encoded, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(text)
    assert encode.cache is not None
    before = modes(encode.cache.folder)
    another_users(monkeypatch)
    encode.read = 0
    encode(text)
    assert encode.read == text.stat().st_size
    assert encode.said == [
        f"the encoded text is not cached in {encode.cache.folder}: it belongs to another user"
    ]
    assert modes(encode.cache.folder) == before


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_cache_that_others_may_write_into_is_not_used(
    encode: Encoded, text: Path, mode: int
) -> None:
    encode(text)
    assert encode.cache is not None
    encode.cache.folder.chmod(mode)
    encode.read = 0
    encode(text)
    assert encode.read == text.stat().st_size
    assert encode.said[0].endswith("other users may write into it")
    assert encode.cache.folder.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("name", ["ids", "manifest.json"])
def test_an_entrys_file_of_another_user_is_not_read(encode: Encoded, text: Path, name: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    encode(text)
    assert encode.cache is not None
    (entry,) = encode.cache.entries.iterdir()
    os.chown(entry / name, 12345, 12345)
    encode.read = 0
    encode(text)
    assert encode.read == text.stat().st_size


@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK", "ENOTSUP", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_done_without(
    encode: Encoded, text: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(getattr(errno, error), "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert_same(encode(text), plain(text, folder=encode.folder))
    assert len(encode.said) == 1
    assert encode.said[0].endswith("it cannot be written: its file system has no locks")
