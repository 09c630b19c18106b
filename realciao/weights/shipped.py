"""The weights that come with the package, by name."""

from pathlib import Path

from realciao.errors import UserError

SHIPPED_WEIGHTS = ("real", "classical")
"""The first removes what wears photos, the second takes them as they are."""


def shipped_for(denoise: float | None) -> tuple[str, ...]:
    """Those that are meant where none are named: the first, or all for a dial between them."""
    return SHIPPED_WEIGHTS[:1] if denoise is None else SHIPPED_WEIGHTS


def find_weights(weights: str | Path) -> Path:
    """The file of the weights "real" or "classical", or the path given. UserError where there is none."""
    shipped = str(weights) in SHIPPED_WEIGHTS
    path = Path(__file__).parent / f"{weights}.safetensors" if shipped else Path(weights)
    if path.is_file():
        return path
    names = " and ".join(f"'{name}'" for name in SHIPPED_WEIGHTS)
    problem = (
        f"weights '{weights}' do not come with this version"
        if shipped
        else f"{path}: no such weights file; those that come with it are called {names}"
    )
    raise UserError(
        f"{problem}; to make some, train with `python realciao/train.py -opt options/quickstart.yml` "
        "and give the .safetensors file that its last lines name"
    )
