"""Checkpoints of others become weights files of ours."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exit_status import exit_status
from tiny_teacher import save_teacher

import realciao
import realciao.weights.checkpoint
from realciao.commands.convert_weights import main
from realciao.errors import UserError
from realciao.registry import ARCH_REGISTRY, build
from realciao.weights.header import read_header
from realciao.weights.published import from_published
from realciao.weights.shipped import find_weights

DECODER = {"type": "CiaoSRDecoder", "hidden": [4], "non_local_scales": []}
FIXTURE = Path(__file__).parents[1] / "data" / "edsr_nl2_s11.npz"


def released() -> dict[str, torch.Tensor]:
    with np.load(FIXTURE, allow_pickle=False) as file:
        return {key[2:]: torch.from_numpy(file[key]) for key in file.files if key.startswith("w/")}


def test_a_released_checkpoint_gives_the_recorded_image_after_conversion(tmp_path: Path) -> None:
    torch.save({"meta": {"epoch": 1}, "state_dict": released()}, tmp_path / "in.pth")
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors")])
    assert ended.value.code == 0
    net = realciao.load_weights(tmp_path / "out.safetensors")
    with np.load(FIXTURE, allow_pickle=False) as file:
        lq, expected = torch.from_numpy(file["in/1"]), torch.from_numpy(file["out/1"])
    torch.testing.assert_close(net.upscale(lq, tuple(expected.shape[2:])), expected, rtol=0, atol=2e-5)


def test_averaged_weights_are_preferred_and_the_rest_is_ignored() -> None:
    weights = released()
    doubled = {name.replace("generator.", "generator_ema."): 2 * tensor for name, tensor in weights.items()}
    net = from_published(
        {**weights, **doubled, "discriminator.conv.weight": torch.zeros(1), "step_counter": torch.ones(1)}
    )
    name = "encoder.conv_first.weight"
    assert torch.equal(net.state_dict()[name], 2 * weights["generator.conv_first.weight"])


def test_bare_keys_are_read_too() -> None:
    bare = {name.removeprefix("generator."): tensor for name, tensor in released().items()}
    assert from_published(bare, res=False).spec["res"] is False


def test_what_is_no_ciaosr_is_refused() -> None:
    with pytest.raises(UserError, match="not a released CiaoSR checkpoint"):
        from_published({"conv.weight": torch.zeros(1)})
    without_body = {name: t for name, t in released().items() if ".body." not in name}
    with pytest.raises(UserError, match=r"body\.0\.conv1\.weight"):
        from_published(without_body)


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_bad_input_is_one_line_and_status_2(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "in.pth").write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


run = partial(exit_status, main)


OPTIONS = """
name: x
manual_seed: 3
datasets: {{train: {{type: SyntheticDataset, dataroot_gt: builtin, pipeline: bicubic, batch_size: 1, lq_size: 8, sample_q: 4}}}}
network_g:
  type: CiaoSR
  encoder: {{type: TrunkEncoder, network: {{type: RRDBNet, num_in_ch: 3, num_out_ch: 3, num_feat: {num_feat}, num_block: 1}}}}
  decoder: {{type: CiaoSRDecoder, hidden: [4], non_local_scales: []}}
  rgb_mean: [0, 0, 0]
stages: [{{name: psnr, total_iter: 1, optim_g: {{type: Adam}}, pixel_opt: {{type: L1Loss}}}}]
"""


def real_esrgan() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    spec = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1}
    network: torch.nn.Module = build(ARCH_REGISTRY, spec)
    return network.state_dict()


def test_a_basicsr_checkpoint_becomes_the_encoder_of_an_option_files_network(tmp_path: Path) -> None:
    weights = real_esrgan()
    raw = {name: 0 * tensor for name, tensor in weights.items()}
    torch.save({"params": raw, "params_ema": weights}, tmp_path / "in.pth")
    (tmp_path / "o.yml").write_text(OPTIONS.format(num_feat=8))
    out = tmp_path / "out.safetensors"
    assert run(tmp_path / "in.pth", out, "--network", tmp_path / "o.yml") == 0
    net: Any = realciao.load_weights(out)
    assert torch.equal(net.encoder.trunk.state_dict()["conv_body.weight"], weights["conv_body.weight"])
    torch.manual_seed(3)  # the decoder is that with which a run of the file would begin
    fresh: Any = realciao.build_network(net.spec)
    assert torch.equal(fresh.decoder.imnet_q.first.weight, net.decoder.imnet_q.first.weight)
    assert read_header(out)["converted_from"] == "in.pth"


def test_a_liif_checkpoint_becomes_an_encoder(tmp_path: Path) -> None:
    net: Any = realciao.build_network(
        {"type": "CiaoSR", "encoder": {"type": "EDSREncoder", "num_feat": 8, "num_block": 1}, "decoder": DECODER}
    )
    names = {"conv_first": "head.0", "body.0.conv1": "body.0.body.0", "body.0.conv2": "body.0.body.2"}
    names["conv_after_body"] = "body.1"
    theirs = {}
    for name, tensor in net.encoder.state_dict().items():
        module, _, kind = name.rpartition(".")
        theirs[f"encoder.{names[module]}.{kind}"] = tensor
    model = {"name": "liif", "args": {"encoder_spec": {"name": "edsr-baseline"}}, "sd": theirs}
    torch.save({"model": model, "epoch": 1000}, tmp_path / "in.pth")
    encoder = "encoder: {type: EDSREncoder, num_feat: 8, num_block: 1}"
    options = "\n".join(
        f"  {encoder}" if "encoder:" in line else line for line in OPTIONS.format(num_feat=8).splitlines()
    )
    (tmp_path / "o.yml").write_text(options)
    assert run(tmp_path / "in.pth", tmp_path / "out.safetensors", "--network", tmp_path / "o.yml") == 0
    converted: Any = realciao.load_weights(tmp_path / "out.safetensors")
    assert torch.equal(converted.encoder.body[0].conv2.weight, net.encoder.body[0].conv2.weight)


def test_weights_of_ours_keep_their_values_and_their_notes(tmp_path: Path) -> None:
    encoder = {"type": "EDSREncoder", "num_feat": 8, "num_block": 1}
    net = realciao.build_network({"type": "CiaoSR", "encoder": encoder, "decoder": DECODER})
    realciao.save_weights(net, tmp_path / "in.safetensors", step=7, licence="Apache-2.0")
    assert run(tmp_path / "in.safetensors", tmp_path / "out.safetensors") == 0
    header = read_header(tmp_path / "out.safetensors")
    assert (header["step"], header["licence"], header["converted_from"]) == (7, "Apache-2.0", "in.safetensors")
    again = realciao.load_weights(tmp_path / "out.safetensors").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ("num_feat", "network", "says"),
    [
        (8, False, "weights of an encoder alone need --network"),
        (6, True, "in.pth: the weights do not fit"),
        ("six", True, "o.yml:7: network_g.encoder"),
    ],
)
def test_an_encoder_that_does_not_fit_is_one_line_and_status_2(
    tmp_path: Path, num_feat: object, network: bool, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = real_esrgan()
    if not network:
        del weights["conv_last.weight"]
    torch.save({"params": weights}, tmp_path / "in.pth")
    (tmp_path / "o.yml").write_text(OPTIONS.format(num_feat=num_feat))
    option = ["--network", tmp_path / "o.yml"] if network else []
    assert run(tmp_path / "in.pth", tmp_path / "out.safetensors", *option) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


def test_a_blend_of_two_students_names_both_teachers_and_their_licences(tmp_path: Path) -> None:
    for seed in (1, 2):
        teacher = save_teacher(tmp_path / f"teacher_{seed}.pth", seed)
        encoder = {"type": "TrunkEncoder", "weights": teacher}
        net = realciao.build_network(
            {"type": "CiaoSR", "encoder": encoder, "decoder": {"type": "LIIFDecoder", "hidden": [4]}}
        )
        realciao.save_weights(net, tmp_path / f"student_{seed}.safetensors")
    out = tmp_path / "out.safetensors"
    students = [str(tmp_path / f"student_{seed}.safetensors") for seed in (1, 2)]
    assert exit_status(main, students[0], str(out), "--blend", students[1], "0.5") == 0
    told = read_header(out)["teacher"]
    assert told["name"] == "teacher_1.pth and teacher_2.pth"
    assert told["licence"] == "unknown: check before sharing"


def test_two_weights_of_one_network_are_blended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def made(name: str, seed: int, hidden: int = 4) -> Path:
        torch.manual_seed(seed)
        encoder = {"type": "SmallEncoder", "num_feat": 4, "num_block": 1}
        net = build(ARCH_REGISTRY, {"type": "CiaoSR", "encoder": encoder, "decoder": {**DECODER, "hidden": [hidden]}})
        realciao.weights.checkpoint.save_weights(net, tmp_path / name)
        return tmp_path / name

    one, other, wide = made("one.safetensors", 1), made("other.safetensors", 2), made("wide.safetensors", 3, hidden=5)
    out = tmp_path / "out.safetensors"
    assert exit_status(main, str(one), str(out), "--blend", str(other), "0.25") == 0
    a, b, c = (realciao.load_weights(path).state_dict() for path in (one, other, out))
    for name, tensor in c.items():
        torch.testing.assert_close(tensor, 0.75 * a[name] + 0.25 * b[name])
    assert read_header(out)["blended_with"] == "other.safetensors 0.25"  # and not the folder it lay in
    for arguments, problem in (
        ([str(other), "x"], "--blend: 'x' is no number"),
        ([str(other), "1.5"], "--blend: 1.5 is no share"),
        ([str(wide), "0.5"], "--blend: these are weights of different networks"),
        ([str(tmp_path / "none"), "0.5"], "--blend: .*none"),
    ):
        capsys.readouterr()
        assert exit_status(main, str(one), str(tmp_path / "bad.safetensors"), "--blend", *arguments) == 2
        assert re.search(problem, capsys.readouterr().err)
        assert not (tmp_path / "bad.safetensors").exists()


def test_weights_that_ship_go_by_their_names(tmp_path: Path) -> None:
    out = tmp_path / "between.safetensors"
    assert exit_status(main, "real", str(out), "--blend", "classical", "1") == 0
    blended, end = (realciao.load_weights(path).state_dict() for path in (out, find_weights("classical")))
    for name, tensor in blended.items():
        torch.testing.assert_close(tensor, end[name])


def test_a_teacher_becomes_a_checkpoint_of_basicsrs_or_weights_of_ours(tmp_path: Path) -> None:
    weights = real_esrgan()
    torch.save(weights, tmp_path / "in.pth")
    for out in ("out.pth", "out.safetensors"):
        assert run(tmp_path / "in.pth", tmp_path / out) == 0
    written = torch.load(tmp_path / "out.pth", weights_only=True)["params_ema"]
    assert written.keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in written.items())
    lq = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    ours, theirs = (realciao.load_weights(tmp_path / name) for name in ("out.safetensors", "in.pth"))
    assert torch.equal(ours.upscale(lq, (20, 21)), theirs.upscale(lq, (20, 21)))  # type: ignore[operator]


def test_of_a_teacher_known_by_name_weights_of_ours_hold_the_name_alone(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    assert run("realesr-animevideov3", out) == 0
    assert out.stat().st_size < 5000
    lq = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    ours, theirs = (realciao.load_weights(name) for name in (out, "realesr-animevideov3"))
    assert torch.equal(ours.upscale(lq, (20, 21)), theirs.upscale(lq, (20, 21)))  # type: ignore[operator]


def test_what_no_pth_can_hold_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(real_esrgan(), tmp_path / "in.pth")
    torch.save({"state_dict": released()}, tmp_path / "ciao.pth")
    for arguments, says in (
        (["real"], "real: for any scale"),
        ([tmp_path / "ciao.pth"], "a released CiaoSR, for any scale already"),
        ([tmp_path / "in.pth", "--blend", "real", "0.5"], "--network and --blend make is written as .safetensors"),
        (["realesrgan-x5"], "no such weights file; did you mean"),
    ):
        assert run(arguments[0], tmp_path / "out.pth", *arguments[1:]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1
        assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize("name", ["out", "out.bin", "out.PTH", "out.ckpt", ".pth"])
def test_another_ending_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("real", tmp_path / name) == 2
    assert f"{name}: give a name that ends in .safetensors" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
