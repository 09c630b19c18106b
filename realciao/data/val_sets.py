"""Validation sets: pairs synthesised from photos, real pairs, and real photos without ground truth."""

import contextlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Shaped
from msgspec import Meta

import degradations
from realciao.batch import EvalItem
from realciao.coords import scaled_size
from realciao.data.build import build_recipe
from realciao.data.datasets import Positive, Scale, ValSet
from realciao.data.image_store import image_size
from realciao.data.pair_files import check_ratio, match_pairs
from realciao.data.photos import find_photos, unique_names
from realciao.images.reading import AnyImage, ImageError, read_image, read_rgb, to_rgb
from realciao.randomness import Stream, stream
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
        scales: Annotated[list[Scale], Meta(min_length=1)],
        gt_size: Positive | None = 256,
        num_images: Positive | None = None,
        *,
        seed: int,
    ) -> None:
        self.paths = find_photos(dataroot_gt)[:num_images]
        self.names = unique_names(self.paths)
        self.pipeline = build_recipe(pipeline)
        self.scales = scales
        self.gt_size = gt_size
        self.seed = seed

    def __len__(self) -> int:
        return len(self.paths) * len(self.scales)

    @property
    def targets(self) -> list[Path]:
        return self.paths

    def __getitem__(self, index: int) -> EvalItem:
        photo, scale_index = divmod(index, len(self.scales))
        scale = self.scales[scale_index]
        gt = to_rgb(_centre_crop(read_image(self.paths[photo]), self.gt_size))
        height, width = gt.shape[:2]
        recipe = self.pipeline.sample(stream(self.seed, index, Stream.EVAL), size=(height, width), scale=scale)
        lq = degradations.apply(recipe, gt)
        return EvalItem(name=f"{self.names[photo]}_x{scale:g}", lq=lq, size=(height, width), gt=gt)


@DATASET_REGISTRY.register()
class PairedValSet(ValSet):
    """Each LQ image whole, to be upscaled to the size of its GT.

    Args:
        dataroot_lq: folder of LQ images.
        dataroot_gt: folder of GT images.
        filename_tmpl_lq: stem of an LQ file, `{}` being what a pair shares, e.g. "{}x4".
        filename_tmpl_gt: stem of a GT file.
        num_images: use the first so many pairs; null uses all.
        seed: unused, nothing here is random.

    Raises:
        UserError: no pairs, a file without partner, or sizes that do not fit.
    """

    def __init__(
        self,
        dataroot_lq: str,
        dataroot_gt: str,
        filename_tmpl_lq: str = "{}",
        filename_tmpl_gt: str = "{}",
        num_images: Positive | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.pairs = match_pairs(dataroot_lq, dataroot_gt, filename_tmpl_lq, filename_tmpl_gt)[:num_images]
        self.names = unique_names([gt for _, gt in self.pairs])
        for pair in self.pairs:
            with contextlib.suppress(ImageError):  # reported when it is its turn
                check_ratio(pair, [image_size(path) for path in pair])

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def targets(self) -> list[Path]:
        return [gt for _, gt in self.pairs]

    def __getitem__(self, index: int) -> EvalItem:
        lq, gt = (read_rgb(path) for path in self.pairs[index])
        return EvalItem(name=self.names[index], lq=lq, size=(gt.shape[0], gt.shape[1]), gt=gt)


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
        scale: Scale,
        num_images: Positive | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.paths = find_photos(dataroot_lq)[:num_images]
        self.names = unique_names(self.paths)
        self.scale = scale

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def targets(self) -> list[Path]:
        return self.paths

    def __getitem__(self, index: int) -> EvalItem:
        lq = read_rgb(self.paths[index])
        return EvalItem(name=self.names[index], lq=lq, size=scaled_size((lq.shape[0], lq.shape[1]), self.scale))


def _centre_crop(image: AnyImage, n_crop: int | None) -> Shaped[np.ndarray, "crop_h crop_w *c"]:
    """The middle `n_crop` pixels of each axis, or what there is of it; the whole image for None."""
    rows, columns = (slice(max(0, (n - (n_crop or n)) // 2), None) for n in image.shape[:2])
    return image[rows, columns][:n_crop, :n_crop]
