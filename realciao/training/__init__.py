"""A training run and its parts."""
