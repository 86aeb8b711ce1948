"""Every error that ricorda raises on purpose.

    RicordaError
    ├── InputError              what came in is wrong; nothing was done or lost (exit code 2)
    │   ├── TextError           a text cannot be found, decoded or used
    │   ├── VocabularyError     a symbol that the model has never seen
    │   ├── ConfigurationError  an option out of range, or two that contradict
    │   ├── ModelFileError      not a model file, or a damaged or a newer one
    │   ├── RunError            a run's folder that is missing, taken or incomplete
    │   └── ArchiveError        a compressed file that is damaged, or must not be replaced
    ├── TrainingError           training cannot continue (exit code 1)
    │   ├── NonFiniteLoss       the loss or its gradient is no longer a number
    │   ├── FolderLost          the run's folder was moved, removed or replaced
    │   └── ProcessLost         another process of the run ended or does not answer
    └── MissingExtra            an optional dependency is not installed (exit code 1)

A message is one line: what was expected, what came, what to do.

    UserWarning
    └── UnseenCharactersWarning  characters that the model never saw were left out
"""


class UnseenCharactersWarning(UserWarning):
    """Characters of a text or an option that the model never saw were left out."""


class NothingLearnedWarning(UserWarning):
    """A text was too short for a model to learn from it."""


class RicordaError(Exception):
    """The root of the tree: catch this to catch everything ricorda raises on purpose."""

    reported_elsewhere = False
    """Whether another process of the run reports it."""


class InputError(RicordaError):
    """What came in is wrong; nothing was done or lost."""


class TextError(InputError):
    """A text cannot be found, decoded or used."""


class VocabularyError(InputError):
    """A symbol that the model has never seen."""


class ConfigurationError(InputError):
    """An option is out of range, or two contradict each other."""


class ModelFileError(InputError):
    """Not a model file, or a damaged or a newer one."""


class RunError(InputError):
    """A run's folder is missing, taken or incomplete."""


class ArchiveError(InputError):
    """A compressed file is damaged, newer or none at all; or a file must not be replaced."""


class TrainingError(RicordaError):
    """Training cannot continue."""


class NonFiniteLoss(TrainingError):
    """The loss or its gradient is no longer a number."""


class FolderLost(TrainingError):
    """The run's folder was moved, removed or replaced while the run trained."""


class ProcessLost(TrainingError):
    """Another process of the run ended, or does not answer."""


class MissingExtra(RicordaError):
    """An optional dependency is not installed."""
