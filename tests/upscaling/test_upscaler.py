import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

import realciao
from realciao.errors import UserError
from realciao.images.reading import AnyImage, to_float
from realciao.upscaling import bands as tile_bands
from realciao.upscaling import tile_size as tile_memory
from realciao.upscaling.upscaler import SizeError, Upscaler, choose_device, output_size
from realciao.weights.shipped import find_weights

SPEC = {
    "type": "CiaoSR",
    "encoder": {"type": "EDSREncoder", "num_feat": 16, "num_block": 2},
    "decoder": {"type": "CiaoSRDecoder", "hidden": [16, 16], "non_local_scales": []},
}
SCALES = [1, 1.37, 2.5, 3.1416, 7.9, 0.4, (1.5, 3.3), (4, 0.7)]
some = settings(max_examples=25, deadline=None, derandomize=True)


class Bilinear(nn.Module):
    """A network that interpolates: what it must give is known without it."""

    def __init__(self) -> None:
        super().__init__()
        self.multiple = 1
        self.reach_px = 2

    def prepare(
        self, lq: Tensor, frame: tuple[int, int, int, int], dense: bool
    ) -> tuple[Tensor, tuple[int, int, int, int]]:
        return lq, frame

    def query_grid(self, prepared: Any, ys: Tensor, xs: Tensor, cell: Tensor) -> Tensor:
        lq, (top, left, height, width) = prepared
        h, w = lq.shape[2:]
        y = ((ys.double() + 1) * height / 2 - top) * 2 / h - 1
        x = ((xs.double() + 1) * width / 2 - left) * 2 / w - 1
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None].float()
        return F.grid_sample(lq, grid, padding_mode="border", align_corners=False)

    def decode(self, prepared: Any, ys: Tensor, xs: Tensor, cell: Tensor) -> Iterator[Tensor]:
        for band in ys.split(7):
            yield self.query_grid(prepared, band, xs, cell)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return realciao.build_network(SPEC).eval()


def _photo(size: tuple[int, int] = (21, 31), channels: int = 3, dtype: Any = np.float32) -> AnyImage:
    shape = size if channels == 1 else (*size, channels)
    noise = np.random.default_rng(0).random(shape, dtype=np.float32)
    return noise if dtype == np.float32 else np.rint(noise * np.iinfo(dtype).max).astype(dtype)


# --- tiles


@some
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    out=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    tile=st.integers(0, 24),
)
def test_tiled_bilinear_is_torchs_bilinear_at_any_size(size: tuple[int, int], out: tuple[int, int], tile: int) -> None:
    image = _photo(size)
    expected = F.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None], size=out, mode="bilinear")[0]
    result = Upscaler(Bilinear(), "cpu", tile, halo_px=2).upscale(image, size=out)
    np.testing.assert_allclose(result, expected.permute(1, 2, 0).numpy(), atol=2e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_tiled_equals_whole_equals_the_networks_own_upscale(net: nn.Module, scale: Any) -> None:
    image = _photo()
    size = output_size((21, 31), scale, None)
    expected = net.upscale(torch.from_numpy(image).permute(2, 0, 1)[None], size)[0].permute(1, 2, 0)  # type: ignore[operator]
    whole = Upscaler(net, "cpu", tile_px=0).upscale(image, scale)
    tiled = Upscaler(net, "cpu", tile_px=8).upscale(image, scale)
    np.testing.assert_allclose(whole, expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
    assert whole.std() > 0.05


@pytest.mark.parametrize("scale", SCALES)
def test_a_region_equals_that_part_of_the_whole(net: nn.Module, scale: Any) -> None:
    image, (y0, x0, y1, x1) = _photo(), (3, 5, 17, 28)
    whole = Upscaler(net, "cpu", tile_px=0).upscale(image, scale)
    height, width = whole.shape[:2]
    centre_y, centre_x = (np.arange(height) + 0.5) * 21 / height, (np.arange(width) + 0.5) * 31 / width
    inside = whole[(centre_y >= y0) & (centre_y < y1)][:, (centre_x >= x0) & (centre_x < x1)]
    for tile in (0, 8):
        region = Upscaler(net, "cpu", tile).upscale(image, scale, roi=(y0, x0, y1, x1))
        assert region.shape == inside.shape
        np.testing.assert_allclose(region, inside, atol=1e-4)


def test_without_its_halo_a_tile_shows(net: nn.Module) -> None:
    whole = Upscaler(net, "cpu", tile_px=0).upscale(_photo(), 2)
    bare = Upscaler(net, "cpu", tile_px=8, halo_px=0).upscale(_photo(), 2)
    assert np.abs(bare - whole).max() > 1e-2


def test_progress_grows_to_all_pixels_wanted() -> None:
    seen = []
    Upscaler(Bilinear(), "cpu", tile_px=0).upscale(
        _photo(), 3, progress=lambda done, wanted: seen.append((done, wanted))
    )
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == (63 * 93, 63 * 93)


def test_a_large_image_is_tiled_by_itself_and_so_is_one_that_memory_would_not_hold(
    net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscaler = Upscaler(net, "cpu")
    assert upscaler.halo_px == 6 + 2  # what two blocks reach, and the decoder's neighbours
    choose = partial(tile_memory.choose_tile, net, torch.device("cpu"), torch.float32, halo_px=8)
    cost = tile_memory.bytes_per_pixel(net, torch.device("cpu"), torch.float32)
    assert cost == tile_memory.ALIVE * 4 * (16 + 16)  # a block's convolution: 16 channels in and out
    monkeypatch.setattr(tile_memory, "CPU_BYTES", cost * 400**2)
    assert choose((400, 400)) == 0
    assert choose((400, 401)) == 400 - 2 * 8
    monkeypatch.setattr(tile_memory, "CPU_BYTES", cost)
    assert choose((256, 256)) == tile_memory.CPU_TILE_PX
    monkeypatch.setattr(tile_memory, "free_bytes", lambda device: cost * 100**2 / tile_memory.SHARE)
    assert choose((256, 256)) == 100 - 2 * 8


def test_a_network_that_enlarges_inside_gets_smaller_tiles() -> None:
    spec = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_block": 1, "num_feat": 64}
    encoder = {"type": "TrunkEncoder", "at": "map", "network": spec}
    net = realciao.build_network({"type": "CiaoSR", "encoder": encoder, "decoder": {"type": "ZeroDecoder"}})
    cost = tile_memory.bytes_per_pixel(net, torch.device("cpu"), torch.float32)
    assert cost == tile_memory.ALIVE * 4 * 16 * (64 + 64)  # a convolution at x4
    tile = tile_memory.choose_tile(net, torch.device("cpu"), torch.float32, (2000, 3000), halo_px=32)
    assert tile < tile_memory.CPU_TILE_PX
    assert (tile + 64) ** 2 * cost <= tile_memory.CPU_MOST_BYTES < (tile + 1 + 64) ** 2 * cost


class Forgetful(Bilinear):
    """A network for which tiles of more than `most` LR pixels are too large."""

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__()
        self.most, self.error, self.failures = most, error, 0

    def prepare(
        self, lq: Tensor, frame: tuple[int, int, int, int], dense: bool
    ) -> tuple[Tensor, tuple[int, int, int, int]]:
        if lq.shape[2] * lq.shape[3] > self.most:
            self.failures += 1
            raise self.error
        return super().prepare(lq, frame, dense)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("out of memory"), MemoryError(), RuntimeError("can't allocate memory: you tried")]
)
def test_where_memory_runs_out_tiles_are_halved_until_they_fit(error: Exception) -> None:
    image = _photo((150, 90))
    net = Forgetful(60 * 60, error)
    result = Upscaler(net, "cpu", tile_px=0).upscale(image, 2)
    assert net.failures == 2  # 150, 75 and 37 pixels
    np.testing.assert_allclose(result, Upscaler(Bilinear(), "cpu", tile_px=0).upscale(image, 2), atol=1e-5)
    with pytest.raises(UserError, match="out of memory on cpu"):
        Upscaler(Forgetful(10, error), "cpu").upscale(image, 2)
    with pytest.raises(RuntimeError, match="a bug"):
        Upscaler(Forgetful(10, RuntimeError("a bug")), "cpu").upscale(image, 2)


class Moody(Bilinear):
    """Runs out of memory in the middle of a tile, and no more when tiles are small."""

    def decode(self, prepared: Any, ys: Tensor, xs: Tensor, cell: Tensor) -> Iterator[Tensor]:
        for number, band in enumerate(super().decode(prepared, ys, xs, cell)):
            if number == 3 and prepared[0].shape[2] > 40:
                raise torch.OutOfMemoryError("out of memory")
            yield band


def test_where_memory_runs_out_on_the_way_what_is_made_stays_and_the_rest_comes_in_smaller_tiles() -> None:
    image = _photo((150, 40))
    rows = list(Upscaler(Moody(), "cpu", tile_px=64).upscale_bands(image, 2.5).rows)
    assert [len(band) for band in rows[:3]] == [7, 7, 7]
    whole = Upscaler(Bilinear(), "cpu", tile_px=0).upscale(image, 2.5)
    np.testing.assert_allclose(np.concatenate(rows), whole, atol=5e-5)


def test_nothing_is_made_before_it_is_asked_for_in_several_steps_neither() -> None:
    upscaler = Upscaler(Forgetful(0, RuntimeError("made")), "cpu")
    bands = upscaler.upscale_bands(_photo((6, 5)), 8, max_step=3)
    assert bands.shape == (48, 40, 3)
    with pytest.raises(RuntimeError, match="made"):
        bands.join()


def test_progress_is_one_over_all_steps_and_goes_on_where_memory_ran_out() -> None:
    for net, tile, options in ((Bilinear(), 0, {"max_step": 2}), (Moody(), 64, {})):
        seen: list[tuple[int, int]] = []
        image = _photo((150, 20))
        Upscaler(net, "cpu", tile).upscale(image, 3, **options, progress=lambda *state, seen=seen: seen.append(state))
        wanted = 450 * 60 + (300 * 40 if options else 0)
        assert seen == sorted(seen)
        assert seen[-1] == (wanted, wanted)
        assert {state[1] for state in seen} == {wanted}


class Spoilt(Bilinear):
    """Makes no numbers, as float16 may not when it overflows."""

    def query_grid(self, prepared: Any, ys: Tensor, xs: Tensor, cell: Tensor) -> Tensor:
        lq, frame = prepared
        return super().query_grid((lq.float(), frame), ys, xs, cell).to(lq.dtype) / 0


@pytest.mark.parametrize(("dtype", "cure"), [("float16", "give --fp32"), ("float32", "weights are broken")])
def test_a_result_that_is_no_number_is_an_error_and_not_black(dtype: Any, cure: str) -> None:
    with pytest.raises(UserError, match=f"not finite numbers.*{cure}"):
        Upscaler(Spoilt(), "cpu", dtype=dtype).upscale(_photo((3, 4)), 1)


def test_bands_come_as_they_are_made_and_join_to_the_result(net: nn.Module) -> None:
    image = _photo((60, 20), dtype=np.uint8)
    upscaler = Upscaler(net, "cpu", tile_px=16)
    bands = upscaler.upscale_bands(image, 2.5)
    assert bands.shape == (150, 50, 3)
    pieces = list(bands.rows)
    assert len(pieces) == 4
    assert np.array_equal(np.concatenate(pieces), upscaler.upscale(image, 2.5))


def test_bands_stay_small_however_large_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_bands, "BAND_BYTES", 15_000)
    monkeypatch.setattr(tile_bands, "SMALLEST_ROWS", 20)
    photo, whole = _photo((12, 14), dtype=np.uint8), {}
    cases: list[tuple[int | None, dict[str, Any]]] = [
        (0, {}),
        (8, {}),
        (None, {"back_projection": 1}),
        (None, {"ensemble": True}),
    ]
    for tile, dials in cases:
        pieces = list(Upscaler(Bilinear(), "cpu", tile, **dials).upscale_bands(photo, 13).rows)
        assert max(piece.nbytes for piece in pieces) <= 15_000
        assert max(map(len, pieces)) <= 26  # two rows of the photo
        whole[str(dials)] = np.concatenate(pieces).astype(int)
    exact = to_float(photo)
    expected = Upscaler(Bilinear(), "cpu", 0).upscale(exact, 13) * 255
    assert np.abs(whole["{}"] - expected).max() <= 0.51
    assert np.abs(whole["{'ensemble': True}"] - expected).max() <= 0.51


# --- where tiles only come close


def test_tiles_with_a_short_halo_fade_into_each_other(net: nn.Module) -> None:
    """Across the borders the gradient is no larger than elsewhere, which it is where tiles are cut hard."""
    image = np.random.default_rng(0).random((64, 64, 3), np.float32)
    whole = Upscaler(net, "cpu", tile_px=0).upscale(image, 3)
    faded = Upscaler(net, "cpu", tile_px=16, halo_px=2)
    assert faded.fade_px == 1
    result = faded.upscale(image, 3)
    border = np.abs(np.diff(result - whole, axis=0)).mean(axis=(1, 2))[47::48]
    faded.fade_px = 0
    hard = np.abs(np.diff(faded.upscale(image, 3) - whole, axis=0)).mean(axis=(1, 2))[47::48]
    assert border.max() < 0.5 * hard.max()
    assert np.abs(result - whole).mean() < 0.01


def test_a_network_that_reaches_far_gets_a_short_halo_unless_one_is_asked_for() -> None:
    far = Bilinear()
    far.reach_px = 131
    assert (Upscaler(far, "cpu").halo_px, Upscaler(far, "cpu").fade_px) == (32, 8)
    assert (Upscaler(far, "cpu", halo_px=131).halo_px, Upscaler(far, "cpu", halo_px=131).fade_px) == (131, 0)


# --- dials


@pytest.mark.parametrize("tile", [0, 8])
@pytest.mark.parametrize("scale", [2.5, (1.5, 3.3)])
def test_the_ensemble_is_the_mean_of_the_results_of_eight_turned_images(net: nn.Module, tile: int, scale: Any) -> None:
    image = 0.4 + 0.2 * _photo((13, 17))  # nothing that clipping would change
    plain = Upscaler(net, "cpu", 0)
    pair = scale if isinstance(scale, tuple) else (scale, scale)
    results = []
    for turns in range(4):
        for mirror in (False, True):
            turned = np.rot90(image, turns)
            turned = np.ascontiguousarray(turned[:, ::-1] if mirror else turned)
            size = output_size((13, 17), pair, None)
            result = plain.upscale(turned, size=size[::-1] if turns % 2 else size)
            results.append(np.rot90(result[:, ::-1] if mirror else result, -turns))
    expected = np.mean(results, axis=0)
    result = Upscaler(net, "cpu", tile, ensemble=True).upscale(image, scale)
    np.testing.assert_allclose(result, expected, atol=2e-5)
    assert np.abs(result - plain.upscale(image, scale)).max() > 1e-3


def _shrink(image: AnyImage, size: tuple[int, int]) -> AnyImage:
    """By another program: Pillow, bicubic."""
    channels = [Image.fromarray(image[:, :, c]).resize(size[::-1], Image.Resampling.BICUBIC) for c in range(3)]
    return np.stack(channels, axis=2)


@pytest.mark.parametrize("scale", [2, 3.3, (1.5, 4)])
def test_back_projection_makes_the_shrunk_result_agree_with_the_input_in_tiles_as_in_the_whole(
    net: nn.Module, scale: Any
) -> None:
    image = 0.3 + 0.4 * _shrink(_photo((90, 90)), (30, 34))  # nothing that clipping would change
    errors = []
    for times in (0, 3):
        whole = Upscaler(net, "cpu", 0, back_projection=times).upscale(image, scale)
        errors.append(np.abs(_shrink(whole, (30, 34)) - image).mean())
        tiled = Upscaler(net, "cpu", 8, back_projection=times).upscale(image, scale)
        np.testing.assert_allclose(tiled, whole, atol=1e-4)
    assert errors[1] < 0.25 * errors[0]


def test_between_two_weights_denoise_goes_from_the_second_to_the_first(tmp_path: Path) -> None:
    files, results = [tmp_path / "smooth.safetensors", tmp_path / "sharp.safetensors"], []
    for seed, file in enumerate(files):
        torch.manual_seed(seed)
        realciao.save_weights(realciao.build_network(SPEC), file)
        results.append(Upscaler.from_file(file, "cpu").upscale(_photo(), 2))
    for denoise, expected in ((1, results[0]), (0, results[1])):
        blended = Upscaler.from_file(files, "cpu", denoise=denoise).upscale(_photo(), 2)
        np.testing.assert_allclose(blended, expected, atol=1e-6)
    half = realciao.load_weights(files[0]), realciao.load_weights(files[1])
    middle = Upscaler.from_file(files, "cpu", denoise=0.25).net.state_dict()
    for name, tensor in half[0].state_dict().items():
        torch.testing.assert_close(middle[name], 0.25 * tensor + 0.75 * half[1].state_dict()[name])
    for wrong in ({"denoise": 2}, {}):
        with pytest.raises(UserError, match="denoise"):
            Upscaler.from_file(files, "cpu", **wrong)
    with pytest.raises(UserError, match="denoise"):
        Upscaler.from_file(files[0], "cpu", denoise=0.5)


def test_half_precision_comes_close(net: nn.Module) -> None:
    image = _photo()
    exact = Upscaler(net, "cpu", 8).upscale(image, 2.5)
    half = Upscaler(copy.deepcopy(net), "cpu", 8, dtype="bfloat16").upscale(image, 2.5)
    assert 0 < np.abs(half - exact).mean() < 0.01
    with pytest.raises(UserError, match="dtype 'int8' is not known"):
        Upscaler(net, "cpu", dtype="int8")  # type: ignore[arg-type]


# --- kinds of image


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_result_is_of_the_inputs_kind_and_at_scale_one_the_very_same(channels: int, dtype: Any) -> None:
    image = _photo((13, 17), channels, dtype)
    if channels in (2, 4):  # what is wholly transparent has no colour to keep
        image[..., -1] = np.maximum(image[..., -1], 1 / 255 if dtype == np.float32 else 1)
    result = Upscaler(Bilinear(), "cpu", tile_px=8).upscale(image, 1)
    assert result.dtype == dtype
    assert result.shape == image.shape
    np.testing.assert_allclose(result.astype(float), image.astype(float), atol=0 if dtype != np.float32 else 1e-5)


def test_grey_is_the_mean_of_what_the_network_makes_of_three_equal_channels(net: nn.Module) -> None:
    grey = _photo(channels=1)
    colour = Upscaler(net, "cpu").upscale(np.stack([grey] * 3, axis=2), 2.37)
    unclipped = np.abs(colour - 0.5).max(axis=2) < 0.5
    np.testing.assert_allclose(
        Upscaler(net, "cpu").upscale(grey, 2.37)[unclipped], colour.mean(axis=2)[unclipped], atol=1e-5
    )


@pytest.mark.parametrize("tile", [0, 8])
@pytest.mark.parametrize("size", [(50, 73), (11, 17)])
def test_alpha_is_opencvs_bicubic_and_the_colours_are_those_without_alpha(
    net: nn.Module, size: tuple[int, int], tile: int
) -> None:
    image = _photo(channels=4)
    result = Upscaler(net, "cpu", tile).upscale(image, size=size)
    expected = cv2.resize(image[:, :, 3], size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
    np.testing.assert_allclose(result[:, :, 3], expected, atol=1e-4)
    opaque = Upscaler(net, "cpu", tile).upscale(np.ascontiguousarray(image[:, :, :3]), size=size)
    np.testing.assert_allclose(result[:, :, :3], opaque, atol=1e-6)


def test_colours_hidden_by_alpha_do_not_reach_the_result(net: nn.Module) -> None:
    image = _photo(channels=4)
    image[5:15, 4:20, 3] = 0
    other = image.copy()
    other[5:15, 4:20, :3] = 1 - other[5:15, 4:20, :3]
    assert np.array_equal(Upscaler(net, "cpu").upscale(image, 2), Upscaler(net, "cpu").upscale(other, 2))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_what_is_an_array_by_another_name_is_its_array() -> None:
    grey = _photo(channels=1, dtype=np.uint8)
    assert np.array_equal(Upscaler(Bilinear(), "cpu").upscale(np.matrix(grey), np.array([1, 1])), grey)


def test_a_network_that_takes_no_coordinates_or_a_tile_that_is_no_number_of_pixels_is_one_line() -> None:
    with pytest.raises(UserError, match="Identity is no network for any scale"):
        Upscaler(nn.Identity(), "cpu")
    with pytest.raises(UserError, match=r"tile_px is 2\.5; give a whole number"):
        Upscaler(Bilinear(), "cpu", 2.5)  # type: ignore[arg-type]


def test_a_view_that_runs_backwards_is_an_image_too() -> None:
    image = _photo(dtype=np.uint8)[::-1, ::-1]
    assert np.array_equal(Upscaler(Bilinear(), "cpu").upscale(image, 1), image)


def test_an_input_is_never_changed(net: nn.Module) -> None:
    image = _photo(channels=4)
    image[:5, :, 3] = 0
    before = image.copy()
    Upscaler(net, "cpu").upscale(image, 1.5)
    assert np.array_equal(image, before)


# --- sizes and errors


@some
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)), scale=st.tuples(st.floats(0.05, 9.0), st.floats(0.05, 9.0))
)
def test_the_size_is_the_rounded_product_and_at_least_one_pixel(
    size: tuple[int, int], scale: tuple[float, float]
) -> None:
    result = Upscaler(Bilinear(), "cpu").upscale(_photo(size), scale)
    assert result.shape[:2] == tuple(max(1, round(n * s)) for n, s in zip(size, scale, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"scale": 2, "size": (4, 4)},
        {"scale": 0},
        {"scale": -1.5},
        {"scale": float("nan")},
        {"scale": float("inf")},
        {"scale": (2, 0)},
        {"scale": 1e6},
        {"scale": "2"},
        {"scale": 10**400},
        {"scale": (2, None)},
        {"scale": np.array([2, 2, 2])},
        {"size": 5},
        {"size": "55"},
        {"size": (0, 4)},
        {"size": (2.5, 4)},
        {"size": (10**6, 10**6)},
        {"scale": 2, "roi": (0, 0, 0, 4)},
        {"scale": 2, "roi": (3, 3, 2, 5)},
        {"scale": 2, "roi": (3, 3)},
        {"scale": 2, "roi": 3},
        {"scale": 2, "roi": (0, 0, 1.5, 2)},
        {"scale": 2, "roi": (0, 0, 10, 9)},
        {"size": (1, 1), "roi": (0, 0, 1, 1)},
        {"scale": 1e6, "max_step": 2},
        {"scale": 1e6, "max_step": 2, "roi": (0, 0, 1, 1)},
    ],
)
def test_a_size_or_region_that_cannot_be_made_is_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(SizeError) as caught:
        Upscaler(Bilinear(), "cpu").upscale(_photo((9, 9)), **wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.full((4, 4), np.nan, np.float32),
    ],
)
def test_what_is_no_image_is_refused(image: Any) -> None:
    with pytest.raises(UserError, match="image"):
        Upscaler(Bilinear(), "cpu").upscale(image, 2)


def test_a_weights_file_makes_the_upscaler_of_its_network(net: nn.Module, tmp_path: Path) -> None:
    realciao.save_weights(net, tmp_path / "net.safetensors")
    loaded = realciao.Upscaler.from_file(tmp_path / "net.safetensors", device="cpu")
    image = _photo(dtype=np.uint8)
    assert np.array_equal(loaded.upscale(image, scale=2.37), Upscaler(net, "cpu").upscale(image, 2.37))
    expected = net.upscale(torch.from_numpy(to_float(image)).permute(2, 0, 1)[None], (50, 73))  # type: ignore[operator]
    assert np.array_equal(loaded.upscale(image, 2.37), np.rint(expected[0].permute(1, 2, 0).numpy() * 255))


def test_missing_weights_are_one_line_that_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_weights(tmp_path / "net.safetensors")
    assert str(tmp_path / "net.safetensors") in str(caught.value)
    assert "realciao/train.py -opt options/quickstart.yml" in str(caught.value)
    assert "'real' and 'classical'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_or_missing_device_is_refused() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cuda", "mps", "cpu")
    with pytest.raises(UserError, match="not known"):
        choose_device("gpu")
    with pytest.raises(UserError, match="not available"):
        choose_device("cuda:99")


def test_steps_are_the_networks_own_one_after_the_other_unrounded(net: nn.Module) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    upscaler = Upscaler(net, "cpu")
    exact = (image / np.float32(255)).astype(np.float32)
    expected = upscaler.upscale(upscaler.upscale(exact, 3), size=(45, 55))
    stepped = upscaler.upscale(image, 5, max_step=3)
    assert stepped.dtype == np.uint8
    assert np.abs(stepped / 255 - expected).max() <= 0.5 / 255 + 1e-5
    assert np.array_equal(upscaler.upscale(image, 2, max_step=3), upscaler.upscale(image, 2))
    with pytest.raises(SizeError, match="2 steps"):
        upscaler.upscale(image, 5, max_step=3, roi=np.array([0, 0, 2, 2]))  # type: ignore[arg-type]


@pytest.mark.parametrize(("denoise", "end"), [(1.0, "real"), (0.0, "classical")])
def test_the_shipped_weights_lie_at_the_ends_of_the_dial(denoise: float, end: str) -> None:
    between, alone = (Upscaler.from_file(device="cpu", denoise=denoise), Upscaler.from_file(end, device="cpu"))
    for name, weight in alone.net.state_dict().items():
        assert torch.equal(between.net.state_dict()[name], weight), name
