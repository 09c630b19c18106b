"""Validation pairs synthesised from photos, the same ones each time."""

from typing import Any

import degradations
from realciao.batch import EvalItem
from realciao.data.checks import check_least
from realciao.data.photos import find_photos, unique_names
from realciao.data.pixels import centre_crop, rgb
from realciao.data.randomness import Stream, stream
from realciao.data.recipe import build_recipe
from realciao.data.roles import ValSet
from realciao.errors import OptionError
from realciao.image import read_image
from realciao.registry import DATASET_REGISTRY


@DATASET_REGISTRY.register()
class SyntheticValSet(ValSet):
    """Each photo once per scale, e.g. "chelsea_x3".

    Args:
        dataroot_gt: HR photos, see `find_photos`.
        pipeline: a degradation recipe by name, YAML file or spec.
        scales: at least 1 each; their order decides which degradation a photo gets.
        gt_size: edge of the centre crop, less where a photo is smaller; null takes whole photos.
        num_images: use the first so many photos; null uses all.
        seed: of the degradations.
    """

    def __init__(
        self,
        dataroot_gt: str | list[str],
        pipeline: str | dict[str, Any],
        scales: list[float],
        gt_size: int | None = 256,
        num_images: int | None = None,
        *,
        seed: int,
    ) -> None:
        super().__init__()
        check_least("num_images", num_images, 1)
        check_least("gt_size", gt_size, 1)
        if not scales:
            raise OptionError("scales", "is empty; list at least one, e.g. [2, 3, 4]")
        for index, scale in enumerate(scales):
            check_least(f"scales.{index}", scale, 1)
        self.paths = find_photos(dataroot_gt)[:num_images]
        self.names = unique_names(self.paths)
        self.pipeline = build_recipe(pipeline)
        self.scales = scales
        self.gt_size = gt_size
        self.seed = seed

    def __len__(self) -> int:
        return len(self.paths) * len(self.scales)

    def __getitem__(self, index: int) -> EvalItem:
        photo, scale_index = divmod(index, len(self.scales))
        scale = self.scales[scale_index]
        gt = rgb(centre_crop(read_image(self.paths[photo]), self.gt_size))
        height, width = gt.shape[:2]
        recipe = self.pipeline.sample(stream(self.seed, index, Stream.EVAL), size=(height, width), scale=scale)
        lq = degradations.apply(recipe, gt)
        return EvalItem(name=f"{self.names[photo]}_x{scale:g}", lq=lq, size=(height, width), gt=gt)
