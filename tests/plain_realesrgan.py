"""Real-ESRGAN's own synthesis by BasicSR's code: what the OpenCV executor is timed against, and judged by in distribution.

`RealESRGANModel.feed_data` itself is run, on a stand-in for the model that has no networks, no GPU and no pool; the kernels
are those of `RealESRGANDataset`, which BasicSR makes while it reads a file and offers in no function. All numbers are those
of the released x4plus options.
"""

import contextlib
import math
import random
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

import degradations  # noqa: F401  (its shim must precede basicsr)

from basicsr.data.degradations import circular_lowpass_kernel, random_mixed_kernels
from basicsr.models import realesrgan_model
from basicsr.utils import DiffJPEG, USMSharp
from basicsr.utils.img_process_util import filter2D, usm_sharp

OPTIONS: dict[str, Any] = {
    "scale": 4,
    "resize_prob": [0.2, 0.7, 0.1],
    "resize_range": [0.15, 1.5],
    "gaussian_noise_prob": 0.5,
    "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3],
    "gray_noise_prob": 0.4,
    "jpeg_range": [30, 95],
    "second_blur_prob": 0.8,
    "resize_prob2": [0.3, 0.4, 0.3],
    "resize_range2": [0.3, 1.2],
    "gaussian_noise_prob2": 0.5,
    "noise_range2": [1, 25],
    "poisson_scale_range2": [0.05, 2.5],
    "gray_noise_prob2": 0.4,
    "jpeg_range2": [30, 95],
}
KINDS = ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
KIND_PROBS = [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
SIGMA_PX = ([0.2, 3], [0.2, 1.5])
"""Of the first and of the second blur."""
SIZES = range(7, 22, 2)
SINC_PROB, FINAL_SINC_PROB = 0.1, 0.8

Sharpener = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b 3 h w"]]


JPEG = Callable[..., Float[Tensor, "b 3 h w"]]
"""Images and, as `quality`, a number for each."""
Filter = Callable[[Float[Tensor, "b c h w"], Float[Tensor, "b k k"]], Float[Tensor, "b c h w"]]
BasicsrJPEG = partial(DiffJPEG, differentiable=False)


class LibJPEG:
    """Real JPEG in the place of BasicSR's."""

    def __call__(self, images: Float[Tensor, "b 3 h w"], quality: Float[Tensor, "b"]) -> Float[Tensor, "b 3 h w"]:
        return torch.stack([self._through(*pair) for pair in zip(images, quality, strict=True)])

    def _through(self, image: Float[Tensor, "3 h w"], quality: Tensor) -> Float[Tensor, "3 h w"]:
        eight_bit = (image.permute(1, 2, 0).flip(-1) * 255).round().byte().numpy()
        _, file = cv2.imencode(".jpg", eight_bit, [cv2.IMWRITE_JPEG_QUALITY, round(quality.item())])
        back = cv2.imdecode(file, cv2.IMREAD_COLOR)
        return torch.from_numpy(back).flip(-1).permute(2, 0, 1) / 255


def published_filter(images: Float[Tensor, "b c h w"], kernels: Float[Tensor, "b k k"]) -> Float[Tensor, "b c h w"]:
    """BasicSR's filter takes views, which the layout of its own JPEG's result on a CPU does not allow."""
    return filter2D(images.contiguous(), kernels)


def quick_filter(images: Float[Tensor, "b c h w"], kernels: Float[Tensor, "b k k"]) -> Float[Tensor, "b c h w"]:
    """The same by OpenCV, in a tenth of the time."""
    pairs = zip(images.permute(0, 2, 3, 1).numpy(), kernels.numpy(), strict=True)
    filtered = (cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101) for image, kernel in pairs)
    return torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in filtered])


def straight_interpolate(images: Float[Tensor, "b c h w"], **how: Any) -> Float[Tensor, "b c h w"]:
    """Without the drift: the pixels of a size that was rounded down are laid over the whole image."""
    return F.interpolate(images, **how, recompute_scale_factor=True if "scale_factor" in how else None)


class Parts(NamedTuple):
    """What the model gets from elsewhere in BasicSR."""

    jpeg: JPEG
    filter: Filter = published_filter
    interpolate: Callable[..., Float[Tensor, "b c h w"]] = F.interpolate


def seed(number: int) -> None:
    """Seeds the three global generators that BasicSR draws from."""
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def draw_kernels() -> tuple[Float[Tensor, "21 21"], Float[Tensor, "21 21"], Float[Tensor, "21 21"]]:
    """The kernels of both blurs and of the final filter, padded to 21."""
    first, second = (_draw_blur(sigma_px) for sigma_px in SIGMA_PX)
    final = np.ones((1, 1))
    if np.random.uniform() < FINAL_SINC_PROB:
        final = circular_lowpass_kernel(np.random.uniform(math.pi / 3, math.pi), random.choice(SIZES))
    return _padded(first), _padded(second), _padded(final)


def degrade(
    gt: Float[Tensor, "b 3 h w"], sharpener: Sharpener, gt_size: int, parts: Parts | None = None
) -> tuple[Float[Tensor, "b 3 lq_h lq_w"], Float[Tensor, "b 3 n n"]]:
    """Kernels and all that the model does with a batch: the LR crop, and the sharpened crop of `gt_size` it belongs to.

    Args:
        parts: in the place of BasicSR's own.
    """
    parts = parts or Parts(BasicsrJPEG().to(gt.device))
    kernels = [torch.stack(kinds) for kinds in zip(*(draw_kernels() for _ in gt), strict=True)]
    model: Any = SimpleNamespace(
        opt={**OPTIONS, "gt_size": gt_size},
        is_train=True,
        device=gt.device,
        jpeger=parts.jpeg,
        usm_sharpener=sharpener,
        _dequeue_and_enqueue=lambda: None,
    )
    data = dict(zip(("kernel1", "kernel2", "sinc_kernel"), kernels, strict=True))
    with _in_the_model(parts):
        realesrgan_model.RealESRGANModel.feed_data(model, {"gt": gt, **data})
    return model.lq, model.gt_usm


def published_sharpener() -> Sharpener:
    """The sharpening as the model does it: two dense convolutions of 51x51."""
    return USMSharp()


def quick_sharpener(images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """The same by BasicSR's function for single images, which takes a hundredth of the time."""
    return torch.stack([torch.from_numpy(usm_sharp(i.permute(1, 2, 0).numpy())).permute(2, 0, 1) for i in images])


def _draw_blur(sigma_px: list[float]) -> Float[np.ndarray, "k k"]:
    size = random.choice(SIZES)
    if np.random.uniform() < SINC_PROB:
        return circular_lowpass_kernel(np.random.uniform(math.pi / (3 if size < 13 else 5), math.pi), size)
    angles, beta_gaussian, beta_plateau = [-math.pi, math.pi], [0.5, 4], [1, 2]
    return random_mixed_kernels(KINDS, KIND_PROBS, size, sigma_px, sigma_px, angles, beta_gaussian, beta_plateau)


def _padded(kernel: Float[np.ndarray, "k k"]) -> Float[Tensor, "21 21"]:
    return torch.from_numpy(np.pad(kernel, (21 - len(kernel)) // 2)).float()


@contextlib.contextmanager
def _in_the_model(parts: Parts) -> Iterator[None]:
    own = realesrgan_model.filter2D, realesrgan_model.F
    realesrgan_model.filter2D, realesrgan_model.F = parts.filter, SimpleNamespace(interpolate=parts.interpolate)
    try:
        yield
    finally:
        realesrgan_model.filter2D, realesrgan_model.F = own
