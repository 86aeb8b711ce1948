"""Export to other runtimes and import from other tools, one file per format.

An exporter turns a model file into the files of a folder; a reader turns a foreign file into the
tensors of a model. Both are pure: only this file writes.
"""

from ricorda.exchange.exporting import EXPORTERS, Export, Weights, export_model
from ricorda.exchange.importing import READERS, import_model

__all__ = ["EXPORTERS", "READERS", "Export", "Weights", "export_model", "import_model"]
