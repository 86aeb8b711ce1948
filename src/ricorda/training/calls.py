"""`ricorda.train` and `ricorda.resume`: after an interrupted run, the signal is raised again.

To a program, an interrupted call must not look like one that finished. The command line takes
`ricorda.training.run` instead and turns the signal into an exit code.
"""

import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from ricorda.training import run as runs
from ricorda.training.fit import Run

Parameters = ParamSpec("Parameters")


def _raising_signals(function: Callable[Parameters, Run]) -> Callable[Parameters, Run]:
    """Raise the signal that ended a run, for the handler that it was meant for.

    KeyboardInterrupt, which Python's own handler of SIGINT raises, gets a note on how to resume.
    """

    @wraps(function)
    def call(*arguments: Parameters.args, **options: Parameters.kwargs) -> Run:
        run = function(*arguments, **options)
        try:
            if run.signal_number is not None:
                signal.raise_signal(run.signal_number)
        except KeyboardInterrupt as error:
            folder = os.fspath(run.folder)
            error.add_note(f"the run is saved in {folder}: go on with ricorda.resume({folder!r})")
            raise
        return run

    return call


train = _raising_signals(runs.train)
resume = _raising_signals(runs.resume)
