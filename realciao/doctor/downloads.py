"""Files that libraries fetch by themselves the first time; without a network they must be put there."""

from collections.abc import Iterator
from pathlib import Path

from realciao.doctor import Finding, check

VGG = "vgg19-dcbb9e9d.pth"


@check
def vgg() -> Iterator[Finding]:
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / VGG
    if path.is_file():
        yield Finding("VGG19", "ok", str(path))
    else:
        cure = f"with a network nothing; else put {VGG} there, or name it: perceptual_opt.vgg_weights: PATH"
        yield Finding("VGG19", "warn", f"the perceptual loss will download {path}", cure)


@check
def iqa_parameters() -> Iterator[Finding]:
    """NIQE's come with BasicSR; BRISQUE's with no package."""
    from realciao.metrics.iqa_params import BRISQUE_PTH, niqe_gaussian

    _, source = niqe_gaussian(None)
    yield Finding("NIQE", "ok", source)
    from pyiqa.utils.download_util import DEFAULT_CACHE_DIR

    path = Path(DEFAULT_CACHE_DIR) / BRISQUE_PTH
    if path.is_file():
        yield Finding("BRISQUE", "ok", str(path))
    else:
        cure = "with a network nothing; else evaluate.py --iqa_params FOLDER, one that holds LIVE's allmodel"
        yield Finding("BRISQUE", "warn", f"pyiqa will download {path}", cure)
