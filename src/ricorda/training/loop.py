"""The training loop: step, report, evaluate, sample and save, until the budget is spent."""

import math
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ricorda.errors import NonFiniteLoss, TrainingError
from ricorda.interrupts import Interruption
from ricorda.model import ModelFile
from ricorda.model.model_file import model_file_bytes
from ricorda.runs import RunFolder
from ricorda.text import Vocabulary
from ricorda.training.checkpoint.manager import CheckpointManager
from ricorda.training.checkpoint.snapshot import Progress
from ricorda.training.configuration import TrainingConfiguration
from ricorda.training.data.loader import DataLoader
from ricorda.training.evaluation import EvaluationResult, QuickEvaluation, evaluate, write_sample
from ricorda.training.learner import Learner
from ricorda.training.plan.budget import BudgetClock, learning_rate
from ricorda.training.process_group import ProcessGroup, StepFlags
from ricorda.training.report.metrics import MetricsLog
from ricorda.training.report.progress import Reporter

StoppedBecause = Literal["minutes", "epochs", "steps", "patience", "interrupted"]

ROWS = 200  # training rows in metrics.jsonl, besides those of evaluations
CHECKPOINT_SECONDS = 60.0  # at least this often, besides at every evaluation
FEW_PASSES = 3  # over the training text; after more, it may also be overfitting
FAR_ABOVE = 1.25  # times the training loss
LEAST_GAP = 0.5  # nats
MOST_RETURNS = 3  # returns to a checkpoint after numbers that are not finite


@dataclass
class Loop:
    """One run in progress: everything that `fit` needs."""

    folder: RunFolder
    vocabulary: Vocabulary
    provenance: dict[str, Any]
    """The model file's entries about its training."""

    evaluation: QuickEvaluation | None
    """None without a validation text."""

    learner: Learner
    clock: BudgetClock
    metrics: MetricsLog
    progress: Progress
    reporter: Reporter
    checkpoint_manager: CheckpointManager
    loader: DataLoader
    saved_step: int
    """The step of the last checkpoint; -1 if there is none of this plan."""

    starts_trained: bool = False
    """Whether the first weights are a model's, which is evaluated before the first step."""

    _interruption: Interruption = field(init=False)
    _signal_number: int | None = None
    _saved_at: float = field(default_factory=time.monotonic)
    _training_loss: float = math.inf
    """Mean nats per character of the last steps."""

    _unsaved_model: bytes | None = None
    """A best model that no checkpoint has yet; empty in processes that do not write."""

    def __post_init__(self) -> None:
        self._interruption = Interruption(ignores_more=self.group.size > 1)

    @property
    def configuration(self) -> TrainingConfiguration:
        """The run's settings."""
        return self.learner.configuration

    @property
    def group(self) -> ProcessGroup:
        """The processes that train together."""
        return self.learner.group

    @cached_property
    def _symbols_per_character(self) -> float:
        """Of what an evaluation predicts."""
        if self.evaluation is None:
            return 1.0
        return self.evaluation.symbols_per_character(self.vocabulary)

    # The stages of a run.

    def fit(self) -> tuple[StoppedBecause, int | None]:
        """Train until the budget is spent, patience ends or a signal arrives.

        Returns why training stopped, and the signal's number if it was a signal. The best model,
        the last checkpoint and all rows are on disk then.
        """
        self.progress.note_plan(self.clock.total_steps)
        self.clock.begin()
        try:
            with self._interruption:
                self._save_first()
                reason = None
                while reason is None:
                    reason = self._reason_to_stop()
                    try:
                        self._advance() if reason is None else self._finish(reason)
                    except NonFiniteLoss as error:
                        self._return_to_checkpoint(error)
                        reason = None
                    self.checkpoint_manager.report_failure()
        finally:
            self.loader.close()
            self.checkpoint_manager.close()
        return reason, self._signal_number

    def _save_first(self) -> None:
        """Save before the first step, so that no row of a step is without a checkpoint.

        A model that the run starts from is evaluated: it may stay the best one.
        """
        if not self.checkpoint_manager.is_empty:
            return
        if self.starts_trained:
            self._evaluate(continues=False)
        else:
            self._save()
        self.checkpoint_manager.wait()
        if not self.starts_trained:
            self._sample_early()

    def _advance(self) -> None:
        """Take a step; evaluate or save if that is due after it."""
        self.clock.follow(self.progress.step)
        self.progress.note_plan(self.clock.total_steps)
        self._step()
        step = self.progress.step
        flags = self.group.flags(lambda: self._flags(step))
        if flags.calibrate or self.clock.evaluates_after(step, self.progress.evaluated_step):
            self._evaluate(continues=True)
            return
        self._sample_early()
        if flags.save:
            self._save()

    def _step(self) -> None:
        """Take one step, show it, and add a row to metrics.jsonl if one is due."""
        began = time.monotonic()
        step = self.progress.step
        rate = self._rate(step)
        batch = self.loader.batch_at(step)
        self.group.set_flags(self._flags(step + 1))
        metrics = self.learner.take_step(batch, rate, step)
        self.metrics.add_step(self.progress, metrics)
        self._training_loss = self.progress.interval.nats / self.progress.interval.steps
        self.clock.stepped(time.monotonic() - began)
        taken, total = step + 1, self.clock.total_steps
        self.reporter.stepped(
            taken,
            total,
            self.clock.share(taken),
            self._training_loss,
            self.metrics.characters_per_second(self.progress),
            self.clock.seconds_left(taken),
        )
        if total is not None and taken * ROWS // total != step * ROWS // total:
            self.metrics.add_training_row(self.progress, rate)

    def _evaluate(self, *, continues: bool) -> None:
        """Evaluate, sample, keep the model if it is the best, plan the remaining steps, save."""
        began = time.monotonic()
        self._check_finite()
        self.checkpoint_manager.finish_large()
        step, is_first_evaluation = self.progress.step, self.progress.evaluated_step == 0
        result = evaluate(self.learner, self.evaluation)
        if self.progress.note_evaluation(result.nats_per_symbol):
            file = model_file_bytes(self._model_file(result)) if self.group.is_first else b""
            self._unsaved_model = file
        sample = self._sample(result)
        figures = result.figures(self._symbols_per_character)
        if is_first_evaluation:
            self._warn_of_another_kind(figures["nats_per_character"])
        self.metrics.add_row(self.progress, event="evaluation", **figures)
        self.reporter.weighed(step, self.learner.weights())
        self.clock.evaluation_seconds = time.monotonic() - began
        if continues:
            self._plan()
        is_first = not self.checkpoint_manager.has_model
        self.metrics.leave_out(self.clock.evaluation_seconds)
        self._save()
        if is_first:
            self.checkpoint_manager.wait()  # a reader of the evaluation may load the model
        else:
            seconds = time.monotonic() - began
            self.metrics.leave_out(seconds - self.clock.evaluation_seconds)
            self.clock.evaluation_seconds = seconds
        self.reporter.evaluated(step, figures["nats_per_character"], sample)

    def _warn_of_another_kind(self, validation: float | None) -> None:
        """Report a validation loss far above the training loss at the first evaluation."""
        training = self._training_loss
        passes = self.progress.step / self.loader.stream.windows_per_epoch
        if validation is None or passes >= FEW_PASSES:
            return
        if validation > FAR_ABOVE * training and validation - training > LEAST_GAP:
            self.reporter.warn(
                f"the validation loss, {validation:.2f} nats, is far above the training loss, "
                f"{training:.2f}, from the beginning: the validation part may be of another kind, "
                "as at the end of a sorted text; hold back blocks spread over the text with "
                "--split blocks, or documents with --split documents"
            )

    def _finish(self, reason: StoppedBecause) -> None:
        """Leave a model, a checkpoint and the last evaluation behind."""
        manager = self.checkpoint_manager
        if reason != "interrupted" and self.progress.interval.steps:  # the time ended between rows
            self.metrics.add_training_row(self.progress, self._rate(self.progress.step - 1))
        if reason != "interrupted" and self.progress.step != self.progress.evaluated_step:
            self._evaluate(continues=False)
        if reason == "interrupted" and not manager.has_model:
            self._unsaved_model = model_file_bytes(self._model_file())
        is_saved = self.saved_step == self.progress.step and self._unsaved_model is None
        if not is_saved or manager.has_failed:
            self._save()
        manager.finish()

    # When to stop, and what to do between steps.

    def _flags(self, step: int) -> StepFlags:
        """Return what clocks and signals ask for after a step."""
        return StepFlags(
            signal_number=self._interruption.signal_number,
            spent=self.clock.spent,
            calibrate=self.clock.must_calibrate(step),
            save=time.monotonic() - self._saved_at > CHECKPOINT_SECONDS,
            folder_is_lost=self.checkpoint_manager.folder_is_lost,
        )

    def _reason_to_stop(self) -> StoppedBecause | None:
        """Return why no further step is taken; None if another step is taken.

        Raises FolderLost if the run's folder was moved, removed or replaced.
        """
        configuration, progress = self.configuration, self.progress
        flags = self.group.flags(lambda: self._flags(progress.step))
        if flags.folder_is_lost:
            self.checkpoint_manager.check_folder()
        if flags.signal_number is not None:
            self._signal_number = flags.signal_number
            return "interrupted"
        is_spent = flags.spent and progress.step > 0  # even a busy machine takes one step
        if is_spent or self.clock.ends_after(progress.step):
            return configuration.budget.kind
        patience = configuration.patience
        if patience is not None and progress.evaluations_without_better >= patience:
            return "patience"
        return None

    def _plan(self) -> None:
        """Choose the number of steps, or change it if the machine's speed has changed."""
        step, before = self.progress.step, self.clock.total_steps
        total = self.group.first_does(lambda: self.clock.plan_after(step))
        self.clock.total_steps = total
        self.progress.note_plan(total)
        if before not in (None, total):
            self.metrics.add_row(self.progress, event="replanned", total_steps=total)

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rate = learning_rate(step, self.clock.total_steps, self.configuration)
        return rate * self.progress.learning_rate_factor

    # The model: evaluated, sampled, kept.

    def _sample(self, result: EvaluationResult | None = None) -> str:
        """Write a sample and keep it in samples.jsonl."""
        sample = self.group.first_does(lambda: write_sample(self._model_file(result)))
        self.checkpoint_manager.samples.append({"step": self.progress.step, "text": sample})
        self.reporter.sampled(self.progress.step, sample)
        return sample

    def _sample_early(self) -> None:
        """Write a sample before the first evaluation, if wanted: at steps 0, 1, 2, 4 ..."""
        step = self.progress.step
        is_due = step & (step - 1) == 0 and not self.progress.evaluated_step
        if not (self.configuration.early_samples and is_due):
            return
        self._sample()
        if self.progress.interval.steps:
            self.metrics.add_training_row(self.progress, self._rate(step - 1))

    def _model_file(self, result: EvaluationResult | None = None) -> ModelFile:
        """Return the model, with the better weights; it may change with the next step."""
        training: dict[str, Any] = {**self.provenance, "step": self.progress.step}
        averaged = result is not None and result.averaged_is_better
        if result is not None and result.has_average:
            training["averaged"] = averaged
        weights = self.learner.weights(averaged=averaged)
        return ModelFile(self.configuration.model, self.vocabulary, weights, training)

    # Checkpoints.

    def _save(self) -> None:
        """Copy everything that a checkpoint holds; a thread writes it during the next steps."""
        self._check_finite()
        progress = self.progress
        progress.seconds = self.clock.seconds
        progress.budget, progress.total_steps = self.configuration.budget, self.clock.total_steps
        self.metrics.keep_seconds(progress)
        self.checkpoint_manager.save(self.learner, progress, self._unsaved_model)
        self._unsaved_model = None
        self._saved_at, self.saved_step = time.monotonic(), progress.step

    def _check_finite(self) -> None:
        """Raise NonFiniteLoss instead of evaluating or saving numbers that are not finite."""
        if not self.learner.is_finite:
            raise NonFiniteLoss("a weight or a state is no longer a finite number")

    def _return_to_checkpoint(self, error: NonFiniteLoss) -> None:
        """Return to the last evaluation's checkpoint; continue with half the learning rate.

        Raises TrainingError, with a diagnosis, after too many returns.
        """
        step, returns = self.progress.step, self.progress.returns + 1
        if returns > MOST_RETURNS:
            self.metrics.add_row(self.progress, event="gave_up", error=str(error))
            gave_up = TrainingError(
                f"step {step + 1:,}: {error}; {MOST_RETURNS} returns to a checkpoint with a lower "
                "learning rate did not help: start a new run with a lower --learning-rate"
            )
            gave_up.reported_elsewhere = not self.group.is_first
            raise gave_up from error
        seconds = self.clock.seconds
        self.progress = self.checkpoint_manager.go_back(self.learner)
        self.progress.returns, self.progress.seconds = returns, seconds
        self.clock.continue_from(self.progress)
        self.metrics.restart()
        self._unsaved_model = None
        factor = self.progress.learning_rate_factor
        self.metrics.add_row(
            self.progress,
            event="returned",
            from_step=step,
            error=str(error),
            learning_rate_factor=factor,
        )
        self.reporter.say(
            f"step {step + 1:,}: {error}: back to step {self.progress.step:,}, "
            f"with {factor:g} of the learning rate"
        )
        self._save()
