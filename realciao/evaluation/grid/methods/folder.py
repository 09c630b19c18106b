"""Results that were made elsewhere."""

from pathlib import Path

from realciao.errors import UserError
from realciao.evaluation.grid.data_sets import Item, file_digest
from realciao.evaluation.grid.methods.method import METHOD_REGISTRY, Method, Picture
from realciao.images.paths import list_images
from realciao.images.reading import read_rgb, size_text


@METHOD_REGISTRY.register()
class Folder(Method):
    """A folder of finished images, by the names of the data set's images, in any format.

    Args:
        path: `{data}` and `{scale}` in it become the data set's name and the scale.
        filename_tmpl: stem of a file, `{}` being the image's name; `{scale}` as above.
    """

    finished = True

    def __init__(self, path: str, filename_tmpl: str = "{}") -> None:
        if filename_tmpl.count("{}") != 1:
            raise ValueError(f"filename_tmpl must hold {{}} once, is '{filename_tmpl}'")
        self.path = path
        self.filename_tmpl = filename_tmpl
        self._files: dict[Path, dict[str, Path]] = {}

    @property
    def default_name(self) -> str:
        return Path(self.path).name

    def problem(self) -> str:
        fixed = self.path.partition("{")[0]
        parent = Path(fixed) if fixed == self.path else Path(fixed).parent if not fixed.endswith("/") else Path(fixed)
        return "" if parent.is_dir() else f"no results: {self.path} is no folder"

    def identity(self, item: Item) -> str:
        return f"file {file_digest(self.find(item))}"

    def find(self, item: Item) -> Path:
        """The file of an item's result.

        Raises:
            UserError: there is none, or the folder is missing.
        """
        folder = Path(self.path.replace("{data}", item.data).replace("{scale}", f"{item.scale:g}"))
        if folder not in self._files:
            images = list_images(folder)
            self._files[folder] = {path.relative_to(folder).with_suffix("").as_posix(): path for path in images}
        name = Path(item.name)
        wanted = name.with_name(self.filename_tmpl.replace("{scale}", f"{item.scale:g}").replace("{}", name.name))
        found = self._files[folder].get(wanted.as_posix())
        if found is None:
            raise UserError(f"there is no result {folder / wanted}.*")
        return found

    def upscale(self, item: Item, lq: Picture, size: tuple[int, int]) -> Picture:
        path = self.find(item)
        image = read_rgb(path)
        if image.shape[:2] != size:
            raise UserError(f"{path} is {size_text(image.shape)}, and x{item.scale:g} is {size_text(size)}")
        return image
