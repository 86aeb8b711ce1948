"""One training of an experiment, in a run's folder of its own.

It is begun, continued from its last checkpoint, or found finished, so that an experiment that was
killed is repeated by the same command and loses no more than the steps since the last checkpoint.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ricorda.arguments import text_names
from ricorda.errors import FolderLost, ProcessLost, TextError, TrainingError
from ricorda.runs import RunFolder, summary
from ricorda.text.sources import STANDARD_INPUT
from ricorda.training.fit import Run
from ricorda.training.options import RESUME_OPTIONS, TrainingOptions
from ricorda.training.report.progress import ReadingProgress, Reporter, Silent
from ricorda.training.run import Text as OneText
from ricorda.training.run import new_run, resumed_run

Text = OneText | Iterable[OneText]

BUDGETS = ("minutes", "epochs", "steps")

NOT_OF_A_TRIAL = {
    *("out", "schedule", "processes", "max_restarts", "collective_timeout", *BUDGETS),
}
"""The options of a training that an experiment sets itself, or that its trials do not have."""

TRIAL_OPTIONS = [each.name for each in fields(TrainingOptions) if each.name not in NOT_OF_A_TRIAL]
"""The options of a training that an experiment passes on to each of its trials."""

CONTINUED_WITH = ("cache", "threads", "backend", "device")
"""The options that also a continued trial takes."""


@dataclass(frozen=True)
class Trial:
    """One training: its texts, its options and its folder."""

    folder: Path
    texts: tuple[str, ...]
    options: Mapping[str, Any]
    """Those of `ricorda.train`, budget and seed included."""

    @property
    def run(self) -> RunFolder:
        """The files of its run."""
        return RunFolder(self.folder)

    def figures(self) -> dict[str, Any] | None:
        """Return what `ricorda train --json` prints at the end; None before the end."""
        if not self.run.is_run:
            return None
        found = summary(self.run)
        return found if found["state"] == "ended" else None

    def train(self, reporter: Reporter) -> Run:
        """Train to the end of the budget, unless a signal interrupts it.

        An exception that the reporter raises ends the training; what it has saved stays. Raises
        InputError, TrainingError as `ricorda.train`.
        """
        if (figures := self.figures()) is not None:
            return Run(self.folder, figures)
        if self.run.is_run:
            assert set(CONTINUED_WITH) <= set(RESUME_OPTIONS)
            again = {name: self.options[name] for name in CONTINUED_WITH if name in self.options}
            return resumed_run(self.folder, reporter=reporter, **again)
        return new_run(*self.texts, reporter=reporter, out=self.folder, **self.options)


def is_a_failed_training(error: TrainingError) -> bool:
    """Whether only this training failed, so that the others of the experiment can be trained."""
    return not isinstance(error, FolderLost | ProcessLost)


def named(texts: Iterable[Text]) -> list[str]:
    """Return the names in texts and lists of texts. Raises ConfigurationError for others."""
    return [name for each in texts for name in text_names("texts", each)]


def check_texts(texts: tuple[str, ...]) -> None:
    """Raise TextError for no text, and for texts that cannot be read again for each trial."""
    if not texts:
        raise TextError("expected a text to learn: a file, a folder or a pattern, got none")
    for text in texts:
        if text == STANDARD_INPUT or Path(text).is_fifo():
            raise TextError(
                f"{text}: expected a text that each trial can read again, got a pipe: save it to a "
                "file first"
            )


class TrialReporter(Silent):
    """Shows the progress of a trial by another reporter, without the messages of each training.

    on_evaluated receives the share of the budget that is used, from 0 to 1, and the validation
    loss. A warning is shown once in an experiment.
    """

    def __init__(
        self,
        shown: Reporter,
        warned: set[str],
        on_evaluated: Callable[[float, float], None] = lambda share, nats: None,
        on_stepped: Callable[[], None] = lambda: None,
    ) -> None:
        self._shown, self._warned = shown, warned
        self._on_evaluated, self._on_stepped = on_evaluated, on_stepped
        self._share = 0.0

    def say(self, message: str) -> None:
        """Drop the message."""

    def warn(self, message: str) -> None:
        """Pass on a warning that is new."""
        if message not in self._warned:
            self._warned.add(message)
            self._shown.warn(message)

    def reading(self) -> AbstractContextManager[ReadingProgress]:
        """Show the reading of a text."""
        return self._shown.reading()

    def stepped(
        self,
        step: int,
        total_steps: int | None,
        share: float,
        nats_per_character: float,
        characters_a_second: float,
        seconds_left: float | None,
    ) -> None:
        """Show the step."""
        self._share = share
        self._on_stepped()
        self._shown.stepped(
            step, total_steps, share, nats_per_character, characters_a_second, seconds_left
        )

    def evaluated(self, step: int, nats_per_character: float | None, sample: str) -> None:
        """Pass on the loss, without the sample."""
        if nats_per_character is not None:
            self._on_evaluated(self._share, nats_per_character)

    def close(self) -> None:
        """Show nothing more of this trial."""
        self._shown.close()

    def concluding(self) -> AbstractContextManager[object]:
        """Show that the trial's model is evaluated."""
        return self._shown.concluding()
