"""nanoGPT as a peer: what its training reads and logs. A stand-in replaces it."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmarks import nanogpt
from ricorda.errors import ConfigurationError, RicordaError

LOG = """
step 0: train loss 4.2, val loss 4.1000
iter 0: loss 4.2000, time 900.00ms, mfu -100.00%
iter 1: loss 4.1000, time 100.00ms, mfu -100.00%
iter 2: loss 4.0000, time 120.00ms, mfu 0.01%
step 3: train loss 3.1, val loss 3.0000
iter 3: loss 3.1000, time 950.00ms, mfu 0.01%
iter 4: loss 3.0000, time 110.00ms, mfu 0.01%
iter 5: loss 2.9000, time 110.00ms, mfu 0.01%
step 6: train loss 2.1, val loss 2.0000
iter 6: loss 2.1000, time 980.00ms, mfu 0.01%
"""


def checkout(folder: Path, program: str) -> Path:
    """A folder that looks like nanoGPT's; the program stands for its training."""
    (folder / "config").mkdir(parents=True)
    for name in nanogpt.NEEDED:
        (folder / name).write_text("")
    (folder / "train.py").write_text(program)
    return folder


def test_a_log_gives_each_loss_the_seconds_before_it_without_evaluations() -> None:
    moments = nanogpt.read_log(LOG)
    assert [each.nats_per_character for each in moments] == [4.1, 3.0, 2.0]
    assert [each.seconds for each in moments] == pytest.approx([0, 0.33, 0.66])


@pytest.mark.parametrize("target, nats", [(4.5, 4.1), (3.0, 3.0), (2.5, 2.0), (1.0, None)])
def test_the_first_moment_that_reaches_a_target(target: float, nats: float | None) -> None:
    moment = nanogpt.first_to_reach(nanogpt.read_log(LOG), target)
    assert (None if moment is None else moment.nats_per_character) == nats


def test_a_text_is_written_as_its_training_reads_it(tmp_path: Path) -> None:
    text = "bà\nab" * 4
    nanogpt.prepare(text, tmp_path / "data")
    ids = [np.fromfile(tmp_path / "data" / f"{part}.bin", np.uint16) for part in ("train", "val")]
    meta = pickle.loads((tmp_path / "data" / "meta.pkl").read_bytes())
    assert [len(part) for part in ids] == [18, 2]
    assert "".join(meta["itos"][number] for number in np.concatenate(ids)) == text
    assert meta["vocab_size"] == len(meta["stoi"]) == 4


def test_the_recipe_runs_in_a_folder_that_is_removed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, os\n"
        f"pathlib.Path({str(tmp_path / 'output')!r}).write_text(os.getcwd() + '\\n'"
        " + ' '.join(sys.argv) + '\\n' + os.environ.get('GOMP_SPINCOUNT', 'none'))\n"
        "assert pathlib.Path('data/shakespeare_char/train.bin').is_file()\n"
        f"print({LOG!r})\n"
    )
    moments = nanogpt.learn(checkout(tmp_path / "peer", program), "abc" * 30, {"max_iters": 7})
    folder, words, spin = (tmp_path / "output").read_text().split("\n")
    assert len(moments) == 3
    assert "--max_iters=7" in words
    assert "--lr_decay_iters=2000" in words
    assert spin == "none"
    assert not Path(folder).exists()


def test_a_training_that_fails_reports_its_last_line(tmp_path: Path) -> None:
    peer = checkout(tmp_path, "import sys; sys.exit('no such device')")
    with pytest.raises(RicordaError, match="status 1: no such device"):
        nanogpt.learn(peer, "abc" * 30)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no train\.py: clone"):
        nanogpt.check(tmp_path)


def test_a_peer_runs_without_our_setting_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    assert "GOMP_SPINCOUNT" not in nanogpt.untuned_environment()
    assert nanogpt.untuned_environment()["PATH"]
