"""Noise where it arises: in the raw image of a sensor, before the camera makes a picture of it.

The picture is taken back to raw, shot and read noise are added there, and it is developed again; so the noise comes
out stronger in some tones and colours than in others, and spread over pixels by the demosaicing. After Brooks et al.,
"Unprocessing Images for Learned Raw Denoising" (CVPR 2019), whose ranges and camera matrices these are, except that
every part is inverted exactly: without noise and mosaic the picture stays as it is. Demosaicing is by Malvar, He and
Cutler's 5 x 5 filters (ICASSP 2004).
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from degradations.noise import field
from degradations.noise_fields import normal_field
from degradations.registry import DEGRADATION_REGISTRY, Frame, Params, Step
from degradations.tensors import mirror_padded
from degradations.values import Range, RangeSpec, draw_seed, happens, probability

PATTERNS = ("rggb", "grbg", "gbrg", "bggr")

# XYZ to camera of four cameras, and linear sRGB (D65) to XYZ
XYZ_TO_CAMERA = np.array(
    [
        [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]],
        [[0.4913, -0.0541, -0.0202], [-0.6130, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],
        [[0.8380, -0.2630, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],
        [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.0970, 0.1581, 0.5181]],
    ]
)
RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)

# what a missing colour is made of; by where its neighbours are: around, left and right, above and below, at the corners
_AROUND = np.array([[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]])
_BESIDE = np.array([[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2], [0, -2, 0, -2, 0], [0, 0, 1, 0, 0]])
_CORNERS = np.array([[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]])
DEMOSAIC_FILTERS = np.stack([_AROUND, _BESIDE, _BESIDE.T, _CORNERS]).astype(np.float32) / 16


@DEGRADATION_REGISTRY.register()
class CameraNoise(Step):
    """Shot and read noise of a sensor, seen through a camera's processing; clips to [0, 1].

    In raw, where white is 1 before the gains are taken off, the variance at x is shot * x + read. It fades out towards
    white, as on a sensor, which has no noise where it is saturated.

    Args:
        shot: noise of one photon at white, that is 1 / the photons that white has; drawn log-uniformly. The read noise
            follows from it: log read is normal around 2.18 log shot + 1.20 with a deviation of 0.26.
        mosaic_prob: probability that the sensor sees one colour a pixel, under a Bayer pattern in one of its four phases.
        red_gain: of the white balance, relative to green.
        blue_gain: likewise.
        exposure: how bright raw is, relative to what white needs. Brooks et al. have a normal law, 0.8 +- 0.1.
    """

    def __init__(
        self,
        shot: RangeSpec = (0.0001, 0.012),
        mosaic_prob: float = 1.0,
        red_gain: RangeSpec = (1.9, 2.4),
        blue_gain: RangeSpec = (1.5, 1.9),
        exposure: RangeSpec = (0.6, 1.0),
    ) -> None:
        self.shot = Range.parse("shot", shot, at_least=1e-6, at_most=1)
        self.mosaic_prob = probability("mosaic_prob", mosaic_prob)
        self.red_gain = Range.parse("red_gain", red_gain, at_least=0.1, at_most=10)
        self.blue_gain = Range.parse("blue_gain", blue_gain, at_least=0.1, at_most=10)
        self.exposure = Range.parse("exposure", exposure, at_least=0.01, at_most=10)

    def sample(self, rng: np.random.Generator, frame: Frame) -> Params:
        shot = self.shot.draw_log(rng)
        exposure = self.exposure.draw(rng)
        gains = [self.red_gain.draw(rng) / exposure, 1 / exposure, self.blue_gain.draw(rng) / exposure]
        return {
            "shot": shot,
            "read": math.exp(2.18 * math.log(shot) + 1.20 + 0.26 * float(rng.standard_normal())),
            "gains": gains,
            "rgb_to_camera": draw_camera(rng).tolist(),
            "pattern": PATTERNS[int(rng.integers(4))] if happens(rng, self.mosaic_prob) else None,
            "seed": draw_seed(rng),
        }

    @classmethod
    def apply(cls, params: Params, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        height, width = image.shape[:2]
        # along an axis of one pixel a Bayer pattern would lack a colour
        image = cv2.copyMakeBorder(image, 0, int(height == 1), 0, int(width == 1), cv2.BORDER_REPLICATE)
        to_camera, gains = np.array(params["rgb_to_camera"]), np.array(params["gains"], np.float32)
        light = _to_light(np.clip(image, 0, 1))
        raw = light @ to_camera.T.astype(np.float32) / gains
        deviation = np.sqrt(np.maximum(raw, 0) * np.float32(params["shot"]) + np.float32(params["read"]))
        deviation *= 1 - _saturation(light.mean(2, keepdims=True))
        raw += deviation * field(params["seed"]).standard_normal(raw.shape, np.float32)
        balanced = raw * gains
        if params["pattern"]:
            balanced = demosaic(balanced, params["pattern"])
        light = balanced @ np.linalg.inv(to_camera).T.astype(np.float32)
        return _to_picture(np.clip(light, 0, 1))[:height, :width]

    @classmethod
    def apply_batch(cls, params: Sequence[Params], images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Differentiable, but for the clipping."""
        height, width = images.shape[-2:]
        images = F.pad(images, (0, int(width == 1), 0, int(height == 1)), mode="replicate")
        to_camera = images.new_tensor([p["rgb_to_camera"] for p in params])
        from_camera = images.new_tensor(np.linalg.inv([p["rgb_to_camera"] for p in params]))
        gains = images.new_tensor([p["gains"] for p in params])[:, :, None, None]
        light = _to_light_torch(images)
        raw = torch.einsum("bij,bjhw->bihw", to_camera, light) / gains
        shot, read = (images.new_tensor([p[key] for p in params])[:, None, None, None] for key in ("shot", "read"))
        variance = raw.clamp(min=0) * shot + read
        deviation = variance.clamp(min=1e-20).sqrt() * (1 - _saturation(light.mean(1, keepdim=True)))
        noise = torch.stack([normal_field(p["seed"], False, image) for p, image in zip(params, images, strict=True)])
        balanced = (raw + deviation * noise) * gains
        balanced = _demosaic_torch(balanced, [p["pattern"] for p in params])
        light = torch.einsum("bij,bjhw->bihw", from_camera, balanced)
        return _to_picture_torch(light)[..., :height, :width]


def draw_camera(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """A matrix from linear sRGB to a camera's colours that keeps gray: the four cameras, mixed at random."""
    weights = rng.random(4)
    matrix = np.tensordot(weights / weights.sum(), XYZ_TO_CAMERA, 1) @ RGB_TO_XYZ
    return matrix / matrix.sum(1, keepdims=True)


def demosaic(image: Float[np.ndarray, "h w 3"], pattern: str) -> Float[np.ndarray, "h w 3"]:
    """Forgets, at every pixel, the two colours that the pattern has not there, and fills them in; 2 x 2 or more."""
    sites, sources = _layout(pattern, *image.shape[:2])
    mosaic = np.take_along_axis(image, sites[:, :, None], 2)
    planes = [mosaic]  # without repeating the edge, a mirrored mosaic goes on in its pattern
    planes += [
        cv2.filter2D(mosaic, -1, kernel, borderType=cv2.BORDER_REFLECT_101)[..., None] for kernel in DEMOSAIC_FILTERS
    ]
    return np.choose(sources, planes)


def _demosaic_torch(images: Float[Tensor, "b 3 h w"], patterns: Sequence[str | None]) -> Float[Tensor, "b 3 h w"]:
    height, width = images.shape[-2:]
    layouts = [_layout(pattern or PATTERNS[0], height, width) for pattern in patterns]
    sites = torch.from_numpy(np.stack([sites for sites, _ in layouts])).to(images.device)
    sources = torch.from_numpy(np.stack([sources for _, sources in layouts])).to(images.device)
    mosaic = images.gather(1, sites[:, None])
    filters = torch.from_numpy(DEMOSAIC_FILTERS)[:, None].to(images)
    filled = torch.cat([mosaic, F.conv2d(mirror_padded(mosaic, 2), filters)], 1).gather(1, sources.permute(0, 3, 1, 2))
    keep = torch.tensor([pattern is None for pattern in patterns], device=images.device)
    return torch.where(keep[:, None, None, None], images, filled)


def _layout(pattern: str, height: int, width: int) -> tuple[Int[np.ndarray, "h w"], Int[np.ndarray, "h w 3"]]:
    """The channel that each pixel has; and where its three colours come from: itself (0) or which filter (1 to 4)."""
    sites = np.array(["rgb".index(colour) for colour in pattern]).reshape(2, 2)
    sources = np.empty((2, 2, 3), np.int64)
    for i, j, colour in np.ndindex(2, 2, 3):
        if sites[i, j] == colour:
            sources[i, j, colour] = 0
        elif colour == 1:
            sources[i, j, colour] = 1
        elif sites[i, j] == 1:
            sources[i, j, colour] = 2 if sites[i, 1 - j] == colour else 3
        else:
            sources[i, j, colour] = 4
    rows, columns = np.arange(height)[:, None] % 2, np.arange(width) % 2
    return sites[rows, columns], sources[rows, columns]


def _saturation(luma: Any) -> Any:
    """0 up to a brightness of 0.9, then growing to 1 at white."""
    return ((luma - 0.9).clip(0) / 0.1) ** 2


def _to_light(picture: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """Takes off the tone curve 3 x^2 - 2 x^3 and then sRGB's; [0, 1] stays [0, 1]."""
    # the root of the cubic by the sine of a third of an angle, from the nearer end, as the other loses digits
    angle = np.arcsin(np.sqrt(np.minimum(picture, 1 - picture))) / 3
    toneless = np.sin(angle) ** 2 + np.float32(math.sqrt(3) / 2) * np.sin(2 * angle)
    toneless = np.where(picture > 0.5, 1 - toneless, toneless)
    return np.where(toneless <= 0.04045, toneless / 12.92, ((toneless + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _to_picture(light: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.clip(coded * coded * (3 - 2 * coded), 0, 1).astype(np.float32)


def _to_light_torch(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    picture = picture.clamp(0, 1)
    # a hair's breadth from the end, where the slope is infinite
    angle = torch.where(picture > 0.5, 1 - picture, picture).clamp(min=1e-9).sqrt().asin() / 3
    toneless = angle.sin() ** 2 + math.sqrt(3) / 2 * (2 * angle).sin()
    toneless = torch.where(picture > 0.5, 1 - toneless, toneless)
    return torch.where(toneless <= 0.04045, toneless / 12.92, ((toneless.clamp(min=0.04) + 0.055) / 1.055) ** 2.4)


def _to_picture_torch(light: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    light = light.clamp(0, 1)
    coded = torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp(min=0.003) ** (1 / 2.4) - 0.055)
    return (coded * coded * (3 - 2 * coded)).clamp(0, 1)
