"""Where images come from: folders, files, and the photos that scikit-image's wheel carries."""

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from realciao.errors import UserError
from realciao.images.paths import list_images

# one photo per scene; left out are those that others repeat (motorcycle_right), drawings, text, tiny ones, and the grey
# textures (brick, grass, gravel), which would be a third of so small a set
_BUILTIN = {
    "builtin": (
        "astronaut.png",
        "camera.png",
        "coffee.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "motorcycle_left.png",
        "retina.jpg",
    ),
    "builtin_val": ("chelsea.png", "rocket.jpg"),
}


def find_photos(dataroot: str | Sequence[str]) -> list[Path]:
    """The image files of `dataroot`, in the order given, those of a folder (searched in depth) sorted, none twice.

    Args:
        dataroot: a folder, a file, `builtin` (photos of scikit-image's wheel, to train on), `builtin_val` (others, to
            validate on), or a list of these.

    Raises:
        UserError: nothing there, or a folder without images.
    """
    roots = [dataroot] if isinstance(dataroot, str) else list(dataroot)
    if not roots:
        raise UserError("no folder of images is given: the list is empty")
    return list(dict.fromkeys(path for root in roots for path in _photos_of(root)))


def builtin_photo(name: str) -> Path:
    """A photo of scikit-image's wheel by its name without extension, e.g. "rocket", which training never sees."""
    found = sorted(path for path in _wheel_folder().glob(f"{name}.*") if path.suffix in (".png", ".jpg"))
    if not found:
        raise UserError(f"scikit-image's data folder {_wheel_folder()} holds no photo '{name}'; reinstall scikit-image")
    return found[0]


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its stem, with as many folders before it as tell files of the same stem apart."""
    names = [path.stem for path in paths]
    for depth in range(2, 2 + max((len(path.parts) for path in paths), default=0)):
        count = Counter(names)
        if max(count.values()) == 1:
            break
        names = [
            "_".join([*path.parts[-depth:-1], path.stem]) if count[name] > 1 else name
            for name, path in zip(names, paths, strict=True)
        ]
    return names


def _photos_of(root: str) -> list[Path]:
    if root in _BUILTIN:
        return [builtin_photo(Path(name).stem) for name in _BUILTIN[root]]
    path = Path(root).expanduser()
    return [path] if path.is_file() else list_images(path)


def _wheel_folder() -> Path:
    """Found without importing the package: its import takes seconds and its loaders may download."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the builtin photos are scikit-image's: python -m pip install scikit-image")
    return Path(spec.submodule_search_locations[0]) / "data"
