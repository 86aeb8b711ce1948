"""What was exported with 32 bits is imported bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ricorda.exchange import import_model, onnx_export, torch_export
from tests.exchange.models import KNOWN_CASES, Case, make_model

EXPORTS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "onnx": (onnx_export.export, ("step.onnx", "sequence.onnx")),
    "torch": (torch_export.export, ("state_dict.safetensors",)),
}
"""By the package that is needed: how models are exported, and the files that hold one."""


@pytest.mark.parametrize("package", EXPORTS)
@pytest.mark.parametrize("case", KNOWN_CASES, ids=str)
def test_an_export_comes_back_bit_for_bit(
    random: np.random.Generator, tmp_path: Path, case: Case, package: str
) -> None:
    pytest.importorskip(package)
    model = make_model(case, random)
    export, names = EXPORTS[package]
    files = export(model, "float32").files
    for name in names:
        (tmp_path / name).write_bytes(files[name])
        found = import_model(tmp_path / name)
        assert found.configuration == model.configuration
        assert found.vocabulary == model.vocabulary
        assert found.training.pop("imported")["file"] == name
        assert found.training == model.training
        assert found.tensors.keys() == model.tensors.keys()
        for key, tensor in model.tensors.items():
            assert found.tensors[key].tobytes() == tensor.tobytes()
