"""Interrupting a training that a Python program started: the run is saved, the program informed."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import ricorda
from ricorda.errors import ConfigurationError
from ricorda.interrupts import SIGNALS, CommandInterrupt, Interrupted, Interruption, as_a_command
from ricorda.training.report.progress import Silent
from tests.training.reporters import InterruptAt

SMALL: dict[str, Any] = {"hidden_size": 4, "steps": 40, "threads": 1, "quiet": True}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("my.txt").write_text("".join(f"{number} bottles\n" for number in range(200)))
    return tmp_path


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """What signals did before, they do afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


def is_saved(folder: str, step: int) -> bool:
    run = Path(folder)
    return (run / "checkpoints" / str(step)).is_dir() and (run / "model.safetensors").is_file()


def test_the_run_is_saved_and_the_program_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        ricorda.train("my.txt", reporter=InterruptAt(5), **SMALL)
    (note,) = caught.value.__notes__
    assert "the run is saved in runs/my" in note
    assert "ricorda.resume('runs/my')" in note
    assert is_saved("runs/my", 5)
    assert ricorda.resume("runs/my", quiet=True).metrics["steps"] == 40


def test_resume_is_interrupted_too() -> None:
    with pytest.raises(KeyboardInterrupt):
        ricorda.train("my.txt", reporter=InterruptAt(5), **SMALL)
    with pytest.raises(KeyboardInterrupt) as caught:
        ricorda.resume("runs/my", reporter=InterruptAt(9), quiet=True)
    assert "ricorda.resume('runs/my')" in caught.value.__notes__[0]
    assert is_saved("runs/my", 9)


def test_a_second_interrupt_reaches_the_program_at_once() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        ricorda.train("my.txt", reporter=InterruptAt(5, times=2), **SMALL)
    assert not hasattr(caught.value, "__notes__")  # nothing is promised of the run


def test_a_program_s_own_handler_gets_the_signal_once_the_run_is_saved() -> None:
    heard: list[bool] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(is_saved("runs/my", 5))

    before = signal.signal(signal.SIGTERM, hear)
    try:
        run = ricorda.train("my.txt", reporter=InterruptAt(5, number=signal.SIGTERM), **SMALL)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [True]
    assert run.signal_number == signal.SIGTERM
    assert run.metrics["stopped_because"] == "interrupted"


def run_program(program: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in a process of its own, where no event loop runs yet."""
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, check=False, text=True, capture_output=True)


def test_a_program_that_is_ended_by_a_signal_saves_the_run_first() -> None:
    done = run_program(
        "import ricorda, signal\n"
        "from tests.training.test_interruption import InterruptAt, SMALL\n"
        "ricorda.train('my.txt', reporter=InterruptAt(5, number=signal.SIGTERM), **SMALL)\n"
    )
    assert done.returncode == -signal.SIGTERM
    assert is_saved("runs/my", 5)


def test_a_coroutine_is_cancelled_as_asyncio_does_it() -> None:
    done = run_program(
        "import asyncio, ricorda\n"
        "from tests.training.test_interruption import InterruptAt, SMALL\n"
        "async def main():\n"
        "    ricorda.train('my.txt', reporter=InterruptAt(5), **SMALL)\n"
        "    print('the end of the call')\n"
        "    await asyncio.sleep(0)\n"
        "    print('what follows')\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    assert (done.returncode, done.stdout) == (0, "the end of the call\ninterrupted\n")
    assert is_saved("runs/my", 5)


def test_another_thread_trains_and_leaves_the_handlers_alone() -> None:
    seen: list[Any] = []

    class Look(Silent):
        def say(self, message: str) -> None:
            seen.append(signal.getsignal(signal.SIGINT))

    def learn() -> None:
        seen.append(ricorda.train("my.txt", reporter=Look(), **SMALL).metrics["steps"])

    thread = threading.Thread(target=learn)
    thread.start()
    thread.join()
    *handlers, steps = seen
    assert steps == 40
    assert set(handlers) == {signal.getsignal(signal.SIGINT)}


def test_several_processes_are_interrupted_as_one(here: Path) -> None:
    program = (
        "import ricorda\n"
        "try:\n"
        "    ricorda.train('my.txt', hidden_size=4, minutes=60, processes=2, batch_size=4)\n"
        "except KeyboardInterrupt as error:\n"
        "    print(*error.__notes__)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if b": validation " in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert b"continue with ricorda.resume('runs/my')" in out


def test_a_handler_that_python_did_not_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    known = signal.getsignal
    monkeypatch.setattr(
        signal, "getsignal", lambda number: None if number == signal.SIGTERM else known(number)
    )
    with Interruption() as interruption:
        monkeypatch.undo()
        assert signal.getsignal(signal.SIGTERM) != interruption._note
        assert signal.getsignal(signal.SIGINT) == interruption._note


def test_a_command_line_ends_at_the_second_signal() -> None:
    with as_a_command():
        assert isinstance(signal.getsignal(signal.SIGINT), CommandInterrupt)
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGTERM)
            assert interruption.signal_number == signal.SIGTERM
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        assert isinstance(signal.getsignal(signal.SIGINT), CommandInterrupt)
        for number in (signal.SIGINT, signal.SIGTERM):
            with pytest.raises(Interrupted) as raised:
                signal.raise_signal(number)
            assert raised.value.exit_code == 128 + number
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_one_of_several_processes_ignores_what_the_launcher_sends_again() -> None:
    with as_a_command():
        with Interruption(ignores_more=True) as interruption:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert interruption.signal_number == signal.SIGTERM
        signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    "way",
    [copy.copy, copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_run_is_copied(way: Callable[[ricorda.Run], ricorda.Run]) -> None:
    run = ricorda.train("my.txt", **SMALL)
    expected = run.model.generate("9", seed=1)  # and holds a loaded model from here on
    again = way(run)
    assert again == run
    assert again.model.generate("9", seed=1) == expected


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ([5], {}, "texts must be a path, a pattern, or a list of them, got 5"),
        ([["my.txt", 5]], {}, "texts must be a path, a pattern, or a list of them, got 5"),
        ([{"my.txt": 1}], {}, "texts must be a path, a pattern, or a list of them, got {'my"),
        (["my.txt"], {"quiet": 1}, "quiet must be True or False, got 1"),
        (["my.txt"], {"reporter": print}, "reporter must be an object with the methods say,"),
        (["my.txt"], {"steps": True}, "steps must be a whole number, got True"),
        (["my.txt"], {"step": 5}, "unknown option step: did you mean steps?"),
        (["my.txt"], {"out": 5}, "out must be a path, got 5"),
        ([], {}, "expected a text to learn"),
        ([[]], {}, "expected a text to learn"),
    ],
    ids=str,
)
def test_what_train_does_not_take_is_named(
    arguments: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ricorda.RicordaError) as caught:
        ricorda.train(*arguments, **options)
    assert message in str(caught.value)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"folder": 5}, "folder must be a path, got 5"),
        ({"text": 5}, "text must be a path"),
        ({"validation": 5}, "validation must be a path, got 5"),
        ({"quiet": "yes"}, "quiet must be True or False"),
        ({"cache": 5}, "cache must be text, got 5"),
        ({"steps": "many"}, "steps must be a whole number, got 'many'"),
        ({"batch_size": 5}, "expected an option of resume, got batch_size"),
    ],
    ids=str,
)
def test_what_resume_does_not_take_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ricorda.resume(**options)
    assert message in str(caught.value)


def test_lists_of_texts_and_a_run_are_taken() -> None:
    for name in ("x", "y", "z"):
        Path(name).write_text("never learned\n" * 20)
    Path("xyz.txt").write_text("abcabc\n" * 200)
    run = ricorda.train(["xyz.txt"], [Path("my.txt"), b"xyz.txt"], **SMALL)
    assert [Path(text).name for text in run.model.training["texts"]] == ["xyz.txt", "my.txt"]
    more = ricorda.resume(run, text=["xyz.txt", Path("my.txt")], steps=42, quiet=True)
    assert more.metrics["steps"] == 42
    assert ricorda.load(run).generate("a", seed=1) == more.model.generate("a", seed=1)
