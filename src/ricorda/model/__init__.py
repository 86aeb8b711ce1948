"""What a network is: its configuration, its cells, the language model, the model file.

The configuration and the model file know nothing of PyTorch; `RecurrentLanguageModel` and the
cells need it and are imported when first asked for.
"""

from typing import TYPE_CHECKING

from ricorda.lazy import lazy_names
from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile, read_model_file, write_model_file

if TYPE_CHECKING:
    from ricorda.torch.language_model import RecurrentLanguageModel

__all__ = [
    "ModelConfiguration",
    "ModelFile",
    "RecurrentLanguageModel",
    "read_model_file",
    "write_model_file",
]

__getattr__ = lazy_names(__name__, {"RecurrentLanguageModel": "ricorda.torch.language_model"})
