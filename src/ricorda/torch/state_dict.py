"""State dicts that torch.save wrote, through PyTorch's weights-only loader."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ricorda.errors import ModelFileError
from ricorda.validation import shown

STATE_DICTS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
"""Where a checkpoint keeps the state dict, when it is not all of it."""


def load_state_dict(path: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """Return the tensors of floating-point numbers by name, and a checkpoint's other entries.

    Raises ModelFileError, in one line, for a file that is damaged or holds no state dict.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged pickle leads to
        raise ModelFileError(
            f"{path} is not a file of PyTorch, or it is truncated or damaged "
            f"({type(error).__name__})"
        ) from error
    state, others = _state_dict(path, found)
    tensors = {
        str(name): _converted(path, str(name), tensor)
        for name, tensor in state.items()
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
    }
    return tensors, others


def _state_dict(path: Path, found: Any) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    """Find the dict of tensors, which a checkpoint may hold under a name, and the rest."""

    def has_tensors(value: Any) -> bool:
        return isinstance(value, Mapping) and any(
            isinstance(each, torch.Tensor) for each in value.values()
        )

    if has_tensors(found):
        return found, {}
    if isinstance(found, Mapping):
        names = [name for name in STATE_DICTS if has_tensors(found.get(name))]
        if len(names) == 1:
            others = {str(name): each for name, each in found.items() if name != names[0]}
            return found[names[0]], others
        if names:
            raise ModelFileError(f"{path} holds several state dicts: {', '.join(names)}")
    raise ModelFileError(
        f"expected a state dict in {path}, or one under {', '.join(STATE_DICTS[:3])}, "
        f"found {_found(found)}"
    )


def _found(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(shown(str(name)) for name in list(value)[:8]) or "nothing"
    return f"a {type(value).__name__}"


def _converted(path: Path, name: str, tensor: Any) -> NDArray[np.float32]:
    """Turn a tensor into float32. Raises ModelFileError for one larger than its storage."""
    is_whole = (
        type(tensor) in {torch.Tensor, torch.nn.Parameter}
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    )
    if not is_whole:
        raise ModelFileError(f"{path}: the tensor {shown(name)} is sparse, virtual or damaged")
    array: NDArray[np.float32] = tensor.detach().to(torch.float32).numpy()
    return array
