"""Write the classes by which type checkers know the options: `python -m tests.keyword_files`.

The settings classes say which options there are; tests/test_signatures.py compares.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import ricorda
from ricorda.engine import GenerationSettings, SamplingSettings
from ricorda.experiments.comparison import ComparisonOptions
from ricorda.experiments.trial import BUDGETS, TRIAL_OPTIONS
from ricorda.experiments.tuning import TUNING, TuningOptions
from ricorda.signatures import keyword_type, names_of, type_text
from ricorda.training import TrainingOptions
from ricorda.training.options import RESUMED, TRAINED

SOURCE = Path(ricorda.__file__).parent

OTHER_TYPES = {"length": 'int | Literal["inf"] | None'}
"""Options for which functions take more than the field holds."""


class Keywords(NamedTuple):
    """One class: its name, what it is about, and the fields that it repeats."""

    name: str
    purpose: str
    settings: type[Any]
    fields: Iterable[str]
    base: str = "TypedDict"


FILES = {
    "training/keywords.py": [
        Keywords("TrainingKeywords", "The options of `train`.", TrainingOptions, TRAINED),
        Keywords("ResumeKeywords", "The options of `resume`.", TrainingOptions, RESUMED),
    ],
    "engine/keywords.py": [
        Keywords(
            "SamplingKeywords",
            "How a symbol is chosen.",
            SamplingSettings,
            names_of(SamplingSettings),
        ),
        Keywords(
            "GenerationKeywords",
            "How a text is written.",
            GenerationSettings,
            names_of(GenerationSettings),
        ),
    ],
    "experiments/keywords.py": [
        Keywords(
            "TrialKeywords", "The options of a trial.", TrainingOptions, [*BUDGETS, *TRIAL_OPTIONS]
        ),
        Keywords(
            "ComparisonKeywords",
            "The options of `compare`.",
            ComparisonOptions,
            names_of(ComparisonOptions),
            "TrialKeywords",
        ),
        Keywords(
            "TuningKeywords",
            "The options of `tune`.",
            TuningOptions,
            [name for name in TUNING if name not in BUDGETS],
            "TrialKeywords",
        ),
    ],
}


def content(file: str) -> str:
    """What a file holds."""
    classes = "".join(map(_class, FILES[file]))
    imports = "".join(
        line
        for name, line in (
            ("os.", "import os\n"),
            ("Iterable", "from collections.abc import Iterable\n"),
            ("", "from typing import Literal, TypedDict\n"),
        )
        if name in classes
    )
    return (
        '"""The options by name, for type checkers; their descriptions are in the settings classes.'
        '\n\nMade from those classes by `python -m tests.keyword_files`.\n"""\n\n'
        f"{imports}{classes}"
    )


def _class(keywords: Keywords) -> str:
    settings = keywords.settings
    lines = [
        f"    {name}: {_type(settings.__pydantic_fields__[name], name)}\n"
        for name in keywords.fields
    ]
    return (
        f"\n\nclass {keywords.name}({keywords.base}, total=False):\n"
        f'    """{keywords.purpose}"""\n\n'
        f"{''.join(lines)}"
    )


def _type(field: Any, name: str) -> str:
    text = OTHER_TYPES.get(name) or type_text(keyword_type(field))
    return text.replace("PathLike", "os.PathLike")


if __name__ == "__main__":
    for name in FILES:
        (SOURCE / name).write_text(content(name), "utf-8")
