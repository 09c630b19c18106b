"""Weights: by name or by file, to tensors and networks. The files that ship lie in this folder too."""
