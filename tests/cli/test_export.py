"""`ricorda export`: a model for another runtime, and back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ricorda.model import read_model_file

Call = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(
    "format, back", [("torch", "state_dict.safetensors"), ("onnx", "step.onnx")]
)
def test_an_export_comes_back(call: Call, format: str, back: str) -> None:
    if format == "onnx":
        pytest.importorskip("onnx")
    code, out, err = call("export", "runs/tiny", "--to", format)
    assert (code, err) == (0, "")
    folder = Path(f"tiny-{format}")
    for path in folder.iterdir():
        assert f"{path}: {path.stat().st_size:,} bytes\n" in out
    assert call("import", folder / back, "--out", "again.safetensors")[0] == 0
    before = read_model_file(Path("runs/tiny/model.safetensors"))
    after = read_model_file(Path("again.safetensors"))
    assert after.vocabulary == before.vocabulary
    assert after.reading == before.reading
    for name, tensor in before.tensors.items():
        assert after.tensors[name].tobytes() == tensor.tobytes()
    models = ("runs/tiny", "again.safetensors")
    first, second = (call("sample", each, "--greedy", "--length", "40")[1] for each in models)
    assert first == second


def test_files_are_replaced_only_with_force(call: Call) -> None:
    command = ["export", "runs/tiny", "--to", "torch", "--out", "page"]
    assert call(*command)[0] == 0
    code, _, err = call(*command)
    assert code == 2
    assert "is there already" in err
    assert call(*command, "--force")[0] == 0


def test_json_lists_the_files(call: Call) -> None:
    code, out, _ = call("export", "runs/tiny", "--to", "torch", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["folder"] == "tiny-torch"
    assert set(found["bytes"]) == {"state_dict.safetensors", "vocabulary.json", "generate.py"}
    assert found["notes"]


def test_weights_that_a_format_does_not_store_are_refused(call: Call) -> None:
    code, _, err = call("export", "runs/tiny", "--to", "torch", "--weights", "int8")
    assert code == 2
    assert "stores weights as float32, not as int8" in err
    assert not Path("tiny-torch").exists()


def test_a_folder_is_expected(call: Call) -> None:
    Path("taken").write_text("")
    code, _, err = call("export", "runs/tiny", "--to", "torch", "--out", "taken")
    assert code == 2
    assert "found a file at taken" in err
