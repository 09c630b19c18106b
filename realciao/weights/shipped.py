"""Finds the files of weights: by name, those that come with the package and those of teachers, or by path."""

from pathlib import Path
from typing import Any, NamedTuple

from realciao.errors import UserError, did_you_mean
from realciao.weights.catalogue import TEACHERS
from realciao.weights.header import read_header


class NoWeightsError(UserError):
    """No such weights.

    Args:
        problem: what was looked for.
        advice: where weights come from.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}; {advice}")
        self.problem = problem


class Shipped(NamedTuple):
    """Facts about weights that come with the package."""

    parameters: int
    macs_per_pixel: float
    """Multiply-accumulates of convolutions and matrix products per LR pixel at x4, in millions."""
    use: str
    licence: str = "Apache-2.0"


SHIPPED: dict[str, Shipped] = {
    "real": Shipped(537_987, 1.23, "real photos, worn or noisy"),
    "classical": Shipped(537_987, 1.23, "clean photos, taken as they are"),
}
SHIPPED_WEIGHTS = tuple(SHIPPED)
"""The first is the default; a dial goes from it to the second."""


def shipped_for(denoise: float | None) -> tuple[str, ...]:
    """The weights to use where none are named: the first, or both for a dial between them."""
    return SHIPPED_WEIGHTS[:1] if denoise is None else SHIPPED_WEIGHTS


def find_weights(weights: str | Path) -> Path:
    """The file of the weights "real" or "classical", of a teacher known by name, or the path given.

    Raises:
        UserError: there is none; NoWeightsError where it is no teacher's.
    """
    name = str(weights)
    if name in TEACHERS:
        try:
            return TEACHERS[name].path
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
    shipped = name in SHIPPED_WEIGHTS
    path = Path(__file__).parent / f"{weights}.safetensors" if shipped else Path(weights)
    if path.is_file():
        return path
    train = (
        "to make some, train with `python realciao/train.py -opt options/quickstart.yml` and give the .safetensors file that "
        "its last lines name"
    )
    if shipped:
        raise NoWeightsError(f"weights '{weights}' do not come with this version", train)
    near = did_you_mean(name, [*SHIPPED_WEIGHTS, *TEACHERS]) if path.name == name and not path.suffix else ""
    names = " and ".join(f"'{name}'" for name in SHIPPED_WEIGHTS)
    known = f"those that come with it are called {names}, and `python scripts/infer.py --list_models` names all"
    raise NoWeightsError(f"{path}: no such weights file{near}", f"{known}; {train}")


def needed_files(weights: str | Path) -> list[Path]:
    """All files that weights are read from: their own, and that of a teacher whose tensors were left out of it.

    Raises:
        UserError: one of them is missing.
    """
    path = find_weights(weights)
    try:
        spec: Any = read_header(path)["spec"]
        teacher = spec["encoder"].get("weights")
    except (UserError, KeyError, TypeError, AttributeError):  # a checkpoint, or damaged, which loading it reports
        return [path]
    if not isinstance(teacher, str) or teacher not in TEACHERS:
        return [path]
    try:
        return [path, find_weights(teacher)]
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
