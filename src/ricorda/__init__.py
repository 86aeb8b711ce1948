"""ricorda learns a text symbol by symbol with a recurrent neural network and continues it.

    import ricorda
    run = ricorda.train("my.txt", minutes=3)
    model = ricorda.load("runs/my")
    print(model.generate("Nel mezzo", length=200, temperature=0.8, seed=1))

The names below are imported when first asked for, so that `import ricorda` is quick and never
imports PyTorch.
"""

from types import ModuleType
from typing import TYPE_CHECKING

from ricorda.lazy import lazy_names

if TYPE_CHECKING:
    from ricorda.engine import Distribution, Figures, Model, Scores, Trace, load
    from ricorda.engine.evaluation import evaluate
    from ricorda.errors import RicordaError
    from ricorda.experiments import compare, tune
    from ricorda.training import Run, resume, train

__version__ = "0.1.0"

__all__ = [
    "Distribution",
    "Figures",
    "Model",
    "RicordaError",
    "Run",
    "Scores",
    "Trace",
    "__version__",
    "compare",
    "evaluate",
    "load",
    "resume",
    "train",
    "tune",
]


__getattr__ = lazy_names(
    __name__,
    {
        "Distribution": "ricorda.engine",
        "Figures": "ricorda.engine",
        "Model": "ricorda.engine",
        "Scores": "ricorda.engine",
        "Trace": "ricorda.engine",
        "evaluate": "ricorda.engine.evaluation",
        "load": "ricorda.engine",
        "RicordaError": "ricorda.errors",
        "compare": "ricorda.experiments",
        "tune": "ricorda.experiments",
        "Run": "ricorda.training",
        "resume": "ricorda.training",
        "train": "ricorda.training",
    },
)


def __dir__() -> list[str]:
    """List what a person may use, imported or not, and the submodules imported so far."""
    imported = (name for name, each in globals().items() if isinstance(each, ModuleType))
    return sorted({*__all__, *imported, "__doc__", "__file__", "__name__", "__path__"})
