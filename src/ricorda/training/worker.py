"""One of the processes that `launch` starts: reads the request, trains, tells what came of it.

It ends with 0 where nothing is to be tried again, be it the end, a signal or a wrong input, and
with 1 where another process was lost.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ricorda.durable import write_atomically
from ricorda.errors import ProcessLost, RicordaError
from ricorda.extras import require_torch

REQUEST, OUTCOME = "request.json", "outcome.json"


def main(folder: Path) -> int:
    """Do what the request in a folder asks for."""
    require_torch()
    from ricorda.training.run import resume, train

    request = json.loads((folder / REQUEST).read_text())
    learn = train if request["command"] == "train" else resume
    try:
        run = learn(*request["arguments"], quiet=request["quiet"], **request["options"])
    except ProcessLost as error:
        print(f"ricorda: {error}", file=sys.stderr, flush=True)
        os._exit(1)  # PyTorch's threads for the lost one cannot be ended in good order
    except RicordaError as error:
        if not error.told:
            _tell(folder, {"error": type(error).__name__, "message": str(error)})
        return 0
    if run.rank == 0:
        told = {"folder": str(run.folder), "metrics": run.metrics, "signal": run.signal_number}
        _tell(folder, told)
    return 0


def _tell(folder: Path, outcome: Mapping[str, object]) -> None:
    write_atomically(folder / OUTCOME, json.dumps(outcome).encode())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
