"""What a step changes, and how each of its tensors is called in a checkpoint."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ricorda.torch.cells.base import State
from ricorda.torch.language_model import RecurrentLanguageModel
from ricorda.training.average import WeightAverage
from ricorda.training.fused import FusedStep, Moments
from ricorda.training.process_group import ALONE, ProcessGroup, Share

if TYPE_CHECKING:
    from torch.nn.parallel import DistributedDataParallel

    from ricorda.training.step import WindowLoss

DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "BOOL": torch.bool},
}
"""The types of safetensors files that checkpoints use."""


class UnfitTensors(ValueError):
    """Tensors that are not those of this learner."""


@dataclass
class Learner:
    """What a step changes: the network, its optimizer, the streams' state, the average.

    Checkpoints save every field by its kind: a module's tensors and its `generator`, an
    optimizer's moments, a generator, tensors by name, an average, the state. A field that is None
    is left out, and what has nothing of its own: the kernels' step, the loss, the other processes.
    Of a state that several processes share, a checkpoint has the whole.
    """

    model: RecurrentLanguageModel
    optimizer: torch.optim.AdamW | Moments
    state: list[State]
    average: WeightAverage | None = None
    fused: FusedStep | None = None
    """The kernels' step, once one was taken."""

    ranks: ProcessGroup = ALONE
    """The processes that learn together."""

    share: Share | None = None
    """Which streams the state is of; None: all."""

    loss: "WindowLoss | DistributedDataParallel | None" = None
    """The model with its loss, where PyTorch takes the steps."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.model.parameters()).device

    def tensors(self) -> dict[str, Tensor]:
        """Make a copy, beside the processor, of every tensor under a name.

        Where several processes learn together, all must call it; the state is that of all.
        """
        return {
            name: tensor.detach().to("cpu", copy=True).contiguous()
            for field in fields(self)
            for name, tensor in self._named(
                field.name, self.whole_state() if field.name == "state" else self._part(field.name)
            )
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take every tensor back, in place where there is one already.

        Raises UnfitTensors, before anything is changed, where one is missing, too many or of
        another shape.
        """
        left = self._own_rows(dict(tensors))
        changes = [
            change
            for field in fields(self)
            for change in self._changes(field.name, self._part(field.name), left)
        ]
        if left:
            raise UnfitTensors(f"the tensor {min(left)!r} does not belong to this run")
        for change in changes:
            change()
        self.fused = None  # it holds on to the memory of moments that may be others now

    @property
    def is_finite(self) -> bool:
        """Whether every number, the optimizer's included, is one, in every process."""
        finite = all(
            bool(torch.isfinite(tensor).all())
            for field in fields(self)
            for _, tensor in self._named(field.name, self._part(field.name))
            if tensor.is_floating_point()
        )
        return not self.ranks.any(not finite)

    def release(self) -> None:
        """Free all memory but the model's; no further step can be taken."""
        self.fused = self.average = self.loss = None
        self.optimizer.state.clear()
        self.model.zero_grad(set_to_none=True)

    def _part(self, name: str) -> Any:
        """A field, None for those that a checkpoint has nothing of."""
        return None if name in _UNSAVED else getattr(self, name)

    def whole_state(self) -> list[State]:
        """The state (B, H) of all streams."""
        share = self.share
        if share is None or share.is_all:
            return self.state
        return [tuple(self.ranks.whole(part, share) for part in layer) for layer in self.state]

    def _own_rows(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint's tensors with the state's rows that are read here."""
        share = self.share
        if share is None or share.is_all:
            return tensors
        for name, tensor in tensors.items():
            if name.startswith("state."):
                if tensor.dim() == 0 or tensor.shape[0] != share.of:
                    raise UnfitTensors(f"the tensor {name!r} is not of {share.of} streams")
                tensors[name] = tensor[share.rows]
        return tensors

    def _named(self, name: str, part: Any) -> Iterator[tuple[str, Tensor]]:
        """The tensors of one field."""
        match part:
            case None:
                return
            case nn.Module():
                yield from ((f"{name}.{key}", value) for key, value in part.state_dict().items())
                yield from self._named(f"{name}-generator", getattr(part, "generator", None))
            case torch.Generator():
                yield name, part.get_state()
            case torch.optim.Optimizer() | Moments():
                for parameter_name, parameter in self.model.named_parameters():
                    for key, value in part.state.get(parameter, {}).items():
                        yield f"{name}.{parameter_name}.{key}", _tensor(name, value)
            case WeightAverage():
                yield from ((f"{name}.{key}", value) for key, value in part.state().items())
            case dict():
                yield from ((f"{name}.{key}", _tensor(name, each)) for key, each in part.items())
            case list():
                for layer, parts in enumerate(part):
                    for number, value in enumerate(parts):
                        yield f"{name}.{layer}.{number}", _tensor(name, value)
            case _:
                raise TypeError(f"a learner's {name} of type {type(part).__name__} is not saved")

    def _changes(self, name: str, part: Any, left: dict[str, Tensor]) -> Iterator[Any]:
        """What brings one field back; takes its tensors out of `left`."""
        match part:
            case torch.Generator():
                yield _generator_change(name, part, left)
            case torch.optim.Optimizer() | Moments():
                yield from self._optimizer_changes(name, part, left)
            case list():
                # A state's type follows the precision, so that of the file is kept.
                new = [
                    tuple(
                        _fitting(f"{name}.{layer}.{number}", left, value, any_type=True)
                        for number, value in enumerate(parts)
                    )
                    for layer, parts in enumerate(part)
                ]
                yield lambda: setattr(
                    self, name, [tuple(each.to(self.device) for each in parts) for parts in new]
                )
            case nn.Module():
                for key, value in part.state_dict().items():
                    yield _copy(value, _fitting(f"{name}.{key}", left, value))
                yield from self._changes(
                    f"{name}-generator", getattr(part, "generator", None), left
                )
            case WeightAverage():
                averages = {
                    key: _fitting(f"{name}.{key}", left, value)
                    for key, value in part.state().items()
                }
                yield lambda: part.load_state(averages)
            case dict():
                for key, value in part.items():
                    yield _copy(value, _fitting(f"{name}.{key}", left, value))

    def _optimizer_changes(
        self, name: str, optimizer: torch.optim.Optimizer | Moments, left: dict[str, Tensor]
    ) -> Iterator[Any]:
        """The moments, which a new optimizer has not yet."""
        for parameter_name, parameter in self.model.named_parameters():
            prefix = f"{name}.{parameter_name}."
            found = {key: left.pop(key) for key in list(left) if key.startswith(prefix)}
            for key, value in found.items():
                if value.dim() and value.shape != parameter.shape:
                    raise UnfitTensors(f"the tensor {key!r} has shape {tuple(value.shape)}")
            moments = {key.removeprefix(prefix): value for key, value in found.items()}
            yield lambda parameter=parameter, moments=moments: _put_moments(
                optimizer.state, parameter, moments
            )


_UNSAVED = ("fused", "ranks", "share", "loss")
_GENERATOR_SIZES = (5056, 16)  # bytes of a generator's state on a processor and on a GPU


def _generator_change(name: str, generator: torch.Generator, left: dict[str, Tensor]) -> Any:
    """Bring a generator back; one of another kind of device is seeded by the state there was."""
    before, now = left.get(name), generator.get_state()
    sizes = None if before is None else (before.numel(), now.numel())
    if before is not None and sizes in (_GENERATOR_SIZES, _GENERATOR_SIZES[::-1]):
        digest = hashlib.sha256(left.pop(name).numpy().tobytes()).digest()
        return lambda: generator.manual_seed(int.from_bytes(digest[:7], "little"))
    state = _fitting(name, left, now)
    return lambda: generator.set_state(state)


def _put_moments(
    state: dict[Tensor, dict[str, Tensor]], parameter: Tensor, moments: dict[str, Tensor]
) -> None:
    present = state.get(parameter, {})
    if present.keys() == moments.keys():
        for key, value in moments.items():
            present[key].copy_(value)
    elif moments:
        # The step count stays beside the processor unless the optimizer is fused on a GPU.
        state[parameter] = {key: value.to(parameter.device) for key, value in moments.items()}
    else:
        state.pop(parameter, None)


def _copy(place: Tensor, value: Tensor) -> Any:
    def change() -> None:
        with torch.no_grad():
            place.copy_(value)

    return change


def _tensor(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"a learner's {name} holds a {type(value).__name__}, which is not saved")
    return value


def _fitting(name: str, left: dict[str, Tensor], like: Tensor, *, any_type: bool = False) -> Tensor:
    """Take a tensor out of `left` that can stand for another."""
    if name not in left:
        raise UnfitTensors(f"the tensor {name!r} is missing")
    found = left.pop(name)
    if found.shape != like.shape or not (any_type or found.dtype == like.dtype):
        raise UnfitTensors(
            f"the tensor {name!r} should be {tuple(like.shape)} of {like.dtype}, "
            f"is {tuple(found.shape)} of {found.dtype}"
        )
    return found
