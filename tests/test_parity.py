"""The network against numbers that the published one gave (EDSR encoder; small variants with random weights)."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from realciao.archs.published import from_published
from realciao.coords import make_cell, make_coord

HERE = Path(__file__).parent
# more recordings of the same layout, where a folder of them is named
MORE = Path(os.environ["REALCIAO_SHARED"]) / "parity" if "REALCIAO_SHARED" in os.environ else HERE / "data"
FILES = sorted({path.name: path for folder in (MORE, HERE / "data") for path in folder.glob("edsr_*.npz")}.values())
TOLERANCE = 2e-5


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def recorded(request: pytest.FixtureRequest) -> dict[str, Any]:
    with np.load(request.param, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    return {"meta": meta} | {key: torch.from_numpy(value) for key, value in arrays.items()}


@pytest.fixture
def net(recorded: dict[str, Any]) -> Any:
    return from_published({key[2:]: value for key, value in recorded.items() if key.startswith("w/")})


def test_whole_images_equal_the_published_networks(net: Any, recorded: dict[str, Any]) -> None:
    assert len(recorded["meta"]["cases"]) >= 6
    for i, case in enumerate(recorded["meta"]["cases"]):
        out = net.upscale(recorded[f"in/{i}"], tuple(case["out_hw"]))
        torch.testing.assert_close(out, recorded[f"out/{i}"], rtol=0, atol=TOLERANCE)


@torch.no_grad()
def test_features_and_the_unclamped_image_equal_the_published_networks(net: Any, recorded: dict[str, Any]) -> None:
    lq, (height, width) = recorded["in/0"], recorded["meta"]["cases"][0]["out_hw"]
    feat = net.encoder(lq - net.mean)
    torch.testing.assert_close(feat, recorded["feat/0"], rtol=0, atol=TOLERANCE)
    if net.decoder.cs_attn is not None:
        torch.testing.assert_close(net.decoder.cs_attn(feat), recorded["nonlocal/0"], rtol=0, atol=TOLERANCE)
    raw = net(lq, make_coord((height, width))[None], make_cell((height, width))[None])
    torch.testing.assert_close(raw, recorded["raw/0"], rtol=0, atol=TOLERANCE)


@torch.no_grad()
def test_random_queries_of_a_batch_with_two_cells_equal_the_published_networks(
    net: Any, recorded: dict[str, Any]
) -> None:
    lq = recorded["query/lq_norm"] + net.mean
    pred = net(lq, recorded["query/coord"][:, None], recorded["query/cell"][:, 0])
    expected = recorded["query/pred_norm"] + net.mean.view(1, 1, 3)
    torch.testing.assert_close(pred[:, :, 0].transpose(1, 2), expected, rtol=0, atol=TOLERANCE)
