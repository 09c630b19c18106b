"""Taught pairs: what is kept is what the teacher made, and an item depends on its index alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_run import write_photos
from tiny_teacher import save_pairs, save_teacher

from realciao.data import Needs, SampleIndex, build_train_set, build_val_set
from realciao.data.taught_pairs import list_pairs, read_pair
from realciao.errors import OptionError, UserError
from realciao.images.reading import to_tensor
from realciao.weights.networks import build_network
from realciao.weights.teachers import read_teacher

TEACHER = frozenset(("teacher",))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A teacher, and pairs of it with originals and features."""
    folder = tmp_path_factory.mktemp("taught")
    teacher = save_teacher(folder / "teacher.pth")
    photos = write_photos(folder / "photos", edge=120)
    return teacher, save_pairs(folder / "pairs", photos, teacher, scale_range=(2, 6), gt=True, features=True)


def make(pairs: str, scale_range: tuple[float, float] = (1, 4), needs: Needs | None = None, **spec: Any) -> Any:
    spec = {"type": "TaughtDataset", "dataroot": pairs, "sample_q": 16} | spec
    dataset = build_train_set(spec, scale_range=scale_range, seed=3, gt_usm=False)
    dataset.serve(needs or Needs(TEACHER))
    return dataset


def test_a_pair_holds_what_the_teacher_makes_of_its_patch(taught: tuple[str, str]) -> None:
    net = read_teacher(taught[0]).build()
    for path in list_pairs(Path(taught[1])):
        pair = read_pair(path)
        made = net(to_tensor(pair.lq)).clamp(0, 1)[0].permute(1, 2, 0).numpy()
        assert np.abs(pair.taught - made).max() <= 0.5 / 255 + 1e-5


def test_the_target_is_the_teachers_result_reduced(taught: tuple[str, str]) -> None:
    dataset = make(taught[1], (2, 2), window=16, margin=0, sample_q=None)
    for draw in range(6):
        item = dataset[SampleIndex(draw, 0)]
        pair = next(p for p in map(read_pair, dataset.paths) if np.array_equal(p.lq, to_hwc(item["lq"])))
        large = to_tensor(np.ascontiguousarray(pair.taught))
        small = F.interpolate(large, (16, 16), mode="bicubic", antialias=True).clamp(0, 1)[0]
        torch.testing.assert_close(item["teacher"], small, atol=1e-5, rtol=0)


def to_hwc(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def test_above_the_teachers_scale_the_target_is_the_original(taught: tuple[str, str]) -> None:
    item = make(taught[1], (5, 5.5))[SampleIndex(0, 0)]
    torch.testing.assert_close(item["teacher"], item["gt"], atol=0, rtol=0)
    item = make(taught[1], (1, 1.5))[SampleIndex(0, 0)]
    assert not torch.equal(item["teacher"], item["gt"])


def test_an_item_depends_on_its_index_alone(taught: tuple[str, str]) -> None:
    one, other = make(taught[1]), make(taught[1])
    _ = other[SampleIndex(9, 4)]
    for draw in (5, 0):
        first, second = one[SampleIndex(draw, 1)], other[SampleIndex(draw, 1)]
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_windows_share_a_scale_in_a_batch(taught: tuple[str, str]) -> None:
    dataset = make(taught[1], (2, 4), window=8, margin=1, sample_q=None)
    batch = dataset.collate([dataset[SampleIndex(draw, step=5)] for draw in range(4)])
    assert batch["lq"].shape[0] == 4
    assert len({tuple(cell.tolist()) for cell in batch["cell"]}) == 1


def test_the_features_are_those_of_the_trunk(taught: tuple[str, str]) -> None:
    item = make(taught[1], needs=Needs(TEACHER, resumes=True))[SampleIndex(0, 0)]
    net: Any = build_network(
        {
            "type": "CiaoSR",
            "encoder": {"type": "TrunkEncoder", "weights": taught[0]},
            "decoder": {"type": "LIIFDecoder", "hidden": [4]},
        }
    )
    kept = net.encoder.keep(item["lq"][None])[0]
    torch.testing.assert_close(item["kept"].float(), kept, atol=2e-3, rtol=2e-3)  # float16


def test_a_damaged_pair_is_passed_over_and_told_of(
    taught: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = save_pairs(tmp_path / "pairs", write_photos(tmp_path / "photos"), taught[0], count=2)
    path = list_pairs(Path(pairs))[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    dataset = make(pairs)
    for draw in range(4):
        _ = dataset[SampleIndex(draw, 0)]
    assert dataset.skipped == 1
    assert caplog.text.count("its content has changed") == 1


@pytest.mark.parametrize(
    ("spec", "scale_range", "needs", "problem"),
    [
        ({}, (1, 8), Needs(TEACHER), "pairs for scales up to 6"),
        ({"window": 64, "sample_q": None}, (1, 4), Needs(TEACHER), "needs 72 px of LR at scale 1"),
        ({"scales": [5]}, (1, 4), Needs(TEACHER), "go beyond the run's scale_range"),
        ({}, (1, 4), Needs(TEACHER, teacher="0" * 64), "made by another teacher"),
    ],
)
def test_what_the_pairs_cannot_serve_is_one_line(
    taught: tuple[str, str], spec: dict[str, Any], scale_range: tuple[float, float], needs: Needs, problem: str
) -> None:
    with pytest.raises(OptionError, match=problem):
        make(taught[1], scale_range, needs, **spec)


def test_originals_are_asked_for_only_where_they_are_kept(taught: tuple[str, str], tmp_path: Path) -> None:
    pairs = save_pairs(tmp_path / "pairs", write_photos(tmp_path / "photos"), taught[0], count=2)
    with pytest.raises(OptionError, match="make them with --gt"):
        make(pairs, needs=Needs(frozenset(("gt",))))
    with pytest.raises(UserError, match="holds no taught pairs"):
        make(str(tmp_path / "photos"))


def test_the_validation_set_gives_the_patch_and_the_target_at_each_scale(taught: tuple[str, str]) -> None:
    spec = {"type": "TaughtValSet", "dataroot": taught[1], "scales": [1.5, 4], "num_pairs": 2}
    items = list(build_val_set(spec, seed=0))
    assert [item["size"] for item in items] == [(12, 12), (32, 32)] * 2
    pair = read_pair(list_pairs(Path(taught[1]))[0])
    np.testing.assert_allclose(items[1]["gt"], pair.taught, atol=1e-5)  # at its own scale the teacher's result itself
