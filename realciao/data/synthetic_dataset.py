"""Training pairs synthesised on the fly: crop a photo, degrade it at a random scale, ask for HR pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from msgspec import Meta

import degradations
from realciao.batch import TrainBatch
from realciao.data.build import build_recipe
from realciao.data.datasets import Count, Positive, SampleIndex, Scale, TrainSet
from realciao.data.device_degradation import collate_crops, crop_item, degrade_crops
from realciao.data.geometry import largest_crop, plan_crop
from realciao.data.image_store import ImageStore
from realciao.data.photos import find_photos
from realciao.data.queries import make_queries
from realciao.data.train_item import Place, orientation, oriented, place_item, random_corner, train_item
from realciao.errors import OptionError
from realciao.images.reading import to_rgb
from realciao.randomness import Stream, stream
from realciao.registry import DATASET_REGISTRY


class Sample(NamedTuple):
    """All that is random about an item."""

    plan: degradations.Plan
    place: Place
    gt: Float[np.ndarray, "hr_h hr_w 3"]
    """The HR crop."""


@DATASET_REGISTRY.register()
class SyntheticDataset(TrainSet):
    """Photos in, degraded pairs out.

    Random points (`lq_size`, `sample_q`) have a scale of their own in each sample; windows (`window`, `margin`) share
    one per global batch, so that LR patches agree in size. Scales are uniform in the range, or drawn from a list. Where
    a photo is smaller than the crop that a draw needs, the next one in the order of the files takes its place: nothing
    is padded.

    Args:
        dataroot_gt: HR photos, see `find_photos`.
        pipeline: a degradation recipe by name, YAML file or spec.
        lq_size: edge of the LR patch for random points.
        sample_q: HR pixels queried per sample.
        window: edge of the HR window, a multiple of 8; instead of `lq_size` and `sample_q`.
        margin: LR pixels of context on each side of a window.
        scales: the scales to draw from, e.g. [2, 3, 4]; null for all of the run's range (the paper's Table 5 compares the two).
        use_hflip: mirror every other sample, at random.
        use_rot: turn each sample by a random multiple of 90 degrees.
        executor: who carries out the plans: `opencv` in the loader's workers, or `torch` on the training device.
        scale_range: smallest and largest scale, at least 1.
        seed: of every random choice.
        gt_usm: whether items hold the sharpened target.

    Raises:
        OptionError: a wrong key or recipe.
        UserError: no images, none that can be read, or none that is large enough for every scale.
    """

    def __init__(
        self,
        dataroot_gt: str | list[str],
        pipeline: str | dict[str, Any],
        lq_size: Positive | None = None,
        sample_q: Positive | None = None,
        window: int | None = None,
        margin: Count = 4,
        scales: Annotated[tuple[Scale, ...], Meta(min_length=1)] | None = None,
        use_hflip: bool = True,
        use_rot: bool = True,
        executor: Literal["opencv", "torch"] = "opencv",
        *,
        scale_range: tuple[float, float],
        seed: int,
        gt_usm: bool,
    ) -> None:
        self.queries = make_queries(lq_size, sample_q, window, margin)
        self.pipeline = build_recipe(pipeline)
        self.use_hflip = use_hflip
        self.use_rot = use_rot
        self.executor = executor
        self.scale_range = scale_range
        if scales and not scale_range[0] <= min(scales) <= max(scales) <= scale_range[1]:
            raise OptionError("scales", f"{list(scales)} go beyond the run's scale_range {list(scale_range)}")
        self.scales = scales
        self.seed = seed
        self.gt_usm = gt_usm
        patch_size = self.queries.patch_size
        least = plan_crop(patch_size(scale_range[0]), scale_range[0]).n_hr
        most = largest_crop(patch_size, scale_range)
        why = f"scales up to {scale_range[1]:g} with {self.queries} need crops of {most} px a side"
        self._store = ImageStore([(path,) for path in find_photos(dataroot_gt)], seed)
        self._store.require(least, most, why)

    @property
    def skipped(self) -> int:
        return self._store.skipped

    @property
    def targets(self) -> list[Path]:
        return [entry[-1] for entry in self._store.entries]

    def __getitem__(self, index: SampleIndex) -> Any:
        sample = self.draw(index)
        if self.executor == "torch":
            return crop_item(sample.plan, sample.place, sample.gt)
        # sharpened whole, before the patch is cut: its reach is 25 px
        lq, gt_usm = degradations.pair(sample.plan, sample.gt)
        return train_item(sample.place, lq, sample.gt, gt_usm if self.gt_usm else None)

    def draw(self, index: SampleIndex) -> "Sample":
        """Draws a sample: the photo's crop, the degradation, and the HR pixels."""
        rng = stream(self.seed, index.draw)
        scale = self._scale(rng, index.step)
        crop = plan_crop(self.queries.patch_size(scale), scale)
        gt = self._crop(rng, index.draw, crop.n_hr)
        plan = self.pipeline.sample(rng, size=(crop.n_hr, crop.n_hr), scale=scale)
        return Sample(
            plan, place_item(rng, self.queries, crop.corner(rng), crop.n_patch, plan["lr_size"], plan["size"]), gt
        )

    def collate(self, items: Sequence[Any]) -> Any:
        return collate_crops(items) if self.executor == "torch" else super().collate(items)

    def finish(self, batch: Any) -> TrainBatch:
        return degrade_crops(batch, self.gt_usm) if self.executor == "torch" else super().finish(batch)

    def _scale(self, rng: np.random.Generator, step: int) -> float:
        shared = self.queries.one_scale_per_batch
        generator = stream(self.seed, step, Stream.STEP) if shared else rng
        return float(generator.choice(self.scales) if self.scales else generator.uniform(*self.scale_range))

    def _crop(self, rng: np.random.Generator, draw: int, n_hr: int) -> Float[np.ndarray, "n_hr n_hr 3"]:
        (photo,) = self._store.take(draw, n_hr)
        top, left = random_corner(rng, photo.shape[:2], n_hr)
        crop = photo[top : top + n_hr, left : left + n_hr]
        return to_rgb(oriented(crop, *orientation(rng, self.use_hflip, self.use_rot)))
