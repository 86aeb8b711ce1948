"""One of the processes that `launch` starts: read the request, train, write the outcome.

Its status is 0 if a restart cannot help, be it the end, a signal or wrong input, and 1 if another
process was lost. Interrupted before the first step, it cleans up and ends without a message.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from ricorda.durable import write_atomically
from ricorda.errors import ProcessLost, RicordaError
from ricorda.interrupts import SIGNALS, CommandInterrupt, Interrupted

REQUEST, OUTCOME = "request.json", "outcome.json"
LAUNCHER_CHECK_SECONDS = 1.0


def main(folder: Path, launcher: int) -> int:
    """Do what the request in a folder asks for, as long as the launcher (a process id) runs."""
    threading.Thread(target=_end_with, args=(launcher,), daemon=True).start()
    from ricorda.training.run import new_run, resumed_run

    request = json.loads((folder / REQUEST).read_text())
    command = new_run if request["command"] == "train" else resumed_run
    for number in SIGNALS:  # the imports are done
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, CommandInterrupt(_interrupt))
    try:
        run = command(*request["arguments"], quiet=request["quiet"], **request["options"])
    except ProcessLost as error:
        print(f"ricorda: {error}", file=sys.stderr, flush=True)
        os._exit(1)  # PyTorch's threads wait for the lost process
    except Interrupted as interrupted:
        os._exit(interrupted.exit_code)  # PyTorch's threads wait for others that end now
    except RicordaError as error:
        if not error.reported_elsewhere:
            _write(folder, {"error": type(error).__name__, "message": str(error)})
        return 0
    if run.rank == 0:
        outcome = {"folder": str(run.folder), "metrics": run.metrics, "signal": run.signal_number}
        _write(folder, outcome)
    return 0


def _interrupt(number: int, frame: object) -> None:
    """Interrupt once: the launcher sends further signals during the cleanup."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


def _end_with(launcher: int) -> None:
    """End this process when the launcher was killed, since nobody else would."""
    while os.getppid() == launcher:
        time.sleep(LAUNCHER_CHECK_SECONDS)
    if os.environ.get("RANK") == "0":
        print(
            "ricorda: the launcher of this run's processes was killed: the last checkpoint "
            "remains; continue with `ricorda resume`",
            file=sys.stderr,
            flush=True,
        )
    os._exit(1)


def _write(folder: Path, outcome: Mapping[str, object]) -> None:
    write_atomically(folder / OUTCOME, json.dumps(outcome).encode())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
