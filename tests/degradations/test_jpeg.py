"""JPEG in torch against the real libjpeg, through OpenCV."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
import torch

from degradations.compression import JPEG
from degradations.jpeg import SUBSAMPLINGS, jpeg

PHOTOS = [
    Path(skimage.__file__).parent / "data" / n for n in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
]
if "REALCIAO_SHARED" in os.environ:  # more of them, where there are
    PHOTOS += sorted((Path(os.environ["REALCIAO_SHARED"]) / "data/val/CID22").glob("*.png"))
FACTORS = {
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
}


def _photo(path: Path, height: int, width: int) -> np.ndarray:
    photo = cv2.imread(str(path))
    assert photo is not None
    return np.ascontiguousarray(photo[60 : 60 + height, 130 : 130 + width, ::-1])


def _tensor(rgb: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rgb.astype(np.float32) / 255).permute(2, 0, 1)[None]


def _ours(rgb: np.ndarray, quality: list[int], subsampling: str) -> np.ndarray:
    """The image at each quality, as 8-bit levels."""
    out = jpeg(_tensor(rgb).expand(len(quality), -1, -1, -1), quality, subsampling)
    return (out * 255).round().permute(0, 2, 3, 1).numpy()


def _theirs(rgb: np.ndarray, quality: list[int], subsampling: str) -> np.ndarray:
    done = []
    for q in quality:
        options = [cv2.IMWRITE_JPEG_QUALITY, q, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, FACTORS[subsampling]]
        decoded = cv2.imdecode(cv2.imencode(".jpg", rgb[:, :, ::-1], options)[1], cv2.IMREAD_COLOR)
        assert decoded is not None
        done.append(decoded[:, :, ::-1])
    return np.stack(done).astype(np.float32)


def _psnr(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """One number for each quality, equal images counting as 80 dB."""
    mse = ((ours - theirs) ** 2).mean(axis=(1, 2, 3)) / 255**2
    return -10 * np.log10(np.maximum(mse, 1e-8))


@pytest.mark.parametrize("subsampling", FACTORS)
def test_it_is_far_closer_to_libjpeg_than_libjpeg_is_to_the_image(subsampling):
    # every quality from 10 to 95 under at least one subsampling
    quality = list(range(10 + list(FACTORS).index(subsampling), 96, 3))
    photos = [_photo(path, 128, 144) for path in PHOTOS]
    theirs = [_theirs(photo, quality, subsampling) for photo in photos]
    ours = [_ours(photo, quality, subsampling) for photo in photos]
    psnr = np.mean([_psnr(*pair) for pair in zip(ours, theirs, strict=True)], axis=0)
    loss = np.mean([_psnr(photo[None], t) for photo, t in zip(photos, theirs, strict=True)], axis=0)
    assert min(psnr) >= 48, dict(zip(quality, psnr, strict=True))
    assert (psnr > loss + 5).all()


@pytest.mark.parametrize("subsampling", FACTORS)
@pytest.mark.parametrize("size", [(37, 53), (101, 67), (16, 9), (37, 4), (5, 3), (1, 40), (40, 1)])
def test_borders_of_any_size_are_filled_as_libjpeg_does(size, subsampling):
    quality = [10, 20, 30, 60, 90]
    crops = [_photo(path, *size) for path in PHOTOS]
    pairs = [(_ours(c, quality, subsampling), _theirs(c, quality, subsampling)) for c in crops]
    assert np.mean([_psnr(*pair) for pair in pairs], axis=0).min() >= 46
    assert np.mean([_psnr(o[:, -8:], t[:, -8:]) for o, t in pairs], axis=0).min() >= 46
    assert np.mean([_psnr(o[:, :, -8:], t[:, :, -8:]) for o, t in pairs], axis=0).min() >= 46


@pytest.mark.parametrize("subsampling", FACTORS)
@pytest.mark.parametrize("value", [(0, 0, 0), (255, 255, 255), (255, 0, 255), (17, 130, 201)])
def test_flat_images_take_libjpegs_colour(value, subsampling):
    flat = np.tile(np.array(value, np.uint8), (24, 24, 1))
    quality = [1, 10, 50, 90, 100]
    # a rounding of luma or chroma may fall to the other side, which is one step of the table's first entry
    assert np.abs(_ours(flat, quality, subsampling) - _theirs(flat, quality, subsampling))[3:].max() <= 2
    assert np.isfinite(_ours(flat, quality, subsampling)).all()


def test_each_image_has_its_own_quality_and_subsampling():
    image = _tensor(_photo(PHOTOS[0], 48, 40)).expand(4, -1, -1, -1)
    params = [
        {"quality": 20},
        {"quality": 90, "subsampling": "4:4:4"},
        {"quality": 55, "subsampling": "4:2:2"},
        {"quality": 90, "subsampling": "4:2:0"},
    ]
    together = JPEG.apply_batch(params, image)
    for p, one in zip(params, together, strict=True):
        expected = jpeg(image[:1], [p["quality"]], p.get("subsampling", "4:2:0"))[0]
        assert (one - expected).abs().max() < 1e-6
    assert (together[1] - together[3]).abs().max() > 0.01


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_the_ends_of_the_quality_scale_are_finite_and_the_input_stays(subsampling):
    images = torch.rand(4, 3, 33, 18, generator=torch.Generator().manual_seed(0)) * 3 - 1
    kept = images.clone()
    out = jpeg(images, [0, 1, 100, 120], subsampling)
    assert torch.equal(images, kept)
    assert torch.isfinite(out).all()
    assert out.min() >= 0
    assert out.max() <= 1
    torch.testing.assert_close(out[0], jpeg(images, [1] * 4, subsampling)[0])
    torch.testing.assert_close(out * 255, (out * 255).round(), atol=1e-4, rtol=0)
    assert (jpeg(images.clamp(0, 1), [0, 1, 100, 120], subsampling) - out).abs().max() == 0


def test_gray_stays_gray():
    gray = _tensor(_photo(PHOTOS[1], 40, 56))[:, :1].expand(-1, 3, -1, -1)
    out = jpeg(gray, [40], "4:2:0")
    assert torch.equal(out[:, 0], out[:, 1])
    assert torch.equal(out[:, 0], out[:, 2])


def test_without_its_roundings_full_chroma_is_the_identity_and_so_is_the_gradient():
    image = (_tensor(_photo(PHOTOS[2], 32, 40)) * 0.5 + 0.25).requires_grad_()
    weight = torch.rand(image.shape, generator=torch.Generator().manual_seed(1))
    out = jpeg(image, [95], "4:4:4")
    (out * weight).sum().backward()
    torch.testing.assert_close(image.grad, weight, atol=1e-4, rtol=1e-4)
    assert torch.equal(out.detach(), jpeg(image.detach(), [95], "4:4:4"))


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2"])
def test_the_gradient_of_subsampled_chroma_is_that_of_averaging_and_interpolating(subsampling):
    # the sum of all outputs: averaging and interpolating away from the border keep it
    image = torch.full((1, 3, 48, 48), 0.5, requires_grad=True)
    weight = torch.zeros(1, 3, 48, 48)
    weight[:, :, 16:32, 16:32] = torch.tensor([0.3, 0.5, 0.2])[:, None, None]
    (jpeg(image, [95], subsampling) * weight).sum().backward()
    assert image.grad is not None
    torch.testing.assert_close(image.grad.sum((0, 2, 3)), weight.sum((0, 2, 3)), atol=1e-2, rtol=1e-4)
