"""Scores: of folders, and of methods on data sets at scales."""
