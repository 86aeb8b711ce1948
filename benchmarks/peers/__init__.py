"""The peers: the same networks as users of PyTorch and ONNX Runtime write them.

No file in this folder imports ricorda, and the tests check that no code of ricorda runs while a
peer works. A peer takes a network's tensors under the names of the model file.
"""
