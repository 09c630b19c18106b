"""The one error of this package: a recipe or a plan that cannot be followed."""

import difflib
from collections.abc import Iterable


class RecipeError(ValueError):
    """Something in a recipe, or in a plan, is wrong; the message is one line.

    Args:
        path: dotted path of the key, e.g. "steps.3.options.0.sigma_px"; "" for the whole.
        problem: what is wrong and how to mend it, without the path.
        source: the recipe's file or name, where it is known.
    """

    def __init__(self, path: str, problem: str, source: str = "") -> None:
        super().__init__(": ".join(part for part in (source, path, problem) if part))
        self.path = path
        self.problem = problem
        self.source = source

    def below(self, parent: str) -> "RecipeError":
        """The same error seen from one level up: its path starts at `parent`."""
        return RecipeError(".".join(part for part in (parent, self.path) if part), self.problem, self.source)

    def within(self, source: str) -> "RecipeError":
        """The same error with the file or the recipe named in which it lies."""
        return RecipeError(self.path, self.problem, source)


def suggest(name: object, known: Iterable[str]) -> str:
    """`; did you mean 'x'? known: [...]` for the end of a message about an unknown name."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ";"
    return f"{hint} known: {', '.join(names)}"
