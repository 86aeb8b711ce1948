"""The tutorial's pattern with ricorda: learn it, then continue it from any of its characters.

Needs `pip install .` in a checkout; takes some seconds.
"""

import tempfile
from pathlib import Path

import ricorda

PERIOD = "aaaaabbbbbccccacddddd"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "pattern.txt")
        text.write_text(PERIOD * 40)
        run = ricorda.train(
            text, out=Path(folder, "run"), cell="rnn", hidden_size=128, window=42, steps=300
        )
        for start in "abcd":
            print(f"{start} -> {run.model.generate(start, length=60, greedy=True)}")


if __name__ == "__main__":
    main()
