"""Methods x data sets x scales in one run: what `scripts/evaluate.py -opt` does.

options -> data_sets (which images) and methods (who upscales them) -> runner (scores, kept in the store) -> cells (means and
intervals) -> report (CSV, JSON, Markdown, LaTeX, HTML).
"""
