"""One of the processes that `launch` starts: reads the request, trains, tells what came of it.

It ends with 0 where nothing is to be tried again, be it the end, a signal or a wrong input, and
with 1 where another process was lost.
Interrupted before it learns, it puts away what it began and ends without a word.
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
from ricorda.extras import require_torch
from ricorda.interrupts import CommandInterrupt

REQUEST, OUTCOME = "request.json", "outcome.json"
LOOK_SECONDS = 1.0  # between looks whether the launcher is there


def main(folder: Path, launcher: int) -> int:
    """Do what the request in a folder asks for, as long as the launcher, a process, is there."""
    watcher = threading.Thread(target=_end_without, args=(launcher,), daemon=True)
    watcher.start()
    require_torch()
    from ricorda.training.run import resume, train

    request = json.loads((folder / REQUEST).read_text())
    learn = train if request["command"] == "train" else resume
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # set for the imports, which are done
        signal.signal(signal.SIGINT, CommandInterrupt(_interrupt))
    try:
        run = learn(*request["arguments"], quiet=request["quiet"], **request["options"])
    except ProcessLost as error:
        print(f"ricorda: {error}", file=sys.stderr, flush=True)
        os._exit(1)  # PyTorch's threads for the lost one cannot be ended in good order
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGINT)  # nor those for others that end now
    except RicordaError as error:
        if not error.told:
            _tell(folder, {"error": type(error).__name__, "message": str(error)})
        return 0
    if run.rank == 0:
        told = {"folder": str(run.folder), "metrics": run.metrics, "signal": run.signal_number}
        _tell(folder, told)
    return 0


def _interrupt(number: int, frame: object) -> None:
    """Be interrupted once: the launcher says it again while what was begun is put away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_without(launcher: int) -> None:
    """End this process once the launcher was killed: nobody would end it, or start it again."""
    while os.getppid() == launcher:
        time.sleep(LOOK_SECONDS)
    if os.environ.get("RANK") == "0":
        print(
            "ricorda: the process that started this run's processes was killed: the last "
            "checkpoint stands; go on with `ricorda resume`",
            file=sys.stderr,
            flush=True,
        )
    os._exit(1)


def _tell(folder: Path, outcome: Mapping[str, object]) -> None:
    write_atomically(folder / OUTCOME, json.dumps(outcome).encode())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
