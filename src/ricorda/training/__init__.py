"""Train a model on a text: one step, the loop, a run with its folder.

plan/ chooses the settings and keeps the budget, data/ makes the batches, checkpoint/ saves, report/
shows the progress.
"""

from typing import TYPE_CHECKING

from ricorda.lazy import lazy_names
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.options import TrainingOptions

if TYPE_CHECKING:
    from ricorda.training.fit import Run
    from ricorda.training.learner import Batch, StepMetrics
    from ricorda.training.plan.planner import choose
    from ricorda.training.report.progress import Reporter, Silent
    from ricorda.training.run import resume, train

__all__ = [
    "Batch",
    "Budget",
    "Reporter",
    "Run",
    "Silent",
    "StepMetrics",
    "TrainingConfiguration",
    "TrainingOptions",
    "choose",
    "resume",
    "train",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Batch": "ricorda.training.learner",
        "Reporter": "ricorda.training.report.progress",
        "Run": "ricorda.training.fit",
        "Silent": "ricorda.training.report.progress",
        "StepMetrics": "ricorda.training.learner",
        "choose": "ricorda.training.plan.planner",
        "resume": "ricorda.training.run",
        "train": "ricorda.training.run",
    },
)
