"""Bicubic as a network against the function that evaluation uses, and against Pillow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from realciao.archs import build_network
from realciao.errors import OptionError
from realciao.images.reading import to_array, to_tensor, upscale_bicubic
from realciao.training.optim import build_optimizer
from realciao.upscaling.upscaler import Upscaler
from realciao.weights.checkpoint import load_weights, save_weights

SPEC = {
    "type": "CiaoSR",
    "encoder": {"type": "IdentityEncoder"},
    "decoder": {"type": "BicubicDecoder"},
    "res": False,
}


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (3, 3), (20, 31)])
@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 2.37, 4.0, 12.3])
def test_it_is_the_bicubic_interpolation_of_evaluation(size: tuple[int, int], scale: float) -> None:
    lq, net = photo(*size), build_network(SPEC)
    target = round(size[0] * scale), round(size[1] * scale)
    ours = to_array(net.upscale(to_tensor(lq), target))
    np.testing.assert_allclose(ours, upscale_bicubic(lq, target), rtol=0, atol=1e-5)


def test_it_is_pillows_bicubic() -> None:
    lq = photo(16, 21)
    ours = to_array(build_network(SPEC).upscale(to_tensor(lq), (40, 63)))
    planes = [Image.fromarray(lq[:, :, c]).resize((63, 40), Image.Resampling.BICUBIC) for c in range(3)]
    np.testing.assert_allclose(ours, np.stack(planes, axis=-1).clip(0, 1), rtol=0, atol=1e-5)


def test_tiles_give_what_the_whole_gives() -> None:
    lq, net = photo(50, 61), build_network(SPEC)
    whole = Upscaler(net, "cpu", tile_px=0).upscale(lq, 2.37)
    tiles = Upscaler(net, "cpu", tile_px=16).upscale(lq, 2.37)
    assert Upscaler(net, "cpu").halo_px == 2
    np.testing.assert_allclose(tiles, whole, rtol=0, atol=1e-6)


def test_it_has_nothing_to_train_and_an_optimizer_says_so_in_one_line() -> None:
    net = build_network(SPEC)
    assert not list(net.parameters())
    with pytest.raises(OptionError, match="nothing to train") as caught:
        build_optimizer({"type": "Adam", "lr": 1e-4}, "stages.0.optim_g", net.named_parameters())
    assert caught.value.path == "stages.0.optim_g"
    assert "\n" not in str(caught.value)


def test_it_saves_and_loads_like_any_network(tmp_path: Path) -> None:
    net: Any = build_network(SPEC)
    save_weights(net, tmp_path / "bicubic.safetensors")
    loaded: Any = load_weights(tmp_path / "bicubic.safetensors")
    lq = torch.rand(1, 3, 6, 7)
    torch.testing.assert_close(loaded.upscale(lq, (14, 15)), net.upscale(lq, (14, 15)), rtol=0, atol=0)
