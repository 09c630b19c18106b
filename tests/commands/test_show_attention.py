"""The picture of the attention: its weights are those that make the result, and its panels what their labels say."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exit_status import exit_status
from PIL import Image

from realciao.archs import build_network
from realciao.commands import show_attention
from realciao.errors import UserError
from realciao.images.reading import to_array, to_tensor, write_image
from realciao.upscaling.attention_picture import blended, draw_ensemble, heaviest, moved_share
from realciao.upscaling.attention_weights import Ensemble, read_ensemble
from realciao.weights.checkpoint import save_weights


def make_net(decoder: str = "CiaoSRDecoder", **settings: Any) -> Any:
    torch.manual_seed(0)
    encoder = {"type": "EDSREncoder", "num_feat": 4, "num_block": 1}
    spec = {"type": decoder, "hidden": [8], **settings}
    return build_network({"type": "CiaoSR", "encoder": encoder, "decoder": spec}).eval()


def make_photo(height: int = 21, width: int = 17) -> Any:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def read(scale: float = 8, roi: tuple[int, int, int, int] = (2, 5, 9, 12), **settings: Any) -> Ensemble:
    return read_ensemble(make_net(non_local_scales=[], **settings), make_photo(), scale, roi)


@pytest.mark.parametrize("scale", [1.0, 2.0, 2.37, 8.0])
def test_the_result_is_that_part_of_the_whole(scale: float) -> None:
    net, photo = make_net(non_local_scales=[]), make_photo()
    size = round(21 * scale), round(17 * scale)
    whole = to_array(net.upscale(to_tensor(photo), size))
    everywhere = read_ensemble(net, photo, scale, (0, 0, 21, 17))
    np.testing.assert_allclose(everywhere.result, whole, atol=1e-5)
    part = read_ensemble(net, photo, scale, (3, 4, 9, 12))
    # the rows and the columns whose centres lie in the region
    rows, columns = ((np.arange(n) + 0.5) / n * m for n, m in zip(size, (21, 17), strict=True))
    rows, columns = (rows >= 3) & (rows < 9), (columns >= 4) & (columns < 12)
    np.testing.assert_allclose(part.result, whole[rows][:, columns], atol=1e-5)
    np.testing.assert_allclose(part.learned, everywhere.learned[:, rows][:, :, columns], atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"ensemble": "mlp"}, {"neighbours": "liif"}, {"feat_unfold": False}])
def test_the_weights_of_a_query_sum_to_one(settings: dict[str, Any]) -> None:
    ensemble = read(**settings)
    for weights in (ensemble.learned, ensemble.area):
        np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-5)
        assert weights.min() >= 0
    assert 0 < moved_share(ensemble).max() <= 1


def test_keys_that_are_all_alike_weigh_a_quarter_each() -> None:
    net = make_net(non_local_scales=[])
    for parameter in net.decoder.imnet_k.last.parameters():
        torch.nn.init.zeros_(parameter)
    assert np.array_equal(np.unique(read_ensemble(net, make_photo(), 8, (2, 5, 9, 12)).learned), [0.25])


def test_pixels_blended_by_area_are_bilinear_interpolation() -> None:
    ensemble = read(roi=(0, 0, 21, 17))
    photo = to_tensor(make_photo())
    expected = to_array(F.interpolate(photo, (168, 136), mode="bilinear", align_corners=False))
    np.testing.assert_allclose(blended(ensemble, ensemble.area)[8:-8, 8:-8], expected[8:-8, 8:-8], atol=1e-5)


def test_the_pixel_that_weighs_most_by_area_is_the_nearest_one() -> None:
    ensemble = read(roi=(2, 5, 9, 12))
    expected = make_photo()[2:9, 5:12].repeat(8, axis=0).repeat(8, axis=1)
    assert np.array_equal(heaviest(ensemble, ensemble.area), expected)


def test_area_weights_leave_the_mean_place_at_the_query() -> None:
    ensemble = read()
    np.testing.assert_allclose((ensemble.area[..., None] * ensemble.offset).sum(axis=0), 0, atol=1e-5)


def test_many_queries_are_weighed_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read()
    monkeypatch.setattr("realciao.upscaling.attention_weights.QUERIES_PER_STEP", 100)
    for one, other in zip(read(), whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("roi", [(2, 5, 9, 12), (0, 0, 21, 3), (4, 2, 5, 17)])
def test_the_picture_shows_the_result_pixel_by_pixel_in_its_last_panel(roi: tuple[int, int, int, int]) -> None:
    ensemble = read(roi=roi)
    height, width = ensemble.result.shape[:2]
    zoom = -(-384 // max(height, width))
    picture = draw_ensemble(ensemble)
    column = max(width * zoom, 384) + 28
    bottom, left = len(picture) - 28, 28 + 3 * column
    panel = picture[bottom - height * zoom : bottom : zoom, left : left + width * zoom : zoom]
    assert np.abs(panel / 255 - ensemble.result).max() < 0.5 / 255 + 1e-6
    assert picture.shape[1] == 28 + 4 * column


run = partial(exit_status, show_attention.main)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    write_image(tmp_path / "photo.png", make_photo())
    save_weights(make_net(), tmp_path / "net.safetensors")
    return tmp_path / "photo.png", tmp_path / "net.safetensors"


def test_the_command_writes_the_picture_and_says_how_much_moved(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, weights = files
    out = tmp_path / "out.png"
    assert run("-i", photo, "-o", out, "-m", weights, "--scale", 4, "--roi", 2, 3, 8, 9) == 0
    assert "attention moved" in capsys.readouterr().out
    before = Image.open(out).size
    assert run("-i", photo, "-o", out, "-m", weights) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("-i", photo, "-o", out, "-m", weights, "--overwrite") == 0
    assert before == (4 * (384 + 28) + 28, 2 * (28 + 46 + 36 + 384) + 28)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--roi", 2, 3, 2, 9), "is not (y0, x0, y1, x1)"),
        (("--roi", 0, 0, 22, 9), "inside the image of 17x21"),
        (("--scale", 0.5), "--scale 0.5"),
        (("--scale", "nan"), "--scale nan"),
        (("--scale", 100, "--roi", 0, 0, 21, 17), "give a smaller region"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[object, ...],
    says: str,
) -> None:
    photo, weights = files
    assert run("-i", photo, "-o", tmp_path / "out.png", "-m", weights, *options) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


def test_decoders_that_learn_no_weights_are_refused() -> None:
    with pytest.raises(UserError, match="LIIFDecoder learns no ensemble weights"):
        read_ensemble(make_net("LIIFDecoder"), make_photo(), 4, (0, 0, 4, 4))
    with pytest.raises(UserError, match="local_size 1"):
        read_ensemble(make_net(local_size=1), make_photo(), 4, (0, 0, 4, 4))
