"""Checkpoints of other architectures against spandrel's own reading of them."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import realciao
from realciao.errors import OptionError, UserError
from realciao.options.run import TeacherOptions
from realciao.registry import ARCH_REGISTRY, build
from realciao.training.teacher import LiveTeacher
from realciao.weights.networks import teacher_network
from realciao.weights.teachers import read_teacher
from realciao.weights.teaching import NoFeaturesError, RunningTeacher

spandrel = pytest.importorskip("spandrel", reason="spandrel is not installed")

PLAIN = {"rgb_mean": [0.0, 0.0, 0.0]}
LIIF = {"type": "LIIFDecoder", "hidden": [4]}


def make_span() -> nn.Module:
    from spandrel.architectures.SPAN import SPAN

    return SPAN(num_in_ch=3, num_out_ch=3, feature_channels=16, upscale=4)


def make_dat() -> nn.Module:
    from spandrel.architectures.DAT import DAT

    return DAT(embed_dim=16, split_size=[2, 4], depth=[2], num_heads=[2], expansion_factor=2.0, upscale=2)


def make_swinir() -> nn.Module:
    from spandrel.architectures.SwinIR import SwinIR

    sizes = {"depths": [2], "num_heads": [2], "window_size": 8, "mlp_ratio": 2.0}
    return SwinIR(img_size=16, embed_dim=8, upscale=3, upsampler="pixelshuffle", resi_connection="1conv", **sizes)


def make_esrgan() -> nn.Module:
    """In its oldest names, which numbers of a Sequential are."""
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(num_filters=8, num_blocks=1, scale=4)


MAKE = {"SPAN": make_span, "DAT": make_dat, "SwinIR": make_swinir, "ESRGAN": make_esrgan}
LAST = {"SPAN": "upsampler.0", "DAT": "conv_last", "SwinIR": "conv_last", "ESRGAN": "model.10"}
ATOL, FEAT_ATOL = {"SPAN": 3e-5}, {"SPAN": 1e-3}
"""SPAN works on values up to 255 in float32; which convolution is taken for which memory layout shows."""


@pytest.fixture(scope="module", params=MAKE)
def case(request: Any, tmp_path_factory: Any) -> tuple[str, Path, Any]:
    """An architecture, a checkpoint of it, and what spandrel makes of that."""
    torch.manual_seed(0)
    net = MAKE[request.param]().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
        net(torch.rand(1, 3, 32, 32))  # SPAN joins its convolutions as it runs
    path = tmp_path_factory.mktemp("spandrel") / "net.pth"
    torch.save(net.state_dict(), path)
    return request.param, path, spandrel.ModelLoader().load_from_state_dict(copy.deepcopy(net.state_dict()))


def draw(height: int = 20, width: int = 24) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def test_a_checkpoint_by_path_is_spandrels_model(case: tuple[str, Path, Any]) -> None:
    kind, path, judge = case
    teacher = read_teacher(path)
    assert teacher.scale == judge.scale
    if kind != "ESRGAN":
        assert teacher.network["type"] == "SpandrelNet"
        assert teacher.network["arch"].split(".")[0] == kind
    lq = draw(16, 24)
    torch.testing.assert_close(teacher.build()(lq), judge.model.eval()(lq), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(20, 24), (17, 30), (7, 9)])
@torch.no_grad()
def test_at_its_own_scale_a_teacher_for_any_scale_is_the_teacher(case: tuple[str, Path, Any], size: Any) -> None:
    kind, path, judge = case
    net: Any = teacher_network(read_teacher(path))
    lq = draw(*size)
    out = size[0] * judge.scale, size[1] * judge.scale
    expected = judge(lq)  # spandrel pads as the architecture asks
    found = net.upscale(lq, out)
    assert found.shape == (1, 3, *out)
    if kind in ("DAT", "SwinIR") and min(size) < 16:  # too small for them; spandrel pads in another way
        return
    torch.testing.assert_close(found, expected.clamp(0, 1), rtol=0, atol=ATOL.get(kind, 1e-5))


@torch.no_grad()
def test_the_map_and_the_networks_own_end_make_its_result(case: tuple[str, Path, Any]) -> None:
    kind, path, judge = case
    spec = {"type": "CiaoSR", "encoder": {"type": "TrunkEncoder", "weights": str(path), "at": "map"}, "decoder": LIIF}
    encoder: Any = realciao.build_network({**spec, **PLAIN}).eval().encoder
    lq = draw(16, 24)
    feat, base = encoder(lq)
    seen: list[Tensor] = []
    model = judge.model.eval()
    with model.get_submodule(LAST[kind]).register_forward_pre_hook(lambda _, args: seen.append(args[0].clone())):
        expected = model(lq)
    torch.testing.assert_close(feat, seen[-1], rtol=0, atol=FEAT_ATOL.get(kind, 1e-5))
    torch.testing.assert_close(base, expected, rtol=0, atol=1e-5)
    # from the map on, the end of the architecture, as its code has it
    end = model.get_submodule(LAST[kind])(feat)
    if kind == "SPAN":
        end = nn.functional.pixel_shuffle(end, 4)
    elif kind in ("DAT", "SwinIR"):
        end = end / model.img_range + model.mean
    torch.testing.assert_close(end, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_trunk_is_what_the_last_convolution_at_the_images_size_receives(case: tuple[str, Path, Any]) -> None:
    kind, path, judge = case
    first = {"SPAN": "upsampler.0", "DAT": "upsample.0", "SwinIR": "upsample.0", "ESRGAN": "model.1.sub.1"}[kind]
    spec = {"type": "CiaoSR", "encoder": {"type": "TrunkEncoder", "weights": str(path)}, "decoder": LIIF}
    encoder: Any = realciao.build_network({**spec, **PLAIN}).eval().encoder
    seen: list[Tensor] = []
    model = judge.model.eval()
    with model.get_submodule(first).register_forward_pre_hook(lambda _, args: seen.append(args[0].clone())):
        model(draw(16, 24))
    torch.testing.assert_close(encoder(draw(16, 24)), seen[-1], rtol=0, atol=FEAT_ATOL.get(kind, 1e-5))


@pytest.mark.parametrize("at", ["trunk", "map"])
def test_convolutions_are_cut_and_attention_runs_whole(case: tuple[str, Path, Any], at: str) -> None:
    kind, path, _ = case
    spec = {"type": "CiaoSR", "encoder": {"type": "TrunkEncoder", "weights": str(path), "at": at}, "decoder": LIIF}
    encoder: Any = realciao.build_network({**spec, **PLAIN}).encoder
    # behind the convolution that receives ESRGAN's trunk map, a skip connection reads the image's first map, too
    cut = kind == "SPAN" or (kind, at) == ("ESRGAN", "trunk")
    assert (encoder.tail is not None) is (cut and at == "map")
    assert encoder.keeps is (cut or at == "trunk")
    assert isinstance(encoder.trunk, torch.fx.GraphModule) is cut


def test_a_live_teacher_shares_its_trunk_where_one_pass_gives_both_and_else_runs_beside_it(
    case: tuple[str, Path, Any],
) -> None:
    kind, path, judge = case
    teacher, device = read_teacher(path), torch.device("cpu")
    live = LiveTeacher(teacher, TeacherOptions(model=str(path)), device, shares_trunk=True)
    lesson = live.running(draw(16, 24))
    assert (lesson.kept is not None) is (kind == "SPAN")
    assert lesson.taught.shape == (1, 3, 16 * judge.scale, 24 * judge.scale)
    if kind != "SPAN":
        with pytest.raises(NoFeaturesError, match="leave --features out"):
            RunningTeacher(teacher, device, features=True)


def test_a_student_is_rebuilt_from_its_file_alone(case: tuple[str, Path, Any], tmp_path: Path) -> None:
    _, path, _ = case
    own = tmp_path / "gone.pth"
    own.write_bytes(path.read_bytes())
    spec = {"type": "CiaoSR", "encoder": {"type": "TrunkEncoder", "weights": str(own), "at": "map"}, "decoder": LIIF}
    net: Any = realciao.build_network({**spec, **PLAIN}).eval()
    realciao.save_weights(net, tmp_path / "net.safetensors")
    lq = draw()
    expected = net.upscale(lq, (33, 41))
    assert torch.equal(copy.deepcopy(net).upscale(lq, (33, 41)), expected)
    own.unlink()
    again: Any = realciao.load_weights(tmp_path / "net.safetensors")
    assert torch.equal(again.upscale(lq, (33, 41)), expected)


def test_other_networks_of_spandrels_are_refused_in_one_line(tmp_path: Path) -> None:
    from spandrel.architectures.SPAN import SPAN

    for sizes, says in (
        ({"upscale": 8}, "a SPAN network, x8, 3 channels to 3; a teacher makes RGB of RGB, x2, x3 or x4"),
        ({"upscale": 1}, "a SPAN network, x1"),
        ({"num_in_ch": 1, "num_out_ch": 1, "upscale": 2}, "a SPAN network, x2, 1 channels to 1"),
    ):
        net = SPAN(**{"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 4, **sizes})
        torch.save(net.state_dict(), tmp_path / "net.pth")
        with pytest.raises(UserError) as caught:
            read_teacher(tmp_path / "net.pth")
        assert str(caught.value).startswith(f"{tmp_path / 'net.pth'}: {says}")
        assert "\n" not in str(caught.value)


def test_shapes_that_do_not_fit_the_architecture_are_one_line(tmp_path: Path) -> None:
    state = make_span().state_dict()
    state["conv_cat.weight"] = torch.zeros(5)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"net\.pth: spandrel cannot load it") as caught:
        read_teacher(tmp_path / "net.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arch", "says"),
    [
        ("SPAM", "spandrel has no architecture 'SPAM'"),
        ("os", "spandrel has no architecture 'os'"),
        ("__arch_helpers", "is no name of an architecture"),
        ("../SPAN", "is no name of an architecture"),
        ("SPAN.StateDict", "has no network of that name"),
        ("SPAN.SPANArch", "has no network of that name"),
        ("SPAN.os", "has no network of that name"),
    ],
)
def test_a_spec_reaches_networks_and_nothing_else(arch: str, says: str) -> None:
    with pytest.raises(OptionError, match=r"network\.arch") as caught:
        build(ARCH_REGISTRY, {"type": "SpandrelNet", "arch": arch}, "network")
    assert says in str(caught.value)


def test_without_spandrel_one_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(make_span().state_dict(), tmp_path / "net.pth")
    monkeypatch.setitem(__import__("sys").modules, "spandrel", None)
    with pytest.raises(
        UserError, match=r'install spandrel: python -m pip install -c constraints.txt -e "\.\[spandrel\]"'
    ):
        read_teacher(tmp_path / "net.pth")
