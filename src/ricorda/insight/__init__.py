"""Looking inside a trained model. Without torch, but for `gradient_influence`.

Unit               one unit of a network, such as 0:17
unit_activity      what a few units did over a text of any length
track_units        what each unit tracks, on held-out text, beside a control with moved labels
unit_health        which units are dead or saturated, and how gates stand
step_equation      one step of one unit, with the real numbers in its equation
clamped            a model with units held at values or switched off
alternatives       how surprising each symbol was, and what was likelier
influence          how much each past symbol matters, by leaving it out or replacing it
gradient_influence the same by gradients (needs torch); agreement compares the two
shared_stretches   the longest stretch a text has word for word from the training text
surprisal_page     a page that colours a scored text
clusters           which symbols a reader takes for one character
"""

from typing import TYPE_CHECKING

from ricorda.engine.display.clusters import Cluster, clusters
from ricorda.extras import require_torch
from ricorda.insight.clamping import clamped
from ricorda.insight.deletion import (
    Agreement,
    Influence,
    agreement,
    influence,
    rank_correlation,
)
from ricorda.insight.features import Feature, describe
from ricorda.insight.health import Health, unit_health
from ricorda.insight.memorisation import Shared, Stretch, chance_length, shared_stretches
from ricorda.insight.step_equation import GateTerms, Product, StepEquation, step_equation
from ricorda.insight.surprisal_page import Surprise, alternatives, surprisal_page
from ricorda.insight.tracking import Tracked, Tracking, track_units
from ricorda.insight.units import Block, Unit, read_activations, unit_activity
from ricorda.lazy import lazy_names

if TYPE_CHECKING:
    from ricorda.torch.gradient import gradient_influence

__all__ = [
    "Agreement",
    "Block",
    "Cluster",
    "Feature",
    "GateTerms",
    "Health",
    "Influence",
    "Product",
    "Shared",
    "StepEquation",
    "Stretch",
    "Surprise",
    "Tracked",
    "Tracking",
    "Unit",
    "agreement",
    "alternatives",
    "chance_length",
    "clamped",
    "clusters",
    "describe",
    "gradient_influence",
    "influence",
    "rank_correlation",
    "read_activations",
    "shared_stretches",
    "step_equation",
    "surprisal_page",
    "track_units",
    "unit_activity",
    "unit_health",
]

__getattr__ = lazy_names(
    __name__,
    {"gradient_influence": "ricorda.torch.gradient"},
    lambda home: require_torch("influence by gradients needs"),
)
