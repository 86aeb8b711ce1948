"""The loop: step, report, evaluate, sample, save, until the budget is spent."""

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from ricorda.engine import Model, make_backend
from ricorda.models import ModelFile, write_model_file
from ricorda.runs import RunFolder, append_row
from ricorda.text import Vocabulary, WindowStream
from ricorda.training.checkpoint import Learner, Progress, save_checkpoint
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.evaluation import Judgement, QuickEvaluation
from ricorda.training.interruption import Interruption
from ricorda.training.learner import take_step, to_batch
from ricorda.training.pace import Pace
from ricorda.training.progress import Reporter
from ricorda.training.schedule import learning_rate

StoppedBecause = Literal["minutes", "epochs", "steps", "patience", "interrupted"]

ROWS = 200  # training rows in metrics.jsonl, besides those of evaluations
CHECKPOINT_SECONDS = 60.0  # at least this often, besides at every evaluation
SAMPLE_LENGTH = 200  # symbols
SAMPLE_SEED = 1  # always the same, so that one sees the same text improve


def write_sample(file: ModelFile) -> str:
    """What a model writes from its start symbol; the seed never changes."""
    backend = make_backend(file.configuration, file.tensors)
    model = Model(file.configuration, file.vocabulary, backend, file.training)
    return model.generate(length=SAMPLE_LENGTH, seed=SAMPLE_SEED)


@dataclass
class _Interval:
    """What is averaged between two rows of metrics.jsonl."""

    nats: float = 0.0
    gradient_norm: float = 0.0
    steps: int = 0
    began: float = field(default_factory=time.monotonic)


@dataclass
class Loop:
    """One run in progress: everything that `fit` needs, made by `ricorda.training.run`."""

    folder: RunFolder
    configuration: TrainingConfiguration
    vocabulary: Vocabulary
    provenance: dict[str, Any]
    symbols_per_character: float
    """1 but for bytes; turns nats per symbol into nats per character."""

    stream: WindowStream
    evaluation: QuickEvaluation | None
    learner: Learner
    pace: Pace
    progress: Progress
    reporter: Reporter
    _interval: _Interval = field(default_factory=_Interval)
    _saved_at: float = field(default_factory=time.monotonic)

    def fit(self) -> tuple[StoppedBecause, int | None]:
        """Learn until the budget is spent, patience ends or a signal comes.

        Hands back why it ended, and the signal's number if it was one. The best model, the last
        checkpoint and every row are on disk then.
        """
        self.learner.model.train()
        self.pace.begin()
        with Interruption() as interruption:
            while (reason := self._reason_to_stop(interruption)) is None:
                self._step()
                if self.pace.must_calibrate(self.progress.step):
                    self._evaluate()
                    self.progress.total_steps = self.pace.calibrate(self.progress.step)
                elif self.pace.evaluates_after(self.progress.step):
                    self._evaluate()
                    self._replan()
                elif time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
                    self._save()
            self._finish(reason)
        return reason, interruption.signal_number

    def _reason_to_stop(self, interruption: Interruption) -> StoppedBecause | None:
        """Why no further step is taken; None where one is."""
        configuration, progress = self.configuration, self.progress
        if interruption.signal_number is not None:
            return "interrupted"
        if self.pace.spent or progress.step == self.pace.total_steps:
            return configuration.budget.kind
        patience = configuration.patience
        if patience is not None and progress.evaluations_without_better >= patience:
            return "patience"
        return None

    def _step(self) -> None:
        """Take one step and tell of it."""
        began = time.monotonic()
        progress, learner = self.progress, self.learner
        rate = learning_rate(progress.step, self.pace.total_steps, self.configuration)
        batch = to_batch(self.stream.window_at(progress.step), self.configuration.device)
        metrics = take_step(learner, batch, rate, self.configuration)
        progress.step += 1
        self._interval.nats += metrics.nats_per_symbol * self.symbols_per_character
        self._interval.gradient_norm += metrics.gradient_norm
        self._interval.steps += 1
        self.pace.stepped(time.monotonic() - began)
        self._report(rate)

    def _report(self, rate: float) -> None:
        """Move the bar; now and then add a row to metrics.jsonl."""
        step, total = self.progress.step, self.pace.total_steps
        interval = self._interval
        speed = self._symbols_per_step * interval.steps / (time.monotonic() - interval.began)
        speed /= self.symbols_per_character
        nats = interval.nats / interval.steps
        self.reporter.stepped(
            step, total, self.pace.share(step), nats, speed, self.pace.seconds_left(step)
        )
        if total is None or step * ROWS // total == (step - 1) * ROWS // total:
            return
        self._row(
            event="training",
            nats_per_character=nats,
            learning_rate=rate,
            gradient_norm=interval.gradient_norm / interval.steps,
            characters_per_second=round(speed, 1),
        )
        self._interval = _Interval()

    def _evaluate(self) -> None:
        """Judge the model, let it write, keep it if it is the best, save."""
        began = time.monotonic()
        judgement = self._judge()
        self.progress.evaluated_step = self.progress.step
        with self._weights(judgement):
            self._keep_if_best(judgement)
            sample = write_sample(self._model_file(judgement))
        append_row(self.folder.samples, {"step": self.progress.step, "text": sample})
        figures = judgement.figures(self.symbols_per_character)
        per_character = figures["nats_per_character"]
        self._row(event="evaluation", **figures)
        self._save()
        self.pace.evaluation_seconds = time.monotonic() - began
        self._interval.began += self.pace.evaluation_seconds
        self.reporter.evaluated(self.progress.step, per_character, sample)

    def _judge(self) -> Judgement:
        """Judge the weights, and the averaged ones beside them."""
        raw = self._nats_per_symbol()
        if self.learner.average is None:
            return Judgement(raw)
        with self.learner.average.swapped_in(self.learner.model):
            return Judgement(raw, self._nats_per_symbol(), has_average=True)

    def _nats_per_symbol(self) -> float | None:
        """The figure of the model as it is; None without a text to judge by."""
        if self.evaluation is None:
            return None
        return self.evaluation.nats_per_symbol(self.learner.model, self.configuration)

    def _weights(self, judgement: Judgement) -> contextlib.AbstractContextManager[None]:
        """In this context the model has the weights that were judged to be the better ones."""
        average = self.learner.average
        if average is None or not judgement.averaged_is_better:
            return contextlib.nullcontext()
        return average.swapped_in(self.learner.model)

    def _keep_if_best(self, judgement: Judgement) -> None:
        """Write the model file if nothing better was written; without validation, always."""
        progress, nats = self.progress, judgement.nats_per_symbol
        best = progress.best_nats_per_symbol
        if nats is not None and best is not None and nats >= best:
            progress.evaluations_without_better += 1
            return
        progress.best_step, progress.best_nats_per_symbol = progress.step, nats
        progress.evaluations_without_better = 0
        write_model_file(self.folder.model, self._model_file(judgement))

    def _model_file(self, judgement: Judgement | None = None) -> ModelFile:
        """The model as it is now."""
        told: dict[str, Any] = {**self.provenance, "step": self.progress.step}
        if judgement is not None and judgement.has_average:
            told["averaged"] = judgement.averaged_is_better
        return ModelFile(
            self.configuration.model,
            self.vocabulary,
            self.learner.model.tensors(),
            told,
        )

    def _replan(self) -> None:
        """Take fewer or more steps if the machine's speed has changed."""
        if (total := self.pace.replan(self.progress.step)) is not None:
            self.progress.total_steps = total
            self._row(event="replanned", total_steps=total)

    def _save(self) -> None:
        """Write a checkpoint."""
        self.progress.seconds = self.pace.seconds
        save_checkpoint(self.folder.checkpoints, self.learner, self.progress)
        self._saved_at = time.monotonic()

    def _finish(self, reason: StoppedBecause) -> None:
        """Leave a model, a checkpoint and the last evaluation behind, whatever ended the loop."""
        if reason == "interrupted":
            if not self.folder.model.exists():
                write_model_file(self.folder.model, self._model_file())
            self._save()
        elif self.progress.step != self.progress.evaluated_step:
            self._evaluate()

    @property
    def _symbols_per_step(self) -> int:
        return self.stream.batch_size * self.stream.window

    @property
    def characters_seen(self) -> int:
        """Characters that all steps so far have read."""
        return round(self.progress.step * self._symbols_per_step / self.symbols_per_character)

    def _row(self, **figures: Any) -> None:
        """Add a row to metrics.jsonl."""
        row = {
            "step": self.progress.step,
            "seconds": round(self.pace.seconds, 3),
            "characters_seen": self.characters_seen,
            **figures,
        }
        append_row(self.folder.metrics, row)
