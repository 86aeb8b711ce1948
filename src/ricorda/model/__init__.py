"""What a network is: its configuration, its cells and the model file."""

from ricorda.model.configuration import ModelConfiguration
from ricorda.model.model_file import ModelFile, read_model_file, write_model_file

__all__ = ["ModelConfiguration", "ModelFile", "read_model_file", "write_model_file"]
