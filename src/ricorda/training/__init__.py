"""Learning a text: one step, the loop, budgets, evaluation, checkpoints. Needs PyTorch.

What says how to learn, `TrainingOptions` and `TrainingConfiguration`, does not.
"""

from typing import TYPE_CHECKING

from ricorda.lazy import lazy_names
from ricorda.training.configuration import Budget, TrainingConfiguration
from ricorda.training.options import TrainingOptions
from ricorda.training.plan.planner import choose

if TYPE_CHECKING:
    from ricorda.training.calls import resume, train
    from ricorda.training.learner import Batch, StepMetrics
    from ricorda.training.run import Run

__all__ = [
    "Batch",
    "Budget",
    "Run",
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
        "Run": "ricorda.training.run",
        "StepMetrics": "ricorda.training.learner",
        "resume": "ricorda.training.calls",
        "train": "ricorda.training.calls",
    },
)
