"""Several trainings on one text: compare values of an option, or search for good settings.

A trial is one training in a run's folder of its own. An experiment is the folder that holds them;
the command that began it, repeated, continues it.
"""

from typing import TYPE_CHECKING

from ricorda.lazy import lazy_names

if TYPE_CHECKING:
    from ricorda.experiments.comparison import Compared, Comparison, compare
    from ricorda.experiments.trial_result import TrialResult
    from ricorda.experiments.tuning import Tuning, tune

__all__ = ["Compared", "Comparison", "TrialResult", "Tuning", "compare", "tune"]

__getattr__ = lazy_names(
    __name__,
    {
        "Compared": "ricorda.experiments.comparison",
        "Comparison": "ricorda.experiments.comparison",
        "compare": "ricorda.experiments.comparison",
        "TrialResult": "ricorda.experiments.trial_result",
        "Tuning": "ricorda.experiments.tuning",
        "tune": "ricorda.experiments.tuning",
    },
)
