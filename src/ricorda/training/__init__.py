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
    from ricorda.training.run import Run
    from ricorda.training.step import Batch, StepMetrics, train_step

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
    "train_step",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Batch": "ricorda.training.step",
        "Run": "ricorda.training.run",
        "StepMetrics": "ricorda.training.step",
        "resume": "ricorda.training.calls",
        "train": "ricorda.training.calls",
        "train_step": "ricorda.training.step",
    },
)
