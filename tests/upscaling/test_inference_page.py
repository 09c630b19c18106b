"""docs/inference.md against the code: every option is named, its programs run, its limits are the code's."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import realciao
from realciao.commands import infer
from realciao.images import reading as image
from realciao.images import writing as photo_writer
from realciao.upscaling import sizes
from realciao.upscaling import upscaler as inference

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    encoder = {"type": "SmallEncoder", "num_feat": 4, "num_block": 1}
    decoder = {"type": "CiaoSRDecoder", "hidden": [4], "non_local_scales": []}
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    realciao.save_weights(realciao.build_network({"type": "CiaoSR", "encoder": encoder, "decoder": decoder}), path)
    return path


def test_every_option_is_named() -> None:
    options = {text for action in infer.build_parser()._actions for text in action.option_strings} - {"-h"}
    named = set(re.findall(r"(?<![\w-])--?[a-z]\w*", PAGE))
    assert not options - named
    theirs = {"-n", "-g", "--alpha_upsampler", "--pre_pad", "--face_enhance", "--num_processes"}
    theirs |= {"--max_mpx", "--parts", "--rounds", "--weights"}  # of benchmark.py
    assert named - options == theirs


def test_the_python_example_runs(weights: Path) -> None:
    names: dict[str, Any] = {"photo": np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)}
    exec(PYTHON[0].replace("WEIGHTS.safetensors", str(weights)), names)
    assert names["large"].shape == (95, 142, 3)
    whole = names["upscaler"].upscale(names["photo"], size=(480, 640)).astype(int)
    part = names["corner"]
    assert np.abs(whole[: part.shape[0], : part.shape[1]] - part).max() <= 1


def test_the_limits_are_the_codes() -> None:
    assert f"at most {sizes.MAX_OUTPUT_PIXELS:.0e}".replace("+0", "") in PAGE
    assert f"a photo {image.MAX_PIXELS:.0e}".replace("+0", "") in PAGE
    assert f"reach at most {inference.MAX_EXACT_HALO_PX} pixels" in PAGE
    for name, most in photo_writer._MAX_SIDE.items():
        (row,) = [line for line in PAGE.splitlines() if line.lower().startswith(f"| {name.lower()} ")]
        assert f"| {'2^31 - 1' if most == 2**31 - 1 else most} |" in row


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
