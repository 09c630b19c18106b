"""Real photos without ground truth, to be upscaled at validation."""

from realciao.batch import EvalItem
from realciao.coords import scaled_size
from realciao.data.checks import check_least
from realciao.data.photos import find_photos, unique_names
from realciao.data.roles import ValSet
from realciao.image import read_rgb
from realciao.registry import DATASET_REGISTRY


@DATASET_REGISTRY.register()
class ImageFolder(ValSet):
    """Each photo as it is, to be upscaled by `scale`.

    Args:
        dataroot_lq: photos, see `find_photos`.
        scale: of the result, at least 1.
        num_images: use the first so many photos; null uses all.
        seed: unused, nothing here is random.
    """

    def __init__(
        self,
        dataroot_lq: str | list[str],
        scale: float,
        num_images: int | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_least("num_images", num_images, 1)
        check_least("scale", scale, 1)
        self.paths = find_photos(dataroot_lq)[:num_images]
        self.names = unique_names(self.paths)
        self.scale = scale

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> EvalItem:
        lq = read_rgb(self.paths[index])
        return EvalItem(name=self.names[index], lq=lq, size=scaled_size((lq.shape[0], lq.shape[1]), self.scale))
