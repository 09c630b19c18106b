"""The reader of ncnn's files against files written here by hand, and against what the library itself makes of an image."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realciao.errors import UserError
from realciao.weights.catalogue import TEACHERS
from realciao.weights.ncnn import Layer, read_ncnn
from realciao.weights.teachers import read_teacher

PARAM, BIN = "net.param", "net.bin"
CONV = "Convolution conv 1 1 data out 0=2 1=1 5=1 6=4"
CONV_BYTES = b"\0\0\0\0" + np.arange(6, dtype="<f4").tobytes()


def write(folder: Path, layers: list[Layer], half: list[bool]) -> tuple[Path, Path]:
    """Convolutions in float16 where `half` says so, with a ReLU, which holds nothing, behind each layer."""
    lines, numbers = ["Input data 0 1 data"], b""
    for i, layer in enumerate(layers):
        out, weight = len(layer.weight), layer.weight.numpy()
        if layer.kind == "Convolution":
            bias = int(layer.bias is not None)
            keys = f"0={out} 1={weight.shape[2]} 2=1 4=1 5={bias} 6={weight.size} -23310=1,2.000000e-01"
            data = weight.astype("<f2" if half[i] else "<f4").tobytes()
            numbers += (0x01306B47 if half[i] else 0).to_bytes(4, "little") + data + bytes(-len(data) % 4)
            numbers += b"" if layer.bias is None else layer.bias.numpy().astype("<f4").tobytes()
        else:
            keys = f"0={out}"
            numbers += weight.astype("<f4").tobytes()
        lines += [f"{layer.kind} layer{i} 1 1 blob{i} blob{i}a {keys}", f"ReLU relu{i} 1 1 blob{i}a blob{i + 1}"]
    param, path = folder / PARAM, folder / BIN
    param.write_text(f"7767517\n{len(lines)} {len(lines)}\n" + "\n".join(lines) + "\n")
    path.write_bytes(numbers)
    return param, path


@st.composite
def networks(draw: Any) -> tuple[list[Layer], list[bool]]:
    rng = np.random.default_rng(draw(st.integers(0, 999)))

    def numbers(*shape: int) -> torch.Tensor:  # that float16 holds, too
        return torch.from_numpy(rng.standard_normal(shape).astype(np.float16).astype(np.float32))

    layers = []
    for kind in draw(st.lists(st.sampled_from(["Convolution", "PReLU"]), max_size=4)):
        out = draw(st.integers(1, 5))
        if kind == "PReLU":
            layers.append(Layer(kind, numbers(out)))
            continue
        side = draw(st.sampled_from([1, 3, 5]))
        bias = numbers(out) if draw(st.booleans()) else None
        layers.append(Layer(kind, numbers(out, draw(st.integers(1, 4)), side, side), bias))
    return layers, draw(st.lists(st.booleans(), min_size=len(layers), max_size=len(layers)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(network=networks())
def test_what_was_written_is_read(network: tuple[list[Layer], list[bool]], tmp_path_factory: Any) -> None:
    layers, half = network
    found = read_ncnn(*write(tmp_path_factory.mktemp("ncnn"), layers, half))
    assert [layer.kind for layer in found] == [layer.kind for layer in layers]
    for one, other in zip(found, layers, strict=True):
        assert torch.equal(one.weight, other.weight)
        assert (one.bias is None) == (other.bias is None)
        assert one.bias is None or other.bias is None or torch.equal(one.bias, other.bias)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(network=networks(), share=st.floats(0, 0.999), more=st.integers(1, 9))
def test_numbers_that_lack_or_are_left_are_one_line(
    network: tuple[list[Layer], list[bool]], share: float, more: int, tmp_path_factory: Any
) -> None:
    param, numbers = write(tmp_path_factory.mktemp("ncnn"), *network)
    data = numbers.read_bytes()
    for changed in (data[: int(share * len(data))], data + bytes(more)):
        if changed != data:
            numbers.write_bytes(changed)
            assert_one_line(param, numbers, str(numbers))


def assert_one_line(param: Path, numbers: Path, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read_ncnn(param, numbers)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "data", "says"),
    [
        ("", b"", "not a .param file of ncnn"),
        ("<html>\n", b"", "not a .param file of ncnn"),
        ("7767516\n1 1\n", b"", "not a .param file of ncnn"),
        (f"7767517\n1 1\n{CONV}\n", b"\x38\x4b\x0d\0" + bytes(24), "an unknown kind (tag 0xd4b38)"),
        (f"7767517\n1 1\n{CONV.replace('6=4', '6=-4')}\n", CONV_BYTES, "ends before the layers do"),
        (f"7767517\n1 1\n{CONV.replace('6=4', '6=99999999999999')}\n", CONV_BYTES, "ends before the layers do"),
        (f"7767517\n1 1\n{CONV.replace('6=4', '6=3')}\n", CONV_BYTES, "a line that is no layer: Convolution conv"),
        (f"7767517\n1 1\n{CONV.replace(' 6=4', '')}\n", CONV_BYTES, "a line that is no layer: Convolution conv"),
        (f"7767517\n1 1\n{CONV.replace('0=2', '0=two')}\n", CONV_BYTES, "a line that is no layer: Convolution conv"),
        ("7767517\n1 1\nConvolution\n", b"", "a line that is no layer: Convolution"),
        ("7767517\n1 1\nInnerProduct fc 1 1 a b 0=2\n", b"", "a layer of type InnerProduct"),
    ],
)
def test_other_files_are_one_line(text: str, data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / PARAM).write_text(text)
    (tmp_path / BIN).write_bytes(data)
    assert_one_line(tmp_path / PARAM, tmp_path / BIN, says)


def test_a_binary_file_in_place_of_the_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / PARAM).write_bytes(np.random.default_rng(0).bytes(999))
    assert_one_line(tmp_path / PARAM, tmp_path / BIN, "not a .param file of ncnn")


@pytest.mark.parametrize("name", [name for name, teacher in TEACHERS.items() if "vulkan" in teacher.wheel])
def test_a_teacher_gives_what_the_library_gives_of_its_files(name: str) -> None:
    pytest.importorskip("ncnn", reason="the judge, ncnn, is not installed")
    from plain_ncnn import run_ncnn

    package = TEACHERS[name].folder.split("/")[0]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    teacher = read_teacher(name)
    photo = skimage.data.astronaut()[100:124, 200:224].astype(np.float32) / 255
    expected = run_ncnn(teacher.path.with_suffix(".param"), teacher.path, photo)
    with torch.no_grad():
        found = teacher.build()(torch.from_numpy(photo).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    assert found.shape == (96, 96, 3)
    assert found.std() > 0.05
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.05 / 255)
