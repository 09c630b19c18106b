"""Released checkpoints become weights files of ours."""

from pathlib import Path

import numpy as np
import pytest
import torch

import realciao
from realciao.archs.published import from_published
from realciao.commands.convert_weights import main
from realciao.errors import UserError

FIXTURE = Path(__file__).parent / "data" / "edsr_nl2_s11.npz"


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
