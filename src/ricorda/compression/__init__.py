"""Compress files by predicting them, and restore them byte for byte."""

from ricorda.compression.archive import Method
from ricorda.compression.files import Compressed, compress_file, decompress_file
from ricorda.compression.models import TrainedModel

__all__ = ["Compressed", "Method", "TrainedModel", "compress_file", "decompress_file"]
