"""Training runs, whole: what they leave behind, and that stopping and going on changes nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny_run import write_options

import realciao
from realciao.errors import UserError
from realciao.options import load_options
from realciao.stage_run import StageRun
from realciao.trainer import Interrupted, Trainer

ROOT = Path(__file__).parents[1]


def train(folder: Path, *overrides: str, **flags: bool) -> Path:
    folder.mkdir(exist_ok=True)
    options = load_options([write_options(folder)], overrides)
    Trainer(options, **flags).fit()
    return folder / "experiments" / options.name


def weights(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "models" / "net_g_latest.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Calls `act` in the course of training step `step` (counted over the run)."""
    monkeypatch.setattr("realciao.trainer.rehearse", lambda *_: None)  # so that its steps are not counted
    original = StageRun.step
    calls = iter(range(1, 1000))

    def counted(self: StageRun, *arguments: Any) -> dict[str, torch.Tensor]:
        losses = original(self, *arguments)
        if next(calls) == step:
            act()
        return losses

    monkeypatch.setattr(StageRun, "step", counted)


def test_a_run_leaves_weights_rows_and_checkpoints_of_both_stages(tmp_path: Path) -> None:
    run = train(tmp_path)
    names = {path.name for path in (run / "models").iterdir()}
    assert {f"net_g_{name}.safetensors" for name in ("psnr_4", "psnr_latest", "gan_8", "gan_latest", "latest")} <= names
    assert {path.name for path in (run / "checkpoints").iterdir()} >= {"step_2", "step_4", "step_6", "step_8"}
    losses = [row for row in rows(run) if "val" not in row]
    assert [row["step"] for row in losses] == list(range(1, 9))
    assert [row["stage"] for row in losses] == ["psnr"] * 4 + ["gan"] * 4
    assert "l_g_gan" not in losses[0]
    assert {"l_g_pix", "l_g_gan", "l_d_real", "l_d_fake", "images_per_s", "data_share"} <= losses[-1].keys()
    assert [row["step"] for row in rows(run) if row.get("val") == "pairs"] == [4, 8]
    assert {"psnr", "psnr_bicubic"} <= rows(run)[-1].keys()
    assert list((run / "tb").glob("events*"))
    net = realciao.load_weights(run / "models" / "net_g_latest.safetensors")
    assert net.spec["type"] == "CiaoSR"
    assert load_options([run / "options.yml"]).total_iter == 8


@pytest.mark.parametrize("stop", [3, 4, 7])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    whole = train(tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(stop, patch, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(Interrupted, match=f"step {stop} of 8 is saved"):
            train(tmp_path / "parts")
    parts = train(tmp_path / "parts", auto_resume=True)
    assert_same_weights(whole, parts)
    keys = ("step", "stage", "l_g_pix", "l_g_gan", "l_d_real", "psnr", "lr")
    assert [[row.get(k) for k in keys] for row in rows(whole)] == [[row.get(k) for k in keys] for row in rows(parts)]


def test_a_run_that_died_goes_on_from_its_last_checkpoint_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise MemoryError

    whole = train(tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(7, patch, die)
        with pytest.raises(MemoryError):
            train(tmp_path / "parts")
    parts = train(tmp_path / "parts", auto_resume=True)
    assert_same_weights(whole, parts)
    assert [row["step"] for row in rows(parts)] == [row["step"] for row in rows(whole)]


def test_workers_do_not_change_a_run(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone")
    helped = train(tmp_path / "helped", "datasets.train.num_workers=2")
    assert_same_weights(alone, helped)


def test_resume_is_exact_with_noise_workers_and_non_local_attention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich = (
        "datasets.train.pipeline=realesrgan",
        "datasets.train.num_workers=2",
        "network_g.decoder.non_local_scales=[2]",
    )
    whole = train(tmp_path / "whole", *rich)
    with monkeypatch.context() as patch:
        stop_after(6, patch, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(Interrupted):
            train(tmp_path / "parts", *rich)
    assert_same_weights(whole, train(tmp_path / "parts", *rich, auto_resume=True))


def test_the_second_stage_starts_from_the_average_of_the_first(tmp_path: Path) -> None:
    run = train(tmp_path, "stages.1.optim_g.lr=0.0", "stages.1.total_iter=1")
    first = safetensors.torch.load_file(run / "models" / "net_g_psnr_latest.safetensors")
    assert all(torch.equal(first[name], tensor) for name, tensor in weights(run).items())
    raw = torch.load(run / "checkpoints" / "step_4" / "state.pt", weights_only=True)["stage"]["net_g"]
    assert not torch.equal(raw["encoder.conv_first.weight"], first["encoder.conv_first.weight"])


def test_the_average_is_what_its_recursion_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr("realciao.trainer.rehearse", lambda *_: None)  # so that its step is not seen
    original = StageRun.step

    def watched(self: StageRun, *arguments: Any) -> dict[str, torch.Tensor]:
        losses = original(self, *arguments)
        seen.append(self.net_g.encoder.conv_first.weight.detach().clone())
        return losses

    monkeypatch.setattr(StageRun, "step", watched)
    run = train(tmp_path, "stages.0.total_iter=4", "stages.1.total_iter=1")
    average = seen[0]
    for weight in seen[1:4]:
        average = 0.9 * average + 0.1 * weight
    saved = safetensors.torch.load_file(run / "models" / "net_g_psnr_4.safetensors")["encoder.conv_first.weight"]
    torch.testing.assert_close(saved, average)


def test_a_second_run_of_the_name_is_refused_until_told_what_to_do(tmp_path: Path) -> None:
    run = train(tmp_path, "stages.0.total_iter=1", "stages.1.total_iter=1")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="--auto_resume"):
        train(tmp_path)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    (run / "notes.txt").write_text("mine")
    train(tmp_path, "stages.0.total_iter=2", "stages.1.total_iter=1", overwrite=True)
    assert (run / "notes.txt").read_text() == "mine"
    assert max(row["step"] for row in rows(run)) == 3


def test_a_wrong_spec_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for override in ("val.metrics=[psnrr]", "datasets.val.0.pipeline=bicubik", "stages.1.network_d.type=UNet"):
        with pytest.raises(UserError):
            train(tmp_path, override)
    assert not (tmp_path / "experiments").exists()


@pytest.mark.parametrize(
    "change", ["network_g.encoder.num_feat=6", "stages.0.optim_g.lr=0.5", "manual_seed=5", "stages.0.total_iter=6"]
)
def test_a_run_is_not_resumed_with_options_that_would_make_it_another(tmp_path: Path, change: str) -> None:
    run = train(tmp_path, "stages.1.total_iter=2")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=change.partition("=")[0]):
        train(tmp_path, "stages.1.total_iter=2", change, auto_resume=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_resumed_run_may_be_longer_and_batch_otherwise(tmp_path: Path) -> None:
    train(tmp_path, "stages.1.total_iter=2")
    run = train(
        tmp_path, "stages.1.total_iter=3", "datasets.train.batch_size=1", "logger.save_every=1", auto_resume=True
    )
    assert max(row["step"] for row in rows(run)) == 7


def test_overwriting_costs_nothing_when_the_weights_to_start_from_are_wrong(tmp_path: Path) -> None:
    run = train(tmp_path, "stages.1.total_iter=1")
    weights_file = run / "models" / "net_g_latest.safetensors"
    before = weights_file.read_bytes()
    with pytest.raises(UserError, match="do not fit"):
        train(tmp_path, f"path.pretrain_network_g={weights_file}", "network_g.encoder.num_feat=6", overwrite=True)
    assert weights_file.read_bytes() == before
    # the run may even start again from its own weights
    train(tmp_path, f"path.pretrain_network_g={weights_file}", "stages.1.total_iter=1", overwrite=True)


def test_pretrained_weights_are_where_the_first_stage_starts(tmp_path: Path) -> None:
    run = train(tmp_path / "first", "stages.1.total_iter=1")
    start = run / "models" / "net_g_latest.safetensors"
    zero_rate = ("stages.0.optim_g.lr=0.0", "stages.1.optim_g.lr=0.0", f"path.pretrain_network_g={start}")
    assert_same_weights(run, train(tmp_path / "second", *zero_rate))


def test_two_processes_with_half_the_batch_each_train_as_one(tmp_path: Path) -> None:
    one = train(tmp_path / "one", "network_g.decoder.non_local_scales=[3]")
    folder = tmp_path / "two"
    folder.mkdir()
    # scale 3 leaves the convolution for scale 2 unused, which distributed training must not wait for
    overrides = ["datasets.train.batch_size=1", "network_g.decoder.non_local_scales=[3]"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["realciao/train.py", "-opt", str(write_options(folder)), "--set", *overrides]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    run = folder / "experiments" / "tiny"
    assert [row["step"] for row in rows(run)] == [row["step"] for row in rows(one)]
    for name, tensor in weights(one).items():
        torch.testing.assert_close(weights(run)[name], tensor, rtol=1e-3, atol=1e-5)
