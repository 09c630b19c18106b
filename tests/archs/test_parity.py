"""The network against numbers that the published one gave (three encoders; small variants with random weights)."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from realciao.coords import make_axis, make_cell, make_coord
from realciao.weights.published import from_published

HERE = Path(__file__).parents[1]
# more recordings of the same layout, where a folder of them is named
MORE = Path(os.environ["REALCIAO_SHARED"]) / "parity" if "REALCIAO_SHARED" in os.environ else HERE / "data"
ENCODERS = ("edsr", "rdn", "swinir")
FILES = {path.name: path for folder in (MORE, HERE / "data") for path in sorted(folder.glob("*.npz"))}
RECORDED = [path for name, path in sorted(FILES.items()) if name.startswith(ENCODERS)]
TILED = [path for name, path in sorted(FILES.items()) if name.startswith("tile_")]
TOLERANCE = 2e-5


def read(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    return {"meta": meta} | {key: torch.from_numpy(value) for key, value in arrays.items()}


def network(recorded: dict[str, Any]) -> Any:
    return from_published({key[2:]: value for key, value in recorded.items() if key.startswith("w/")})


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def recorded(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


@pytest.fixture
def net(recorded: dict[str, Any]) -> Any:
    return network(recorded)


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


@torch.no_grad()
def published_tiles(net: Any, lq: Tensor, scale: int, tile: int, overlap: int) -> Tensor:
    """The released code's way with large images: square tiles, each an image of its own, averaged where they overlap."""
    tile = min(tile, *lq.shape[2:])
    total = torch.zeros(1, 3, scale * lq.shape[2], scale * lq.shape[3])
    hits = torch.zeros_like(total)
    tops, lefts = ([*range(0, n - tile, tile - overlap), n - tile] for n in lq.shape[2:])
    axis, cell = make_axis(scale * tile), make_cell((scale * tile, scale * tile))[None]
    for top in tops:
        for left in lefts:
            prepared = net.prepare(lq[:, :, top : top + tile, left : left + tile])
            rows = slice(scale * top, scale * (top + tile))
            columns = slice(scale * left, scale * (left + tile))
            total[:, :, rows, columns] += net.query_grid(prepared, axis, axis, cell)
            hits[:, :, rows, columns] += 1
    return (total / hits).clamp(0, 1)


@pytest.mark.skipif(not TILED, reason="REALCIAO_SHARED names no folder with recordings of tiles")
@pytest.mark.parametrize("path", TILED, ids=lambda path: path.stem)
def test_the_published_tile_rule_around_the_network_gives_the_published_tiles(path: Path) -> None:
    recorded = read(path)
    meta = recorded["meta"]
    net = network(read(FILES[meta["weights"]]))
    whole = net.upscale(recorded["x"], tuple(recorded["full"].shape[2:]))
    torch.testing.assert_close(whole, recorded["full"], rtol=0, atol=TOLERANCE)
    tiled = published_tiles(net, recorded["x"], meta["scale"], meta["tile"], meta["tile_overlap"])
    torch.testing.assert_close(tiled, recorded["y"], rtol=0, atol=TOLERANCE)
