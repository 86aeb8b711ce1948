"""Everything that imports PyTorch: the network as a module, its training, torch.distributed.

`RecurrentLanguageModel` can be used by itself, in a research program of its own:

    from ricorda.torch import RecurrentLanguageModel

Raises MissingExtra, with one line that says what to install, where PyTorch is missing.
"""

from typing import TYPE_CHECKING

from ricorda.extras import require_torch
from ricorda.lazy import lazy_names

if TYPE_CHECKING:
    from ricorda.torch.language_model import RecurrentLanguageModel

__all__ = ["RecurrentLanguageModel"]

require_torch("this needs")

__getattr__ = lazy_names(__name__, {"RecurrentLanguageModel": "ricorda.torch.language_model"})
