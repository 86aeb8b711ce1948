"""The loop: step, report, evaluate, sample, save, until the budget is spent."""

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from ricorda.engine import Model, make_backend
from ricorda.errors import NonFiniteLoss, TrainingError
from ricorda.model import ModelFile
from ricorda.model.model_file import model_file_bytes
from ricorda.runs import RunFolder
from ricorda.text import Vocabulary
from ricorda.training.checkpoint.manager import CheckpointManager
from ricorda.training.checkpoint.resumption import planned_steps
from ricorda.training.checkpoint.snapshot import Interval, Progress
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.loader import DataLoader
from ricorda.training.evaluation import EvaluationResult, QuickEvaluation
from ricorda.training.interruption import Interruption
from ricorda.training.learner import take_step
from ricorda.training.learner_state import Learner
from ricorda.training.plan.pace import Pace
from ricorda.training.plan.schedule import learning_rate
from ricorda.training.process_group import ALONE, ProcessGroup, Word
from ricorda.training.report.progress import Reporter
from ricorda.training.shared_safekeeping import SharedCheckpointManager

StoppedBecause = Literal["minutes", "epochs", "steps", "patience", "interrupted"]

ROWS = 200  # training rows in metrics.jsonl, besides those of evaluations
CHECKPOINT_SECONDS = 60.0  # at least this often, besides at every evaluation
SAMPLE_LENGTH = 200  # symbols
SAMPLE_SEED = 1  # always the same, so that one sees the same text improve
MOST_RETURNS = 3  # times that a run goes back to a checkpoint because its numbers went wrong


def write_sample(file: ModelFile) -> str:
    """What a model writes from its start symbol; the seed never changes."""
    backend = make_backend(file.configuration, file.tensors)
    model = Model(file.configuration, file.vocabulary, backend, file.training)
    return model.generate(length=SAMPLE_LENGTH, seed=SAMPLE_SEED)


@dataclass
class Loop:
    """One run in progress: everything that `fit` needs, made by `ricorda.training.run`."""

    folder: RunFolder
    configuration: TrainingConfiguration
    vocabulary: Vocabulary
    provenance: dict[str, Any]
    symbols_per_character: float
    """1 but for bytes; turns nats per symbol into nats per character."""

    evaluation: QuickEvaluation | None
    learner: Learner
    pace: Pace
    progress: Progress
    reporter: Reporter
    checkpoint_manager: CheckpointManager | SharedCheckpointManager
    loader: DataLoader
    ranks: ProcessGroup = ALONE
    """The processes that learn together."""

    _interruption: Interruption = field(default_factory=Interruption)
    _signal_number: int | None = None
    _interval_began: float = field(default_factory=time.monotonic)
    _saved_at: float = field(default_factory=time.monotonic)
    saved_step: int = -1
    """After which step a checkpoint was last asked for."""

    _better_model: bytes | None = None
    """A best model that no save was told of yet."""

    def fit(self) -> tuple[StoppedBecause, int | None]:
        """Learn until the budget is spent, patience ends or a signal comes.

        Hands back why it ended, and the signal's number if it was one. The best model, the last
        checkpoint and every row are on disk then.
        """
        self.learner.model.train()
        self._note_plan()
        self.pace.begin()
        try:
            with self._interruption:
                if self.checkpoint_manager.is_empty:
                    self._save()
                    self.checkpoint_manager.wait()  # from here on no row is without a checkpoint
                    self._write_early()
                reason = None
                while reason is None:
                    reason = self._reason_to_stop()
                    try:
                        self._advance() if reason is None else self._finish(reason)
                    except NonFiniteLoss as error:
                        self._go_back(error)
                        reason = None
                    self.checkpoint_manager.tell()
        finally:
            self.loader.close()
            self.checkpoint_manager.close()
        return reason, self._signal_number

    def _advance(self) -> None:
        """Take a step, and evaluate or save where one of these is due."""
        self.pace.follow(self.progress.step)
        self._note_plan()
        self._step()
        step = self.progress.step
        evaluated = self.progress.evaluated_step
        word = self.ranks.heard(lambda: self._word(step))
        if word.calibrate or self.pace.evaluates_after(step, evaluated):
            self._evaluate(goes_on=True)
            return
        self._write_early()
        if word.save:
            self._save()

    def _word(self, step: int) -> Word:
        """What clocks and signals ask for after a step."""
        return Word(
            signal_number=self._interruption.signal_number,
            spent=self.pace.spent,
            calibrate=self.pace.must_calibrate(step),
            save=time.monotonic() - self._saved_at > CHECKPOINT_SECONDS,
            folder_is_lost=self.checkpoint_manager.folder_is_lost,
        )

    def _reason_to_stop(self) -> StoppedBecause | None:
        """Why no further step is taken; None if another step is taken.

        Raises FolderLost if the run's folder was moved, removed or replaced.
        """
        configuration, progress = self.configuration, self.progress
        word = self.ranks.heard(lambda: self._word(progress.step))
        if word.folder_is_lost:
            self.checkpoint_manager.check_folder()
        if word.signal_number is not None:
            self._signal_number = word.signal_number
            return "interrupted"
        if word.spent or self.pace.ends_after(progress.step):
            return configuration.budget.kind
        patience = configuration.patience
        if patience is not None and progress.evaluations_without_better >= patience:
            return "patience"
        return None

    def _step(self) -> None:
        """Take one step and tell of it."""
        began = time.monotonic()
        progress, learner = self.progress, self.learner
        rate = self._rate(progress.step)
        batch = self.loader.batch_at(progress.step)
        self.ranks.say(self._word(progress.step + 1))
        metrics = take_step(learner, batch, rate, self.configuration)
        progress.step += 1
        interval = progress.interval
        interval.nats += metrics.nats_per_symbol * self.symbols_per_character
        interval.gradient_norm += metrics.gradient_norm
        interval.steps += 1
        self.pace.stepped(time.monotonic() - began)
        self._report(rate)

    def _report(self, rate: float) -> None:
        """Move the bar; now and then add a row to metrics.jsonl."""
        step, total = self.progress.step, self.pace.total_steps
        interval = self.progress.interval
        nats = interval.nats / interval.steps
        self.reporter.stepped(
            step, total, self.pace.share(step), nats, self._speed, self.pace.seconds_left(step)
        )
        if total is None or step * ROWS // total == (step - 1) * ROWS // total:
            return
        self._add_training_row(rate)

    def _add_training_row(self, rate: float) -> None:
        """Add the means since the last such row to metrics.jsonl."""
        interval = self.progress.interval
        self._row(
            event="training",
            nats_per_character=interval.nats / interval.steps,
            learning_rate=rate,
            gradient_norm=interval.gradient_norm / interval.steps,
            characters_per_second=round(self._speed, 1),
        )
        self.progress.interval = Interval()
        self._interval_began = time.monotonic()

    def _evaluate(self, *, goes_on: bool) -> None:
        """Judge the model, let it write, keep it if it is the best, plan the rest, save."""
        began = time.monotonic()
        self._check_finite()
        self.checkpoint_manager.finish_large()
        result = self._judge()
        self.progress.evaluated_step = self.progress.step
        self.progress.evaluated.append(self.progress.step)
        with self._weights(result):
            self._keep_if_best(result)
            sample = self.ranks.first_does(lambda: write_sample(self._model_file(result)))
        self.checkpoint_manager.samples.append({"step": self.progress.step, "text": sample})
        figures = result.figures(self.symbols_per_character)
        per_character = figures["nats_per_character"]
        self._row(event="evaluation", **figures)
        self.pace.evaluation_seconds = time.monotonic() - began
        self._interval_began += self.pace.evaluation_seconds
        if goes_on:
            self._plan()
        is_first = not self.checkpoint_manager.has_model
        self._save()
        if is_first:
            self.checkpoint_manager.wait()  # whoever reads of it may use it
        else:
            self._interval_began += time.monotonic() - began - self.pace.evaluation_seconds
            self.pace.evaluation_seconds = time.monotonic() - began
        self.reporter.evaluated(self.progress.step, per_character, sample)

    def _write_early(self) -> None:
        """Let a model that was never judged write, where that is wanted: at steps 0, 1, 2, 4 ..."""
        step, interval = self.progress.step, self.progress.interval
        is_due = step & (step - 1) == 0 and not self.progress.evaluated_step
        if not (self.configuration.early_samples and is_due):
            return
        sample = self.ranks.first_does(lambda: write_sample(self._model_file()))
        self.checkpoint_manager.samples.append({"step": step, "text": sample})
        if interval.steps:
            self._add_training_row(self._rate(step - 1))

    def _judge(self) -> EvaluationResult:
        """Judge the weights, and the averaged ones beside them."""
        raw = self._nats_per_symbol()
        if self.learner.average is None:
            return EvaluationResult(raw)
        with self.learner.average.swapped_in(self.learner.model):
            return EvaluationResult(raw, self._nats_per_symbol(), has_average=True)

    def _nats_per_symbol(self) -> float | None:
        """The figure of the model as it is; None without a text to judge by."""
        if self.evaluation is None:
            return None
        return self.evaluation.nats_per_symbol(self.learner.model, self.configuration)

    def _weights(self, result: EvaluationResult) -> contextlib.AbstractContextManager[None]:
        """In this context the model has the weights that were judged to be the better ones."""
        average = self.learner.average
        if average is None or not result.averaged_is_better:
            return contextlib.nullcontext()
        return average.swapped_in(self.learner.model)

    def _keep_if_best(self, result: EvaluationResult) -> None:
        """Have the model written if nothing better was; without validation, always."""
        progress, nats = self.progress, result.nats_per_symbol
        best = progress.best_nats_per_symbol
        if nats is not None and best is not None and nats >= best:
            progress.evaluations_without_better += 1
            return
        progress.best_step, progress.best_nats_per_symbol = progress.step, nats
        progress.evaluations_without_better = 0
        self._better_model = b""
        if self.ranks.is_first:
            self._better_model = model_file_bytes(self._model_file(result))

    def _model_file(self, result: EvaluationResult | None = None) -> ModelFile:
        """The model as it is until the next step."""
        told: dict[str, Any] = {**self.provenance, "step": self.progress.step}
        if result is not None and result.has_average:
            told["averaged"] = result.averaged_is_better
        return ModelFile(
            self.configuration.model,
            self.vocabulary,
            self.learner.model.tensors(copy=False),
            told,
        )

    def _plan(self) -> None:
        """Settle how many steps to take, or change it if the machine's speed has changed."""
        step = self.progress.step
        before = self.pace.total_steps

        def plan() -> int | None:
            if self.pace.must_calibrate(step):
                return self.pace.calibrate(step)
            self.pace.replan(step)
            self.pace.follow(step)
            return self.pace.total_steps

        self.pace.total_steps = self.ranks.first_does(plan)
        self._note_plan()
        if before not in (None, self.pace.total_steps):
            self._row(event="replanned", total_steps=self.pace.total_steps)

    def _note_plan(self) -> None:
        """Record how many steps are planned, if that has changed."""
        plans = self.progress.plans
        if self.pace.total_steps != (plans[-1][1] if plans else None):
            plans.append((self.progress.step, self.pace.total_steps))

    def _save(self) -> None:
        """Copy what a checkpoint holds; it is written while the next steps are taken."""
        self._check_finite()
        progress, now = self.progress, time.monotonic()
        progress.seconds = self.pace.seconds
        progress.budget, progress.total_steps = self.configuration.budget, self.pace.total_steps
        progress.interval.seconds += now - self._interval_began
        self._interval_began = now
        self.checkpoint_manager.save(self.learner, progress, self._better_model)
        self._better_model = None
        self._saved_at, self.saved_step = time.monotonic(), progress.step

    def _check_finite(self) -> None:
        """Raise NonFiniteLoss rather than judge or save what is no longer a number."""
        if not self.learner.is_finite:
            raise NonFiniteLoss("a weight or a state is no longer a finite number")

    def _go_back(self, error: NonFiniteLoss) -> None:
        """Return to the last evaluation's checkpoint, and go on with half the learning rate.

        Raises TrainingError, with a diagnosis, after too many returns.
        """
        step, returns = self.progress.step, self.progress.returns + 1
        if returns > MOST_RETURNS:
            self._row(event="gave_up", error=str(error))
            gave_up = TrainingError(
                f"step {step + 1:,}: {error}; {MOST_RETURNS} returns to a checkpoint with a lower "
                "learning rate did not help: begin anew with a lower --learning-rate"
            )
            gave_up.told = not self.ranks.is_first  # who says the same
            raise gave_up from error
        seconds = self.pace.seconds
        self.progress = self.checkpoint_manager.go_back(self.learner)
        self.progress.returns, self.progress.seconds = returns, seconds
        self.pace.total_steps = planned_steps(self.progress, self.configuration)
        self._interval_began = time.monotonic()
        self._better_model = None
        factor = self.progress.learning_rate_factor
        self._row(event="returned", from_step=step, error=str(error), learning_rate_factor=factor)
        self.reporter.say(
            f"step {step + 1:,}: {error}: back to step {self.progress.step:,}, "
            f"with {factor:g} of the learning rate"
        )
        self._save()

    def _finish(self, reason: StoppedBecause) -> None:
        """Leave a model, a checkpoint and the last evaluation behind, whatever ended the loop."""
        if reason != "interrupted" and self.progress.step != self.progress.evaluated_step:
            self._evaluate(goes_on=False)
        if reason == "interrupted" and not self.checkpoint_manager.has_model:
            self._better_model = model_file_bytes(self._model_file())
        unsaved = self.saved_step != self.progress.step or self._better_model is not None
        if unsaved or self.checkpoint_manager.has_failed:
            self._save()
        self.checkpoint_manager.finish()

    def _rate(self, step: int) -> float:
        """The learning rate of the step that follows so many."""
        rate = learning_rate(step, self.pace.total_steps, self.configuration)
        return rate * self.progress.learning_rate_factor

    @property
    def _speed(self) -> float:
        """Characters a second since the last training row."""
        interval = self.progress.interval
        seconds = interval.seconds + time.monotonic() - self._interval_began
        return self._symbols_per_step * interval.steps / seconds / self.symbols_per_character

    @property
    def _symbols_per_step(self) -> int:
        return self.loader.stream.batch_size * self.loader.stream.window

    @property
    def characters_seen(self) -> int:
        """Characters that all steps so far have read."""
        return round(self.progress.step * self._symbols_per_step / self.symbols_per_character)

    def _row(self, **figures: Any) -> None:
        """Add a row to metrics.jsonl."""
        self.checkpoint_manager.metrics.append(self._figures(**figures))

    def _figures(self, **figures: Any) -> dict[str, Any]:
        """A row of metrics.jsonl."""
        return {
            "step": self.progress.step,
            "seconds": round(self.pace.seconds, 3),
            "characters_seen": self.characters_seen,
            **figures,
        }
