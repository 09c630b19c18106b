"""Errors that are the user's to mend: a command prints their one line and exits non-zero, without a traceback."""


class UserError(ValueError):
    """Something the user gave is wrong; the message is one line that says what, where, and how to mend it."""


class OptionError(UserError):
    """A wrong value in an option file.

    Args:
        path: dotted path of the key inside the file, "" for the whole file, e.g. "network_g.encoder.num_feat".
        problem: what is wrong and how to mend it, without the path.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem

    def below(self, parent: str) -> "OptionError":
        """The same error seen from one level up: its path starts at `parent`."""
        return OptionError(".".join(part for part in (parent, self.path) if part), self.problem)
