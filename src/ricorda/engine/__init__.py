"""Running a trained model: write, score, trace. Without torch.

Model            a trained model; `load` reads one from its file
Generation       one text being written: pieces, seed, why it ended
Texts            many texts being written side by side
Classification   which label explains a document best
Embedding        the vector of a text
Backend          the arithmetic behind it, from explicit states
ReferenceBackend the same in NumPy, written for reading
"""

from ricorda.engine.accuracy import Accuracy
from ricorda.engine.backend import (
    Backend,
    Precision,
    Session,
    State,
    Stream,
    Surprisals,
    Symbols,
    zero_state,
)
from ricorda.engine.choice import BackendName, kernels_are_built, make_backend
from ricorda.engine.classification import Classification, Prior
from ricorda.engine.constraints import Constraint, constraint_of
from ricorda.engine.embedding import Embedding, VectorKind
from ricorda.engine.generation import (
    Ending,
    Generation,
    GenerationSettings,
    Piece,
    WrittenSymbol,
)
from ricorda.engine.loading import load, load_file, open_model
from ricorda.engine.model import Model
from ricorda.engine.reference import ReferenceBackend
from ricorda.engine.results import Distribution, Trace
from ricorda.engine.sampling import (
    SamplingSettings,
    choose,
    distribution,
    uniforms,
)
from ricorda.engine.scoring import Figures, Scores, evaluate, score
from ricorda.engine.texts import Texts, WrittenText
from ricorda.engine.writer import Writer

__all__ = [
    "Accuracy",
    "Backend",
    "BackendName",
    "Classification",
    "Constraint",
    "Distribution",
    "Embedding",
    "Ending",
    "Figures",
    "Generation",
    "GenerationSettings",
    "Model",
    "Piece",
    "Precision",
    "Prior",
    "ReferenceBackend",
    "SamplingSettings",
    "Scores",
    "Session",
    "State",
    "Stream",
    "Surprisals",
    "Symbols",
    "Texts",
    "Trace",
    "VectorKind",
    "Writer",
    "WrittenSymbol",
    "WrittenText",
    "choose",
    "constraint_of",
    "distribution",
    "evaluate",
    "kernels_are_built",
    "load",
    "load_file",
    "make_backend",
    "open_model",
    "score",
    "uniforms",
    "zero_state",
]
