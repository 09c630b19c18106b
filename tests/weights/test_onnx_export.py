"""Exported pairs in onnxruntime against the network itself, at sizes that the export never saw."""

import contextlib
import functools
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from exit_status import exit_status
from PIL import Image
from tiny_teacher import save_teacher

import realciao.weights.onnx_export
from realciao.archs import build_network
from realciao.archs.encoders.edsr import EDSREncoder
from realciao.commands.export_onnx import main
from realciao.coords import make_cell, make_coord
from realciao.upscaling.upscaler import Upscaler
from realciao.weights.checkpoint import load_weights, save_weights
from realciao.weights.onnx_export import onnx_path

ENCODERS: dict[str, dict[str, Any]] = {
    "EDSR": {"type": "EDSREncoder", "num_feat": 4, "num_block": 1},
    "RDN": {"type": "RDNEncoder", "num_feat": 4, "num_block": 1, "num_layer": 2, "growth": 2},
    "SwinIR": {"type": "SwinIREncoder", "embed_dim": 4, "depths": [2], "num_heads": [2], "window_size": 4},
    "Small": {"type": "SmallEncoder", "num_feat": 6, "num_block": 1, "out_feat": 4},
    "Trunk": {
        "type": "TrunkEncoder",
        "network": {
            "type": "RRDBNet",
            "num_in_ch": 3,
            "num_out_ch": 3,
            "num_feat": 4,
            "num_block": 1,
            "num_grow_ch": 2,
        },
    },
    "Identity": {"type": "IdentityEncoder"},
}
CIAOSR = {"type": "CiaoSRDecoder", "hidden": [6]}
DECODERS: dict[str, dict[str, Any]] = {
    "CiaoSR": {**CIAOSR, "non_local_scales": [2, 3]},
    "CiaoSR all scales": {**CIAOSR, "non_local_scales": [2, 3, 4]},
    "CiaoSR local": {**CIAOSR, "non_local_scales": []},
    "CiaoSR one scale": {**CIAOSR, "non_local_scales": [2]},
    "CiaoSR one cell": {**CIAOSR, "non_local_scales": [2], "local_size": 1},
    "CiaoSR no unfold": {**CIAOSR, "non_local_scales": [2], "feat_unfold": False},
    "CiaoSR mlp": {**CIAOSR, "non_local_scales": [2], "ensemble": "mlp"},
    "CiaoSR windows": {**CIAOSR, "non_local_scales": [2, 3], "nonlocal_window": 12},
    "CiaoSR liif": {**CIAOSR, "non_local_scales": [], "neighbours": "liif"},
    "LIIF": {"type": "LIIFDecoder", "hidden": [6]},
    "LTE": {"type": "LTEDecoder", "hidden_dim": 8, "hidden": [6]},
    "MetaSR": {"type": "MetaSRDecoder", "hidden": 6},
    "ITSRN": {"type": "ITSRNDecoder", "hidden": [6], "position_hidden": 4},
    "PixelShuffle": {"type": "PixelShuffleDecoder", "scale": 3, "num_feat": 4},
    "Bicubic": {"type": "BicubicDecoder"},
}
EVERY_DAY = ("Small", "CiaoSR one scale")
"""Exported once for several tests."""
PAIRS = [EVERY_DAY, ("Small", "CiaoSR windows"), ("Trunk", "MetaSR"), ("SwinIR", "PixelShuffle")]
"""Each takes 5 to 20 s; with REALCIAO_ONNX=all in the environment, every encoder with every decoder, a quarter of an hour."""
if os.environ.get("REALCIAO_ONNX") == "all":
    PAIRS = [
        pair for pair in itertools.product(ENCODERS, DECODERS) if (pair[0] == "Identity") == (pair[1] == "Bicubic")
    ]
# size, batch, size of the result: odd, tall, with queries on the borders of cells (1.5, 2.5), of one window, of one pixel
SIZES = [
    ((5, 7), 2, (13, 11)),
    ((19, 9), 1, (48, 14)),
    ((3, 6), 1, (9, 18)),
    ((1, 1), 1, (2, 3)),
    ((8, 2), 3, (8, 7)),
]


def make_net(encoder: str, decoder: str) -> Any:
    torch.manual_seed(0)
    res = decoder not in ("PixelShuffle", "Bicubic")
    net = build_network({"type": "CiaoSR", "encoder": ENCODERS[encoder], "decoder": DECODERS[decoder], "res": res})
    with torch.no_grad():  # a trained network's biases and slopes are not zero and one
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net.eval()


run = partial(exit_status, main)


class Exported(NamedTuple):
    net: Any
    """Out of its own file, from which the command made the rest."""
    pair: dict[str, onnxruntime.InferenceSession]
    files: dict[str, bytes]
    said: str
    """By the command."""


@functools.cache
def exported(encoder: str, decoder: str) -> Exported:
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
        weights = Path(folder, "net.safetensors")
        save_weights(make_net(encoder, decoder), weights, licence="CC0")
        assert run(weights, Path(folder, "made", "v1.2")) == 0
        files = {path.stem.removeprefix("v1.2_"): path.read_bytes() for path in Path(folder, "made").iterdir()}
        net = load_weights(weights)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    pair = {name: onnxruntime.InferenceSession(file, options) for name, file in files.items()}
    return Exported(net, pair, files, said.getvalue().replace(folder, ""))


@torch.no_grad()
def errors(encoder: str, decoder: str) -> list[float]:
    """Largest difference to the network, for each of SIZES."""
    net, pair = exported(encoder, decoder)[:2]
    names = [output.name for output in pair["encoder"].get_outputs()]
    found = []
    for (height, width), batch, size in SIZES:
        lq = torch.rand(batch, 3, height, width)
        scale = DECODERS[decoder].get("scale")
        size = (scale * height, scale * width) if scale else size
        coord = make_coord(size).repeat(batch, 1, 1, 1)
        # every sample with a cell of its own, where the decoder allows
        cell = make_cell(size) * (1 if scale else 1 - 0.2 * torch.arange(batch)[:, None])
        kept = dict(zip(names, pair["encoder"].run(None, {"lq": lq.numpy()}), strict=True))
        [rgb] = pair["query"].run(None, {**kept, "coord": coord.numpy(), "cell": cell.expand(batch, 2).numpy()})
        expected = net(lq, coord, cell.expand(batch, 2))
        assert rgb.shape == tuple(expected.shape)
        found.append(float(np.abs(rgb - expected.numpy()).max()))
    return found


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_a_pair_gives_the_networks_colours_at_every_size(encoder: str, decoder: str) -> None:
    assert max(errors(encoder, decoder)) <= 1e-5


def test_the_ten_lines_of_the_documentation_upscale_a_whole_image(tmp_path: Path) -> None:
    net, _, files, _ = exported(*EVERY_DAY)
    for name, file in files.items():
        (tmp_path / f"net_{name}.onnx").write_bytes(file)
    paragraphs = str(realciao.weights.onnx_export.__doc__).split("\n\n")
    code = "\n\n".join(textwrap.dedent(text) for text in paragraphs if text.startswith("    "))
    scope: dict[str, Any] = {"onnxruntime": onnxruntime, "np": np}
    exec(code.replace("NAME", str(tmp_path / "net")), scope)
    lq = torch.rand(2, 3, 9, 11)
    for size in ((13, 27), (72, 22)):  # one band of rows, and two
        image = scope["upscale"](lq.numpy(), *size)
        np.testing.assert_allclose(image, net.upscale(lq, size).numpy(), rtol=0, atol=1e-5)


def test_the_program_of_the_page_needs_no_torch_and_gives_what_the_network_gives(tmp_path: Path) -> None:
    net, _, files, _ = exported(*EVERY_DAY)
    for name, file in files.items():
        (tmp_path / f"net_{name}.onnx").write_bytes(file)
    page = (Path(__file__).parents[2] / "docs" / "inference.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- upscale_onnx.py -->\n```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(code.splitlines()) <= 40
    (tmp_path / "upscale_onnx.py").write_text(f"import sys\nsys.modules['torch'] = None\n{code}")
    photo = np.random.default_rng(0).integers(0, 256, (31, 23, 3)).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    command = [sys.executable, "upscale_onnx.py", "net", "photo.png", "result.png", "2.37"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = Upscaler(net, "cpu").upscale(photo, 2.37).astype(int)
    assert np.abs(np.asarray(Image.open(tmp_path / "result.png")) - expected).max() <= 1


def test_the_files_say_what_they_are_and_nothing_of_the_machine() -> None:
    net, pair, files, said = exported(*EVERY_DAY)
    sizes = {part: f"/made/v1.2_{part}.onnx: {len(files[part]) / 1e6:.1f} MB" for part in ("encoder", "query")}
    assert said.splitlines() == list(sizes.values())
    for part, session in pair.items():
        header = json.loads(session.get_modelmeta().custom_metadata_map["realciao"])
        assert header == {"part": part, "spec": json.loads(json.dumps(net.spec)), "licence": "CC0"}
        assert b"/" + Path(torch.__file__).parts[1].encode() + b"/" not in files[part]
        assert Path(__file__).parents[2].name.encode() + b"/realciao" not in files[part]
    assert pair["encoder"].get_inputs()[0].shape == ["b", 3, "h", "w"]
    assert {i.name: i.shape for i in pair["query"].get_inputs()}["coord"] == ["b", "hq", "wq", 2]
    assert pair["query"].get_outputs()[0].shape == ["b", 3, "hq", "wq"]


@torch.no_grad()
def test_a_file_for_one_scale_goes_from_input_to_output_at_any_size_in_opencv_too(tmp_path: Path) -> None:
    weights = tmp_path / "net.safetensors"
    save_weights(make_net("Small", "LIIF"), weights)
    assert run(weights, tmp_path / "x3", "--scale", 3) == 0
    session = onnxruntime.InferenceSession(tmp_path / "x3.onnx")
    assert [i.name for i in (*session.get_inputs(), *session.get_outputs())] == ["input", "output"]
    header = json.loads(session.get_modelmeta().custom_metadata_map["realciao"])
    assert header["scale"] == 3
    opencv = cv2.dnn.readNetFromONNX(str(tmp_path / "x3.onnx"))
    for batch, height, width in ((2, 5, 7), (1, 1, 1), (1, 50, 9)):
        lq = torch.rand(batch, 3, height, width)
        expected = load_weights(weights).upscale(lq, (3 * height, 3 * width))
        [output] = session.run(None, {"input": lq.numpy()})
        np.testing.assert_allclose(output, expected.numpy(), rtol=0, atol=1e-5)
        opencv.setInput(lq.numpy(), "input")
        np.testing.assert_allclose(opencv.forward("output"), expected.numpy(), rtol=0, atol=1e-4)
    assert run(weights, tmp_path / "x3", "--scale", 3) == 2  # is there already


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_what_cannot_be_exported_is_one_line_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, out = tmp_path / "net.safetensors", tmp_path / "net"
    assert "net.safetensors" in refusal(capsys, weights, out)
    save_weights(make_net("EDSR", "LIIF"), weights)
    (tmp_path / "net_query.onnx").write_text("mine")
    assert "net_query.onnx: is there already; --overwrite" in refusal(capsys, weights, out)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    assert ".[onnx]" in refusal(capsys, weights, out, "--overwrite")
    assert (tmp_path / "net_query.onnx").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_network_whose_graph_depends_on_the_size_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, out = tmp_path / "net.safetensors", tmp_path / "net"
    forward = EDSREncoder.forward
    monkeypatch.setattr(EDSREncoder, "forward", lambda self, lq: forward(self, lq) * (1 if lq.shape[2] < 50 else 2))
    save_weights(make_net("EDSR", "PixelShuffle"), weights)
    assert "depends on the image's size" in refusal(capsys, weights, out)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_files_are_named_beside_each_other() -> None:
    assert onnx_path("a.b/net", "query") == onnx_path("a.b/net.onnx", "query") == Path("a.b/net_query.onnx")
    assert onnx_path("a.b/net") == onnx_path("a.b/net.onnx") == Path("a.b/net.onnx")


def test_a_teacher_is_refused_in_words_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "and that has no ONNX form here" in refusal(capsys, save_teacher(tmp_path / "net.pth"), tmp_path / "net")
    assert len(list(tmp_path.iterdir())) == 1
