"""What a request may say; anything else is refused."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from ricorda.training.options import TrainingOptions

LONGEST_READ = 20_000  # characters of a text to look into
LONGEST_LABEL = 1_000  # characters
LONGEST_CONTEXT = 10_000  # characters before the one that is chosen

Name = Annotated[str, Field(min_length=1, max_length=200)]


class Request(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @property
    def reads_the_run_text(self) -> bool:
        """Whether it asks about the text that the run learned."""
        return False


FORM: dict[str, float | None] = {
    **{"minutes": 10_000, "steps": 10**9, "vocabulary": 100, "cell": None, "hidden_size": 2048},
    **{"num_layers": 8, "batch_size": 1024, "window": 4096, "learning_rate": None},
    **{"dropout": None, "seed": 2**53 - 1, "threads": None, "documents": 200, "field": 200},
    **{"label_field": 200, "label_from": None, "split": None, "test_fraction": None},
    **{"min_count": None},
}
"""The fields of TrainingOptions that the page offers; how large a number may be, if smaller, and
how long a text."""


class _TrainingRequest(Request):
    """A training to begin: a text, and the options of `ricorda train` in FORM."""

    text: Name

    def options(self, threads: int) -> TrainingOptions:
        """The options of `ricorda train`, with the threads that were settled.

        Raises ConfigurationError for options that contradict each other.
        """
        return TrainingOptions(**self._given(threads))

    def words(self, threads: int) -> list[str]:
        """The same on a command line. Raises ConfigurationError as `options`."""
        self.options(threads)
        words = []
        for name, value in self._given(threads).items():
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            words += [f"--{name.replace('_', '-')}", shown]
        return [*words, "--early-samples"]

    def _given(self, threads: int) -> dict[str, Any]:
        return self.model_dump(include=set(FORM), exclude_none=True) | {"threads": threads}


def _form_field(name: str, largest: float | None) -> tuple[Any, None]:
    """A field of the form, by the schema of the training's options; None leaves it unset."""
    TypeAdapter(TrainingOptions)  # sees that the fields are complete
    field = TrainingOptions.__pydantic_fields__[name]  # type: ignore[attr-defined]
    annotated: Any = Annotated
    kind = annotated[field.annotation, Field(), *field.metadata]
    if field.annotation in {str, str | None}:
        # A word of a command line has no NUL.
        longest = None if largest is None else int(largest)
        kind = annotated[str, Field(max_length=longest, pattern=r"^[^\x00]+$"), *field.metadata]
        return kind | None, None
    return kind | None if largest is None else annotated[kind | None, Field(le=largest)], None


if TYPE_CHECKING:

    class TrainingRequest(_TrainingRequest):
        """The same, with a field for each option."""

        threads: int | None

        def __init__(self, **values: Any) -> None: ...

else:
    TrainingRequest = create_model(
        "TrainingRequest",
        __base__=_TrainingRequest,
        **{name: _form_field(name, largest) for name, largest in FORM.items()},
    )


class SampleTextRequest(Request):
    """One of the texts for those who have none at hand."""

    name: Name


class NameRequest(Request):
    """Another name for a run."""

    name: Name


class NoteRequest(Request):
    """A note about a run; an empty one removes it."""

    note: Annotated[str, Field(max_length=1_000)]


class ReadRequest(Request):
    """A text for a model to read: the user's own, or a passage of what it learned."""

    text: Annotated[str, Field(max_length=LONGEST_READ)] | None = None
    begin: Annotated[int, Field(ge=0, le=2**53)] = 0
    length: Annotated[int, Field(ge=1, le=LONGEST_READ)] = 1_000

    @property
    def reads_the_run_text(self) -> bool:
        """Whether no text of the user's own is sent."""
        return self.text is None


class SurpriseRequest(ReadRequest):
    """How surprising a text is."""

    adaptive: bool = False
    """Whether the reader learns from what it has read; the frozen figures come beside its own."""


class UnitRequest(ReadRequest):
    """One unit's activity over a text."""

    layer: Annotated[int, Field(ge=0, le=63)] = 0
    unit: Annotated[int, Field(ge=0, le=65_535)] = 0


class PlaceRequest(UnitRequest):
    """One unit at one place of a text."""

    position: Annotated[int, Field(ge=0, le=LONGEST_READ)] = 0


class PositionRequest(ReadRequest):
    """One place of a text, with something before it."""

    position: Annotated[int, Field(ge=1, le=LONGEST_READ)]
    gradient: bool = False
    """Whether to measure by gradients too."""


class HeatRequest(ReadRequest):
    """What some units, `layer:number`, did over a text."""

    units: Annotated[list[tuple[int, int]], Field(max_length=256)]


class SamplingRequest(Request):
    """How symbols are chosen."""

    temperature: Annotated[float, Field(ge=0, le=10)] = 0.8
    top_k: Annotated[int, Field(ge=1, le=10**6)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None

    @property
    def sampling(self) -> dict[str, Any]:
        """The fields of ricorda.engine.SamplingSettings that are given."""
        names = {"temperature", "top_k", "top_p", "min_p"}
        return self.model_dump(include=names, exclude_none=True)


class PromptRequest(SamplingRequest):
    """The beginning of a document, with its label if the documents have labels."""

    text: Annotated[str, Field(max_length=LONGEST_CONTEXT)] = ""
    label: Annotated[str, Field(max_length=LONGEST_LABEL)] | None = None


class NextRequest(PromptRequest):
    """The chances of the symbol that follows a text."""


class WriteRequest(PromptRequest):
    """A text to be continued."""

    length: Annotated[int, Field(ge=1, le=2_000)] = 200
    seed: Annotated[int, Field(ge=0, lt=2**53)] | None = None


class StreamRequest(WriteRequest):
    """A text to be continued, sent as it is written; the client may leave at any time."""

    length: Annotated[int, Field(ge=1, le=100_000)] = 500


class MemorisedRequest(Request):
    """How much a model writes, to be looked for in what it learned."""

    length: Annotated[int, Field(ge=1, le=20_000)] = 10_000
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 1

    @property
    def reads_the_run_text(self) -> bool:
        """Always: what is written is looked for in it."""
        return True


class ClampRequest(WriteRequest):
    """A text to be continued twice: as the model is, and with a unit held at a value."""

    layer: Annotated[int, Field(ge=0, le=63)] = 0
    unit: Annotated[int, Field(ge=0, le=65_535)] = 0
    value: Annotated[float, Field(ge=-1, le=1)] = 0.0
