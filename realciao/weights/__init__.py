"""Weights by name or by file, read as tensors and networks. The weights that ship lie in this folder too."""
