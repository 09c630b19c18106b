"""Teachers as checkpoints of BasicSR's, loaded by BasicSR's own classes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr_networks import build_basicsr

from realciao.errors import UserError
from realciao.weights.pth import write_pth
from realciao.weights.teachers import read_teacher

COMPACT = {"kind": "SRVGGNetCompact", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 6, "num_conv": 2, "upscale": 4}
RRDB = {"kind": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4}


@pytest.mark.parametrize("spec", [COMPACT, RRDB], ids=lambda spec: spec["kind"])
def test_what_is_written_is_what_was_read_tensors_alone(spec: dict[str, Any], tmp_path: Path):
    torch.manual_seed(0)
    net = build_basicsr(**spec)
    torch.save({"params": net.state_dict()}, tmp_path / "in.pth")
    write_pth(read_teacher(tmp_path / "in.pth"), tmp_path / "out.pth")
    again = torch.load(tmp_path / "out.pth", weights_only=True)
    assert list(again) == ["params_ema"]
    other = build_basicsr(**spec)
    other.load_state_dict(again["params_ema"], strict=True)
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in other.state_dict().items())


def test_what_comes_in_a_wheel_is_loaded_by_basicsr(tmp_path: Path):
    teacher = read_teacher("realesr-animevideov3")
    write_pth(teacher, tmp_path / "out.pth")
    sizes = {"num_feat": 64, "num_conv": 16, "upscale": 4}  # Real-ESRGAN's for this model
    net = build_basicsr(**{**COMPACT, **sizes})
    net.load_state_dict(torch.load(tmp_path / "out.pth", weights_only=True)["params_ema"], strict=True)
    lq = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(lq), teacher.build()(lq))
    assert (tmp_path / "out.pth").stat().st_size < 3e6  # each tensor's own numbers, and no more


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path):
    (tmp_path / "a").write_text("kept")
    with pytest.raises(UserError, match="cannot be written"):
        write_pth(read_teacher("realesr-animevideov3"), tmp_path / "a" / "out.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
