"""Validation on real LQ and GT images."""

import contextlib

from realciao.batch import EvalItem
from realciao.data.checks import check_least
from realciao.data.headers import upright_size
from realciao.data.pair_files import check_ratio, match_pairs
from realciao.data.photos import unique_names
from realciao.data.roles import ValSet
from realciao.image import ImageError, read_rgb
from realciao.registry import DATASET_REGISTRY


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
        num_images: int | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_least("num_images", num_images, 1)
        self.pairs = match_pairs(dataroot_lq, dataroot_gt, filename_tmpl_lq, filename_tmpl_gt)[:num_images]
        self.names = unique_names([gt for _, gt in self.pairs])
        for pair in self.pairs:
            with contextlib.suppress(ImageError):  # reported when it is its turn
                check_ratio(pair, [upright_size(path) for path in pair])

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> EvalItem:
        lq, gt = (read_rgb(path) for path in self.pairs[index])
        return EvalItem(name=self.names[index], lq=lq, size=(gt.shape[0], gt.shape[1]), gt=gt)
