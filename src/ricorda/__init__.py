"""ricorda learns a text symbol by symbol with a recurrent neural network and continues it.

    import ricorda
    run = ricorda.train("my.txt", minutes=3)
    model = ricorda.load("runs/my")
    print(model.generate("Nel mezzo", length=200, temperature=0.8, seed=1))

The names below are imported when first asked for, so that `import ricorda` is quick and never
imports PyTorch.
"""

from typing import TYPE_CHECKING

from ricorda.lazy import lazy_names

if TYPE_CHECKING:
    from ricorda.engine import Model, load
    from ricorda.errors import RicordaError
    from ricorda.experiments import compare, tune
    from ricorda.training import Run, resume, train

__version__ = "0.1.0"

__all__ = [
    "Model",
    "RicordaError",
    "Run",
    "__version__",
    "compare",
    "load",
    "resume",
    "train",
    "tune",
]


__getattr__ = lazy_names(
    __name__,
    {
        "Model": "ricorda.engine",
        "load": "ricorda.engine",
        "RicordaError": "ricorda.errors",
        "compare": "ricorda.experiments",
        "tune": "ricorda.experiments",
        "Run": "ricorda.training",
        "resume": "ricorda.training",
        "train": "ricorda.training",
    },
)
