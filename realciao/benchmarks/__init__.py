"""Benchmarks: each module or package here is a subcommand of `scripts/benchmark.py` (`instruments` is what they share).

It has `add_arguments(parser)` and `run(args, done)`, which yields a Table as soon as its figures are there and calls
`done(share, text)` after each piece of work, `share` being the share of all work done so far. Its docstring's first line is
its help. Nothing heavy is imported until `run`, for the sake of `--help`.
"""

import pkgutil


def names() -> list[str]:
    """The benchmarks that there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "instruments")
