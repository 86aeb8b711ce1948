"""Trainings as processes of their own, which outlive the page: begun, paused, ended, queued.

Each is an ordinary `ricorda train` or `ricorda resume`, in a session of its own. A pause is the
signal that Ctrl-C sends: the run saves itself and ends, and resumes bit for bit.
"""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from ricorda.cores import usable_cores
from ricorda.durable import CAN_LOCK, open_untrusting, try_lock
from ricorda.errors import InputError, RicordaError, RunError
from ricorda.runs import LOCK, RunFolder, ended
from ricorda.studio.cache import FromFile
from ricorda.studio.private_folder import SavedQueue, Waiting
from ricorda.studio.reading import read_config
from ricorda.studio.settings import TrainingRequest
from ricorda.studio.workspace import Workspace
from ricorda.training.checkpoint.moving import move_run

State = Literal[
    "queued", "starting", "learning", "pausing", "paused", "stopped", "ended", "failed", "gone"
]

BUSY = frozenset({"queued", "starting", "learning", "pausing"})
"""The states in which a run's folder stays where it is."""

PROGRAM = [sys.executable, "-m", "ricorda"]
PAUSING_SIGNAL = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)  # Windows sends no SIGINT
LOOK_SECONDS = 0.5
ENDINGS_WELL = (0, 130, 143)
LONGEST_REASON = 300  # characters
RESERVED = 16 * 1024  # bytes of a log
LOCKS = Path("/proc/locks")


@dataclass
class Training:
    """One training that this studio began or will begin."""

    folder: Path
    request: TrainingRequest | None
    """What was asked for; None for a run that is resumed."""

    arguments: list[str]
    """What follows `ricorda`."""

    threads: int
    process: "subprocess.Popen[bytes] | None" = None
    pausing: bool = False
    exit_code: int | None = None
    could_not_start: str | None = None
    """Why it has no process, where the system gave it none."""

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        if self.process is None:
            return False
        self.exit_code = self.process.poll()
        return self.exit_code is None


@dataclass
class Trainings:
    """All trainings of a workspace; from any thread."""

    workspace: Workspace
    cores: int = field(default_factory=usable_cores)
    may_learn: Callable[[RunFolder], object] = lambda run: None
    """Raises TextError for a run whose text may not be read."""

    _known: dict[str, Training] = field(default_factory=dict)
    _queue: deque[Training] = field(default_factory=deque)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _closing: threading.Event = field(default_factory=threading.Event)
    _ended: FromFile[str | None] = field(default_factory=lambda: FromFile(_ended))

    def __post_init__(self) -> None:
        """Load the queue that an earlier studio left; `watch` starts it."""
        self._line = SavedQueue(self.workspace.private)
        for kept in self._line.read():
            with contextlib.suppress(InputError):  # its text or its run is gone
                self._queue.append(self._taken_up(kept))

    def begin(self, text: Path, request: TrainingRequest) -> str:
        """Train on a text as soon as there are cores for it; return the run's name."""
        with self._lock:
            folder = self.workspace.free_run(text, set(self.names()))
            for mark in (self.workspace.mark_of, self.workspace.resumed_mark_of):
                mark(folder.name).unlink(missing_ok=True)  # of an earlier run
            self._wait(self._new(folder, text, request))
            return folder.name

    def go_on(self, name: str) -> None:
        """Resume a run that was paused, as soon as there are cores. Raises RunError.

        One that failed before it had begun begins again.
        """
        with self._lock:
            known = self._known.get(name)
            if known is not None and not known.alive and not self.workspace.run_is_there(name):
                again = Training(known.folder, known.request, known.arguments, known.threads)
                self._wait(again)
                return
            run = self.workspace.run(name)
            state = self.state(name)["state"]
            if state in ("learning", "starting", "queued"):
                return
            if state == "ended":
                raise RunError(f"the run {name} has ended: start a new one")
            training = self._resumed(run)
            self.workspace.mark_of(name).unlink(missing_ok=True)
            self.workspace.resumed_mark_of(name).touch()
            self._wait(training)

    def pause(self, name: str) -> None:
        """Have a run save itself and end, or leave the queue; a second call changes nothing.

        Raises RunError if it is neither.
        """
        with self._lock:
            training = self._training(name)
            if training is not None and training in self._queue:
                self._queue.remove(training)
                self._known.pop(name, None)
                self._keep_line()
                return
            if training is not None and (training.alive or training.pausing):
                assert training.process is not None
                if not training.pausing:  # a second signal would end it at once, unsaved
                    training.pausing = True
                    training.process.send_signal(PAUSING_SIGNAL)
                return
            trainer = trainer_of(self.workspace.run(name))
            if not trainer:
                raise RunError(f"the run {name} is not being trained: there is nothing to pause")
            os.kill(trainer, signal.SIGINT)  # it was begun elsewhere, or by an earlier studio

    def stop(self, name: str) -> None:
        """As `pause`, but for good; a paused run is only marked. Raises RunError."""
        with self._lock:
            if self.state(name)["state"] != "paused":
                self.pause(name)
            if self.workspace.run_is_there(name):
                self.workspace.mark_of(name).touch()

    def rename(self, name: str, wanted: str) -> None:
        """Give a run that nobody trains another name. Raises RunError."""
        with self._lock:
            run = self._at_hand(name)
            place = self.workspace.named_run(wanted, set(self.names()))
            self.put(name, lambda: move_run(run, place), wanted)

    def put(self, name: str, move: Callable[[], object], key: str) -> None:
        """Move the folder of a run that nobody trains, and what is kept about it.

        key: the name by which the private files are found afterwards. Raises RunError, as `move`.
        """
        with self._lock:
            self._at_hand(name)
            move()
            self._known.pop(name, None)
            before, now = map(self.workspace.private_files_of, (name, key))
            for old, new in zip(before, now, strict=True):
                with contextlib.suppress(FileNotFoundError):
                    old.replace(new)

    def _at_hand(self, name: str) -> RunFolder:
        """A run that nobody trains, or will train soon. Raises RunError."""
        if self.state(name)["state"] in BUSY:
            raise RunError(f"the run {name} is being trained: stop it first")
        return self.workspace.run(name)

    def names(self) -> list[str]:
        """The names of all trainings that this studio knows of, the newest first."""
        with self._lock:
            return [*(each.folder.name for each in reversed(self._queue)), *reversed(self._known)]

    def knows(self, name: str) -> bool:
        """Whether this studio began the training, or will."""
        return self._training(name) is not None

    def arguments(self, name: str) -> list[str] | None:
        """What follows `ricorda` on the command line that began a training; None if unknown."""
        training = self._training(name)
        return None if training is None else training.arguments

    def _training(self, name: str) -> Training | None:
        """What waits by this name, else what was begun."""
        with self._lock:
            waiting = (each for each in self._queue if each.folder.name == name)
            return next(waiting, self._known.get(name))

    def state(self, name: str) -> dict[str, Any]:
        """Say what a run is doing: `state`, and `reason` where it ended or failed."""
        with self._lock:
            places = [each.folder.name for each in self._queue]
            if name in places:
                return {"state": "queued", "reason": None, "place": places.index(name) + 1}
            training = self._known.get(name)
        state, reason = self._state(RunFolder(self.workspace.runs / name), training)
        return {"state": state, "reason": reason, "place": None}

    def waiting(self) -> list[str]:
        """The names of those in the queue, the next one first."""
        with self._lock:
            return [each.folder.name for each in self._queue]

    def running(self) -> list[str]:
        """The names of all runs that are being trained."""
        with self._lock:
            ours = [name for name, each in self._known.items() if each.alive]
        return ours + [run.path.name for run in self._trained_elsewhere(ours)]

    def _trained_elsewhere(self, ours: list[str]) -> list[RunFolder]:
        """The runs that another studio or a command line trains."""
        return [
            run
            for run in self.workspace.list_runs()
            if run.path.name not in ours and trainer_of(run) is not None
        ]

    def watch(self) -> None:
        """Begin what waits, as cores become free, until `close`; for a thread of its own."""
        while not self._closing.wait(LOOK_SECONDS):
            with self._lock, contextlib.suppress(OSError, RicordaError):  # tried again
                self._begin_what_fits()

    def close(self) -> None:
        """Start nothing more; what runs continues, and the queue is kept."""
        self._closing.set()
        self._line.close()
        for training in self._known.values():
            if training.alive and training.process is not None:
                training.process.returncode = 0  # it is nobody's child any more

    def _new(self, folder: Path, text: Path, request: TrainingRequest) -> Training:
        """A training of a text, in a folder that is free."""
        threads = min(request.threads or self.cores, self.cores)
        words = ["train", operand(text), *request.words(threads), "--out", str(folder)]
        return Training(folder, request, words, threads)

    def _resumed(self, run: RunFolder) -> Training:
        """A training that is resumed. Raises TextError if the studio may not read its text."""
        self.may_learn(run)
        threads = min(_threads_of(run), self.cores)
        return Training(run.path, None, ["resume", operand(run.path)], threads)

    def _taken_up(self, kept: Waiting) -> Training:
        """A training from the queue, checked like a request. Raises RunError, TextError."""
        if kept.request is None:
            return self._resumed(self.workspace.run(kept.name))
        if not self.workspace.is_free(kept.name):
            raise RunError(f"expected a free name for a run, {kept.name} is taken or not allowed")
        text = self.workspace.text(kept.request.text)
        return self._new(self.workspace.runs / kept.name, text, kept.request)

    def _wait(self, training: Training) -> None:
        """Put a training at the end of the queue, which may be empty."""
        self._queue.append(training)
        self._keep_line()
        self._begin_what_fits()

    def _begin_what_fits(self) -> None:
        while self._queue:
            busy = self._busy()
            first = self._queue[0]
            if busy and busy + first.threads > self.cores:
                return
            self._begin(first)
            self._queue.popleft()
            self._keep_line()

    def _busy(self) -> int:
        """How many cores are taken by all trainings."""
        ours = {name: each for name, each in self._known.items() if each.alive}
        others = self._trained_elsewhere(list(ours))
        return sum(each.threads for each in ours.values()) + sum(map(_threads_of, others))

    def _keep_line(self) -> None:
        """Save the queue for the next start of the studio."""
        self._line.write(
            [Waiting(name=each.folder.name, request=each.request) for each in self._queue]
        )

    def _begin(self, training: Training) -> None:
        name = training.folder.name
        try:
            training.process = self._process(training)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            training.exit_code = 1
            training.could_not_start = f"it could not be started: {reason}"
        self._known.pop(name, None)  # the newest comes last
        self._known[name] = training

    def _process(self, training: Training) -> "subprocess.Popen[bytes]":
        """Start what follows `ricorda`, in a session of its own; raises OSError."""
        training.folder.parent.mkdir(parents=True, exist_ok=True)
        with self.workspace.log_of(training.folder.name).open("wb", buffering=0) as log:
            _reserve(log)
            return subprocess.Popen(
                [*PROGRAM, *training.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows
            )

    def _state(self, run: RunFolder, training: Training | None) -> tuple[State, str | None]:
        alive = training is not None and training.alive
        if alive and training is not None and training.pausing:
            return "pausing", None
        trainer = trainer_of(run)
        if alive and (not run.samples.is_file() or (CAN_LOCK and trainer is None)):
            return "starting", None
        if alive or trainer is not None:
            return "learning", None
        code = None if training is None else training.exit_code
        was_stopped = training is not None and training.pausing
        if code is not None and code not in ENDINGS_WELL and not was_stopped:
            said = training.could_not_start if training is not None else None
            return "failed", said or _killed_by(code) or self._last_words(run.path.name, code)
        return self._at_rest(run)

    def _at_rest(self, run: RunFolder) -> tuple[State, str | None]:
        """The state of a run that nobody trains, by its folder alone."""
        if not run.path.exists():
            return "gone", None
        reason = self._ended.of(run)
        if reason is not None:
            return "ended", reason
        can_go_on = run.is_run and not self.workspace.mark_of(run.path.name).exists()
        return ("paused" if can_go_on else "stopped"), None

    def _last_words(self, name: str, exit_code: int) -> str:
        """The last line that a process printed, or that it printed none."""
        with contextlib.suppress(OSError), open_untrusting(self.workspace.log_of(name)) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - RESERVED))
            lines = file.read(RESERVED).rstrip(b"\0").decode("utf-8", "replace").splitlines()
            for line in reversed(lines):
                if line.strip():
                    return line[:LONGEST_REASON]
        return f"it ended with exit code {exit_code} and printed nothing"


def trainer_of(run: RunFolder) -> int | None:
    """The process that trains a run: its number, 0 if it is unknown, None if there is none.

    It is the one that holds the lock in the run's folder. Linux lists all locks; elsewhere the lock
    is tried for an instant.
    """
    path = run.path / LOCK
    try:
        status = path.lstat()  # a link would name somebody else's lock
        if not stat.S_ISREG(status.st_mode):
            return None
        if not LOCKS.is_file():
            return 0 if _is_locked(path) else None
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        of_devices = {}
        for line in LOCKS.read_text("ascii", "replace").splitlines():
            words = line.split()
            if len(words) >= 6 and words[1] == "FLOCK":
                its_device, _, inode = words[5].rpartition(":")
                if inode == str(status.st_ino):
                    of_devices[its_device] = max(0, int(words[4]))
        if device in of_devices:
            return of_devices[device]
        # on btrfs, st_dev differs from the device number in the list of locks
        if of_devices and _is_locked(path):
            return next(iter(of_devices.values())) if len(of_devices) == 1 else 0
    except OSError:
        return None
    return None


def _is_locked(path: Path) -> bool:
    """Return whether another process holds the lock, by trying to take it. Raises OSError."""
    with open_untrusting(path) as file:
        return try_lock(file.fileno(), shared=True) is False


def operand(path: Path) -> str:
    """A path as a word of a command line that is not taken for an option."""
    word = str(path)
    return f"./{word}" if word.startswith("-") else word


def _reserve(log: IO[bytes]) -> None:
    """Reserve space for a process's last message, which would be lost on a full disk.

    Raises OSError if there is none.
    """
    log.write(bytes(RESERVED))
    os.fsync(log.fileno())
    log.seek(0)


def _ended(run: RunFolder) -> str | None:
    """Why a run has ended; None if it may continue or its rows are damaged."""
    with contextlib.suppress(RunError):
        return ended(run)
    return None


def _killed_by(exit_code: int) -> str | None:
    """What to say of a process that a signal ended; None for one that ended by itself."""
    if exit_code >= 0:
        return None
    names = [each.name for each in signal.Signals if each == -exit_code]
    return f"its process was ended by a signal ({names[0] if names else -exit_code})"


def _threads_of(run: RunFolder) -> int:
    """How many threads a run trains with."""
    with contextlib.suppress(RunError, KeyError, TypeError, ValueError):
        return max(1, int(read_config(run)["training"]["threads"]))
    return 1
