"""Training pairs from real LQ and GT images, such as RealSR's and DRealSR's."""

from pathlib import Path

from realciao.batch import TrainBatch
from realciao.data.datasets import Count, Positive, SampleIndex, TrainSet
from realciao.data.image_store import ImageStore
from realciao.data.pair_files import check_ratio, match_pairs
from realciao.data.queries import make_queries
from realciao.data.randomness import stream
from realciao.data.train_item import orientation, oriented, place_item, random_corner, train_item
from realciao.registry import DATASET_REGISTRY


@DATASET_REGISTRY.register()
class PairedDataset(TrainSet):
    """LQ images in, patches of them out with HR pixels of their GT; the scale of a pair is the ratio of its sizes.

    Windows (`window`, `margin`) take LQ patches of one size, that which the smallest ratio of the set needs, so that
    patches agree in a batch whatever the pairs in it; pairs of a larger ratio get more context.

    Args:
        dataroot_lq: folder of LQ images.
        dataroot_gt: folder of GT images.
        filename_tmpl_lq: stem of an LQ file, `{}` being what a pair shares, e.g. "{}x4".
        filename_tmpl_gt: stem of a GT file.
        lq_size: edge of the LQ patch for random points.
        sample_q: HR pixels queried per sample.
        window: edge of the HR window, a multiple of 8; instead of `lq_size` and `sample_q`.
        margin: LQ pixels of context on each side of a window.
        use_hflip: mirror every other sample, at random.
        use_rot: turn each sample by a random multiple of 90 degrees.
        scale_range: what ratios are allowed.
        seed: of every random choice.
        gt_usm: whether items hold a sharpened target; real pairs have none, so it is GT itself.

    Raises:
        OptionError: a wrong key.
        UserError: no pairs, a file without partner, sizes that do not fit, or no pair that is large enough.
    """

    def __init__(
        self,
        dataroot_lq: str,
        dataroot_gt: str,
        filename_tmpl_lq: str = "{}",
        filename_tmpl_gt: str = "{}",
        lq_size: Positive | None = None,
        sample_q: Positive | None = None,
        window: int | None = None,
        margin: Count = 4,
        use_hflip: bool = True,
        use_rot: bool = True,
        *,
        scale_range: tuple[float, float],
        seed: int,
        gt_usm: bool,
    ) -> None:
        self.queries = make_queries(lq_size, sample_q, window, margin)
        self.use_hflip = use_hflip
        self.use_rot = use_rot
        self.seed = seed
        self.gt_usm = gt_usm
        self._store = ImageStore(match_pairs(dataroot_lq, dataroot_gt, filename_tmpl_lq, filename_tmpl_gt), seed)
        for pair, sizes in zip(self._store.entries, self._store.sizes, strict=True):
            check_ratio(pair, sizes, scale_range)
        ratios = [n_gt / n_lq for lq, gt in self._store.sizes for n_gt, n_lq in zip(gt, lq, strict=True)]
        self.n_patch = self.queries.patch_size(min(ratios))
        self._store.require(self.n_patch, self.n_patch, f"{self.queries} needs LQ patches of {self.n_patch} px a side")

    @property
    def skipped(self) -> int:
        return self._store.skipped

    @property
    def targets(self) -> list[Path]:
        return [entry[-1] for entry in self._store.entries]

    def __getitem__(self, index: SampleIndex) -> TrainBatch:
        rng = stream(self.seed, index.draw)
        turn = orientation(rng, self.use_hflip, self.use_rot)
        lq, gt = (oriented(image, *turn) for image in self._store.take(index.draw, self.n_patch))
        corner = random_corner(rng, lq.shape[:2], self.n_patch)
        place = place_item(rng, self.queries, corner, self.n_patch, lq.shape[:2], gt.shape[:2])
        return train_item(place, lq, gt, gt if self.gt_usm else None)
