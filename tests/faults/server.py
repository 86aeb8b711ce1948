"""A process with PyTorch loaded that runs command lines in forks of itself, with faults.

Each line of standard input is a request, JSON; each answer is a line of JSON. Started by
`forge.Forge`, with the shim loaded before the C library.
"""

import ctypes
import faulthandler
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.mutations import MUTATIONS

ACTIONS = {"fail": 0, "fail from": 1, "kill": 2, "spoil": 3}
MMAP_THRESHOLD = -3  # in the C library's malloc.h
LONGEST = 600  # seconds after which a command line that hangs is ended, also on a busy machine

Request = dict[str, Any]


def main() -> None:
    shim = ctypes.CDLL(None)
    prepare()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            run(request, shim)
        print(json.dumps({"status": wait(child, request.get("kill_after"))}), flush=True)


def prepare() -> None:
    """Import what every request needs, so that a fork is quick."""
    import torch

    torch.set_num_threads(1)
    import ricorda.cli.resume
    import ricorda.cli.train
    import ricorda.engine.native
    import ricorda.training.run  # noqa: F401

    warm_up()
    mutation = os.environ.get("FAULTS_MUTATION")
    if mutation:
        MUTATIONS[mutation].apply()


def warm_up() -> None:
    """Have PyTorch import what it imports late."""
    import tempfile

    import ricorda

    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        text.write_text("abc" * 100)
        ricorda.train(
            text,
            out=Path(folder, "run"),
            steps=1,
            hidden_size=2,
            dropout=0.1,
            threads=1,
            quiet=True,
        )


def wait(child: int, kill_after: float | None) -> int:
    """The exit code, or minus the signal that ended it: SIGKILL, unless it ends before that."""
    if kill_after is not None:
        ends = os.pidfd_open(child)
        if not select.select([ends], [], [], kill_after)[0]:
            os.kill(child, signal.SIGKILL)
        os.close(ends)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def run(request: Request, shim: Any) -> None:
    """Run a command line in this fork, and end it. What ends it is in its output."""
    signal.alarm(LONGEST)
    os.chdir(request["cwd"])
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    faulthandler.register(signal.SIGALRM, file=2, chain=True)
    code = 99
    try:
        for name in request.get("patches", []):
            PATCHES[name](request, shim)
        from ricorda.cli.main import main as command_line

        code = command_line(request["words"])
    except BaseException:
        traceback.print_exc()  # the exit below would discard it
    finally:
        shim.shim_disarm()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def arm(request: Request, shim: Any) -> None:
    fault = request["fault"]
    log = os.open("calls.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND) if fault.get("log") else -1
    shim.shim_arm(
        str(Path(request["cwd"], fault["below"])).encode(),
        fault.get("kind", "").encode(),
        ctypes.c_long(fault.get("number", 0)),
        ACTIONS[fault.get("action", "fail")],
        fault.get("errno", 0),
        log,
    )


def report(request: Request, shim: Any) -> None:
    """Leave behind how many calls there were and whether the fault came about."""
    shim.shim_disarm()
    found = {"count": shim.shim_count(), "fired": shim.shim_fired()}
    Path(request["cwd"], "fault.json").write_text(json.dumps(found))


def patch_save(request: Request, shim: Any) -> None:
    """Arm the fault inside one save: the `save`-th of this process, counted from 0."""
    from ricorda.training.checkpoint.writer import CheckpointWriter

    original: Callable[..., Any] = CheckpointWriter._written
    calls = 0

    def written(self: CheckpointWriter, work: Any) -> Any:
        nonlocal calls
        number, calls = calls, calls + 1
        if number != request["save"]:
            return original(self, work)
        arm(request, shim)
        failure = original(self, work)
        if not request.get("stays_armed"):
            report(request, shim)
        if request.get("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        return failure

    CheckpointWriter._written = written  # type: ignore[method-assign]


def patch_wait(request: Request, shim: Any) -> None:
    """Wait for each save, so that each run makes the same calls in the same order."""
    from ricorda.training.checkpoint.writer import CheckpointWriter

    original = CheckpointWriter.save

    def save(self: CheckpointWriter, *arguments: Any) -> None:
        original(self, *arguments)
        self.wait()

    CheckpointWriter.save = save  # type: ignore[method-assign, assignment]


def patch_fit(request: Request, shim: Any) -> None:
    """Arm the fault for the whole of the training."""
    from ricorda.training.loop import Loop

    original = Loop.fit

    def fit(self: Loop) -> Any:
        arm(request, shim)
        try:
            return original(self)
        finally:
            if not request.get("stays_armed"):
                report(request, shim)

    Loop.fit = fit  # type: ignore[method-assign]


def patch_step(request: Request, shim: Any) -> None:
    """Do something just before a step is taken: `at` names the step, `does` what."""
    from ricorda.training.loop import Loop

    if request["does"] == "lower memory":  # so that each larger array needs new memory
        shim.mallopt(MMAP_THRESHOLD, 1 << 16)
    original = Loop._step

    def step(self: Loop) -> None:
        if self.progress.step == request["at"]:
            STEPS[request["does"]](self, request)
        original(self)

    Loop._step = step  # type: ignore[method-assign]


def _lower_memory(loop: Any, request: Request) -> None:
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used, used))


def _set_clock_back(loop: Any, request: Request) -> None:
    real = time.time
    time.time = lambda: real() - 10**6


def _signal(loop: Any, request: Request) -> None:
    os.kill(os.getpid(), request["signal"])


def _twice(loop: Any, request: Request) -> None:
    os.kill(os.getpid(), request["signal"])
    os.kill(os.getpid(), request["signal"])


def _spoil_weights(loop: Any, request: Request) -> None:
    """Let the numbers go wrong, but no longer once the learning rate is low enough."""
    if loop.progress.returns < request["until_returns"]:
        loop.learner.weights()["output.weight"][...] = float("nan")


def _text_is_gone(loop: Any, request: Request) -> None:
    Path("my.txt").unlink()


def _text_is_another(loop: Any, request: Request) -> None:
    Path("my.txt").write_text("something else altogether\n" * 100)


STEPS: dict[str, Callable[[Any, Request], None]] = {
    "lower memory": _lower_memory,
    "set clock back": _set_clock_back,
    "signal": _signal,
    "two signals": _twice,
    "spoil weights": _spoil_weights,
    "delete text": _text_is_gone,
    "change text": _text_is_another,
}

PATCHES: dict[str, Callable[[Request, Any], None]] = {
    "save": patch_save,
    "wait": patch_wait,
    "fit": patch_fit,
    "step": patch_step,
}

if __name__ == "__main__":
    main()
