"""LQ and GT files of a real data set that belong together."""

from collections.abc import Sequence
from pathlib import Path

from realciao.errors import OptionError, UserError
from realciao.images.paths import images_by_name
from realciao.images.reading import size_text


def match_pairs(
    dataroot_lq: str, dataroot_gt: str, tmpl_lq: str = "{}", tmpl_gt: str = "{}"
) -> list[tuple[Path, Path]]:
    """(lq, gt) files by their place below the two folders and the part of the stem that `{}` stands for, in GT's order.

    Files whose stem does not follow the template are no part of the set, so that both kinds may lie in one folder:
    RealSR's Canon_001_LR4.png and Canon_001_HR.png match by "{}_LR4" and "{}_HR".

    Raises:
        OptionError: a template without `{}`.
        UserError: a folder without images, a file without partner, or two files that answer to one name.
    """
    lq, gt = _by_name(dataroot_lq, tmpl_lq, "filename_tmpl_lq"), _by_name(dataroot_gt, tmpl_gt, "filename_tmpl_gt")
    for mine, theirs, folder, tmpl in ((gt, lq, dataroot_lq, tmpl_lq), (lq, gt, dataroot_gt, tmpl_gt)):
        lonely = [name for name in mine if name not in theirs]
        if lonely:
            wanted = Path(folder) / lonely[0]
            wanted = wanted.with_name(f"{tmpl.format(wanted.name)}.*")
            more = f" (and {len(lonely) - 1} more)" if len(lonely) > 1 else ""
            raise UserError(f"{mine[lonely[0]]}: has no partner {wanted}{more}")
    return [(lq[name], gt[name]) for name in gt]


def _by_name(folder: str, tmpl: str, option: str) -> dict[str, Path]:
    if tmpl.count("{}") != 1:
        raise OptionError(option, f"must hold {{}} once, for the part of the name that a pair shares; is '{tmpl}'")
    return images_by_name(Path(folder).expanduser(), tmpl)


def check_ratio(
    pair: tuple[Path, ...], sizes: Sequence[tuple[int, int]], scale_range: tuple[float, float] = (1, 30)
) -> None:
    """Raises UserError unless one scale in the range explains both axes, give or take a pixel of the LQ image.

    Args:
        pair: (lq, gt) files, for the message.
        sizes: their heights and widths.
        scale_range: smallest and largest scale.
    """
    lq_size, gt_size = sizes
    axes = list(zip(gt_size, lq_size, strict=True))
    least = max(n_gt / (n_lq + 1) for n_gt, n_lq in axes)
    most = min(n_gt / (n_lq - 1) if n_lq > 1 else float("inf") for n_gt, n_lq in axes)
    shown = " and ".join(f"{path} ({size_text(size)})" for path, size in zip(pair, sizes, strict=True))
    ratios = " and ".join(f"{n_gt / n_lq:.3f}" for n_gt, n_lq in axes)
    if least > most:
        raise UserError(f"{shown}: the ratios {ratios} of heights and widths differ; the two show different extents")
    low, high = scale_range
    if most < low or least > high or any(n_gt < n_lq for n_gt, n_lq in axes):
        raise UserError(f"{shown}: the ratios {ratios} of heights and widths are not in [{low:g}, {high:g}]")
