"""Measure ricorda against its peers: every speed is a ratio, taken in one run.

`python -m benchmarks --help` lists the measurements. The peers, PyTorch and ONNX Runtime, are
optional: a comparison whose peer is not installed is left out and reported.
"""
