"""A pretended GPU: tensors without contents that have a device.

PyTorch's fake tensors stand for those of a GPU, in a build without CUDA too: shapes, types and
devices are worked out, and tensors of two devices refuse to be computed with. What they cannot do
is done here: layers see that their arguments are what cuDNN takes, a backward pass leaves a
gradient behind for every parameter, and each time that the processor would wait for the GPU is
counted. An Apple GPU is pretended in the same way; it has no cuDNN and no float64.
"""

import contextlib
import ctypes
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

from ricorda.torch import device
from ricorda.torch.language_model import RecurrentLanguageModel
from ricorda.training.plan import machine

GPU = torch.device("cuda", 0)
APPLE_GPU = torch.device("mps", 0)


@dataclass
class Pretended:
    """What was seen of the GPU."""

    device: torch.device = GPU

    waits: int = 0
    """How often the processor waited for it."""

    model: RecurrentLanguageModel | None = None
    """Whose parameters a backward pass gives gradients."""

    learned: int = 0
    """Backward passes."""

    layers: int = 0
    """Layers that the GPU would have computed."""


GUARD = """
#include <c10/core/impl/DeviceGuardImplInterface.h>
C10_REGISTER_GUARD_IMPL(CUDA, c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA>);
C10_REGISTER_GUARD_IMPL(MPS, c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::MPS>);
"""
"""What PyTorch asks for the current GPU, which its build for processors leaves out."""


@functools.cache
def _know_the_device() -> None:
    """Let PyTorch find a guard for GPUs that does nothing. Skips the test without a compiler."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    torch_folder = Path(torch.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "guard.cpp"), Path(folder, "guard.so")
        source.write_text(GUARD)
        subprocess.run(
            [
                *(compiler, "-std=c++20", "-shared", "-fPIC", f"-I{torch_folder}/include"),
                *(str(source), "-o", str(library), f"-L{torch_folder}/lib", "-lc10"),
            ],
            check=True,
            capture_output=True,
        )
        ctypes.CDLL(str(library))


@contextlib.contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch, gpus: int = 1) -> Iterator[Pretended]:
    """Within, PyTorch finds GPUs, and computes without contents."""
    for name, value in (
        ("is_available", True),
        ("is_bf16_supported", True),
        ("device_count", gpus),
        ("current_device", 0),
        ("set_device", None),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value, **__: value)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(fake_tensor, "init_gpu_context", lambda *_: None)
    monkeypatch.setattr(device, "_layers_learn_bfloat16", lambda: True)
    monkeypatch.setattr(machine, "_has_gpu_driver", lambda: True)
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
    with _pretended(monkeypatch, Pretended()) as seen:
        yield seen


@contextlib.contextmanager
def pretended_apple_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretended]:
    """Within, PyTorch finds an Apple GPU, which refuses float64, and computes without contents."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with _pretended(monkeypatch, Pretended(APPLE_GPU)) as seen, _WithoutFloat64():  # type: ignore[no-untyped-call]
        yield seen


class _WithoutFloat64(TorchDispatchMode):
    """Refuses what an Apple GPU cannot hold."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        results = operation(*arguments, **(keywords or {}))
        for result in results if isinstance(results, list | tuple) else [results]:
            if isinstance(result, Tensor) and result.device.type == "mps":
                assert result.dtype != torch.float64, operation
        return results


@contextlib.contextmanager
def _pretended(monkeypatch: pytest.MonkeyPatch, seen: Pretended) -> Iterator[Pretended]:
    """Within, tensors of a GPU have no contents."""
    _know_the_device()
    monkeypatch.setattr(RecurrentLanguageModel, "__init__", _made(RecurrentLanguageModel.__init__))
    monkeypatch.setattr(RecurrentLanguageModel, "to", _moved(seen.device))
    monkeypatch.setattr(Tensor, "backward", lambda loss: _learn(seen, loss))
    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        monkeypatch.setattr(torch, name, lambda *given: _layer(seen, *given))
    for name, answer in (
        *(("item", 1.0), ("tolist", [1.0, 1.0]), ("__float__", 1.0)),
        *(("__int__", 1), ("__bool__", True)),
    ):
        monkeypatch.setattr(Tensor, name, _waits(seen, getattr(Tensor, name), answer))
    monkeypatch.setattr(FakeTensor, "tolist", Tensor.tolist)
    monkeypatch.setattr(Tensor, "numpy", _without_contents(Tensor.numpy))
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield seen


def _made(init: Any) -> Any:
    """Making a network as always, with contents: fake parameters cannot be set up."""

    def made(model: RecurrentLanguageModel, *given: Any, **options: Any) -> None:
        with unset_fake_temporarily():
            init(model, *given, **options)

    return made


def _moved(gpu: torch.device) -> Any:
    """Have the parameters on a device; fake ones cannot be moved in their place."""

    def moved(model: RecurrentLanguageModel, asked: torch.device) -> RecurrentLanguageModel:
        assert asked.type == gpu.type
        for module in model.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                there = parameter.detach().to(gpu)
                setattr(module, name, nn.Parameter(there, requires_grad=False))
        return model

    return moved


def _waits(seen: Pretended, exact: Any, answer: Any) -> Any:
    """Reading a number: of the GPU's it has to be waited for, and what comes is made up."""

    def read(tensor: Tensor) -> Any:
        if not isinstance(tensor, FakeTensor):
            return exact(tensor)
        seen.waits += tensor.device == seen.device
        return answer

    return read


def _without_contents(exact: Any) -> Any:
    """Return zeros for a tensor beside the processor that has no contents."""

    def numpy(tensor: Tensor) -> Any:
        if not isinstance(tensor, FakeTensor):
            return exact(tensor)
        assert tensor.device.type == "cpu"
        return np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch."))

    return numpy


def _learn(seen: Pretended, loss: Tensor) -> None:
    assert (loss.device, loss.dtype, loss.dim()) == (seen.device, torch.float32, 0)
    assert seen.model is not None
    seen.learned += 1
    for parameter in seen.model.parameters():
        parameter.grad = torch.empty_like(parameter)


def _layer(seen: Pretended, inputs: Tensor, state: Any, weights: list[Tensor], *_: Any) -> Any:
    """The shapes of a layer: everything on one device and of one type."""
    parts = state if isinstance(state, list) else [state]
    given = [inputs, *parts, *weights]
    assert {each.device for each in given} == {seen.device}
    assert len({each.dtype for each in given}) == 1
    if seen.device == GPU:
        _check_for_cudnn(inputs, weights)
    else:
        assert inputs.dtype == torch.float32
    seen.layers += 1
    outputs = inputs.new_empty(*inputs.shape[:2], weights[1].shape[1])
    return outputs, *(torch.empty_like(part) for part in parts)


def _check_for_cudnn(inputs: Tensor, weights: list[Tensor]) -> None:
    """Check cuDNN's rules: no float16, one memory for all weights."""
    assert inputs.dtype in (torch.float32, torch.bfloat16)
    assert not torch.is_autocast_enabled("cuda")
    assert len({weight.untyped_storage()._cdata for weight in weights}) == 1
    sizes = [weight.numel() for weight in weights]
    assert [each.storage_offset() for each in weights] == [sum(sizes[:n]) for n in range(4)]
