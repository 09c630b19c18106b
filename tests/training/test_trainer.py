"""Training runs, whole: what they leave behind, and that stopping and going on changes nothing."""

import itertools
import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny_run import write_options
from two_processes import run_two

import realciao
from realciao.data import build_val_set
from realciao.errors import UserError
from realciao.metrics import build_metric
from realciao.options.run import load_options
from realciao.training.engine import make_accelerator
from realciao.training.interruption import Interrupted
from realciao.training.objective import Objective
from realciao.training.run_state import load_state
from realciao.training.stage_run import StageRun
from realciao.training.trainer import Trainer
from realciao.training.validation import score_network


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
    monkeypatch.setattr("realciao.training.trainer.rehearse", lambda *_: None)  # so that its steps are not counted
    original = StageRun.step
    calls = iter(range(1, 1000))

    def counted(self: StageRun, *arguments: Any) -> dict[str, torch.Tensor]:
        losses = original(self, *arguments)
        if next(calls) == step:
            act()
        return losses

    monkeypatch.setattr(StageRun, "step", counted)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    return train(tmp_path_factory.mktemp("whole"))


def test_a_run_leaves_weights_rows_and_checkpoints_of_both_stages(whole: Path) -> None:
    run = whole
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


@pytest.mark.parametrize(("stop", "number"), [(3, signal.SIGINT), (4, signal.SIGTERM), (7, signal.SIGUSR1)])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, stop: int, number: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(stop, patch, lambda: signal.raise_signal(number))
        with pytest.raises(Interrupted, match=f"step {stop} of 8 is saved") as caught:
            train(tmp_path / "parts")
    assert caught.value.status == 128 + number
    parts = train(tmp_path / "parts", auto_resume=True)
    assert_same_weights(whole, parts)
    keys = ("step", "stage", "l_g_pix", "l_g_gan", "l_d_real", "psnr", "lr")
    assert [[row.get(k) for k in keys] for row in rows(whole)] == [[row.get(k) for k in keys] for row in rows(parts)]


def test_whatever_ends_a_run_is_one_line_and_it_goes_on_from_the_last_good_state(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil(error: Exception) -> None:
        raise error

    def fill_the_disk() -> None:
        monkeypatch.setattr(
            "realciao.training.run_state.torch.save", lambda *_: spoil(OSError(28, "No space left on device"))
        )

    full = torch.OutOfMemoryError("CUDA out of memory")
    # the step of this run in which it happens, counted from where it goes on; what is said; the steps saved after it
    for flags, step, act, says, saved in (
        ({}, 4, fill_the_disk, r"step 4 could not be saved.*No space left.*make room", {2}),
        (
            {"auto_resume": True},
            3,
            lambda: spoil(full),
            r"stages\.1: out of memory .*batch_size=1 stages\.1\.accum_iter=2",
            {2, 4},
        ),
        ({"auto_resume": True}, 3, lambda: spoil(RuntimeError("anything else")), "anything else", {2, 4, 6}),
    ):
        with monkeypatch.context() as patch:
            stop_after(step, patch, act)
            with pytest.raises((UserError, RuntimeError), match=says) as caught:
                train(tmp_path, "logger.save_every=2", **flags)
        monkeypatch.undo()
        assert "\n" not in str(caught.value)
        states = {int(path.name[5:]) for path in (tmp_path / "experiments" / "tiny" / "checkpoints").iterdir()}
        assert states == saved
    newest = tmp_path / "experiments" / "tiny" / "checkpoints" / "step_6" / "state.pt"
    newest.write_bytes(newest.read_bytes()[:-9])
    parts = train(tmp_path, auto_resume=True)
    assert "step_6/state.pt: damaged checkpoint" in (parts / "train.log").read_text()
    assert "resumed at step 4 of 8" in (parts / "train.log").read_text()
    assert_same_weights(whole, parts)
    assert [row["step"] for row in rows(parts)] == [row["step"] for row in rows(whole)]


def test_a_run_that_goes_wrong_is_stopped_and_goes_on_from_its_last_healthy_state(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = tmp_path / "experiments" / "tiny" / "checkpoints"
    real, fake = Objective.discriminator_real, Objective.discriminator_fake
    monkeypatch.setattr(
        "realciao.training.health.SHIFT", 10.0
    )  # so young a network has no colours yet: only NaN is a fault
    monkeypatch.setattr("realciao.training.health.FADED", 0.0)

    def scale_losses(patch: pytest.MonkeyPatch, first_pass: int, factor: float) -> None:
        """From the `first_pass`-th batch on, the discriminator's losses are multiplied."""
        passes = itertools.count(1)
        factors = [1.0]

        def scaled_real(*arguments: Any) -> torch.Tensor:
            factors.append(factor if next(passes) >= first_pass else 1.0)
            return real(*arguments) * factors[-1]

        patch.setattr(Objective, "discriminator_real", scaled_real)
        patch.setattr(Objective, "discriminator_fake", lambda *arguments: fake(*arguments) * factors[-1])

    def poison(patch: pytest.MonkeyPatch) -> None:
        """The weights turn to NaN in the course of the next step."""
        original = StageRun.step

        def poisoned(self: StageRun, *arguments: Any) -> dict[str, torch.Tensor]:
            losses = original(self, *arguments)
            for parameter in self.net_g.parameters():
                parameter.data.fill_(torch.nan)
            return losses

        patch.setattr(StageRun, "step", poisoned)

    for inject, limit, says, healthy, ill in (
        (lambda patch: scale_losses(patch, 2, 1e-9), "max_collapsed=1", "discriminator has collapsed", 5, {6}),
        (lambda patch: scale_losses(patch, 2, torch.nan), "max_skipped=0", "network_d was not finite", 6, {6}),
        (poison, "max_off_color=1", "colours have drifted by nan", 6, {6, 7}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr("realciao.training.trainer.rehearse", lambda *_: None)
            inject(patch)
            with pytest.raises(UserError, match=rf"{says}.*last healthy state is .*step_{healthy}\b") as caught:
                train(tmp_path, "logger.save_every=1", f"health.{limit}", auto_resume=True)
        assert "\n" not in str(caught.value)
        assert {int(path.name.split("_")[1]) for path in checkpoints.glob("step_*_ill")} == ill
    parts = train(tmp_path, auto_resume=True)
    assert "resumed at step 6 of 8" in (parts / "train.log").read_text()
    assert_same_weights(whole, parts)


def test_a_gradient_that_is_not_finite_moves_nothing_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realciao.training.trainer.rehearse", lambda *_: None)
    original, passes = Objective.generator, itertools.count(1)

    def spoilt(self: Objective, *arguments: Any) -> dict[str, torch.Tensor]:
        factor = torch.nan if next(passes) == 2 else 1.0
        return {name: loss * factor for name, loss in original(self, *arguments).items()}

    monkeypatch.setattr(Objective, "generator", spoilt)
    run = train(tmp_path, "stages.0.total_iter=3", "stages.1.total_iter=1", "logger.save_every=1")
    assert [row.get("skipped") for row in rows(run) if "val" not in row] == [None, 1, 1, None]
    first, second, third = (load_state(run / "checkpoints" / f"step_{i}")["stage"]["net_g"] for i in (1, 2, 3))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(second[name], third[name]) for name in second)


def test_resume_is_exact_with_everything_that_keeps_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_scaler(*arguments: Any) -> Any:
        accelerator = make_accelerator(*arguments)  # which has one for fp16 alone, and fp16 on GPUs alone
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=3)
        return accelerator

    monkeypatch.setattr("realciao.training.trainer.make_accelerator", with_scaler)
    losses = "[{type: CharbonnierLoss, target: usm}, {type: FFTLoss}, {type: LowFrequencyColorLoss, size_px: 4}]"
    rich = (
        *("datasets.train.pipeline=realesrgan", "datasets.train.num_workers=2"),
        "network_g.decoder.non_local_scales=[2]",
        *("engine.mixed_precision=bf16", "engine.channels_last=true"),
        *("stages.0.accum_iter=2", "stages.1.accum_iter=2", "stages.0.grad_clip=0.1", "stages.1.grad_clip=1.0"),
        *("stages.0.warmup_iter=3", "stages.1.warmup_iter=3", "stages.0.ema_warmup=true", "stages.1.ema_warmup=true"),
        *("stages.0.optim_g.groups={encoder: {lr: 1e-4}}", "stages.1.freeze=[encoder]", f"stages.1.losses={losses}"),
        *("val.every=1", "val.weights=raw", "val.best=pairs/psnr", "logger.keep_last=1", "logger.save_every=1"),
    )
    whole = train(tmp_path / "whole", *rich)
    parts = tmp_path / "parts"
    for step in (3, 3, 1):  # of this run, that is 3, 6 and 7 of all
        with monkeypatch.context() as patch:
            stop_after(step, patch, lambda: signal.raise_signal(signal.SIGTERM))
            with pytest.raises(Interrupted):
                train(parts, *rich, auto_resume=True)
    resumed = train(parts, *rich, auto_resume=True)
    assert_same_weights(whole, resumed)
    scores = [[(row["step"], row["psnr"]) for row in rows(run) if "val" in row] for run in (whole, resumed)]
    assert scores[0] == scores[1]
    assert [step for step, _ in scores[0]] == list(range(1, 9))
    best = max(scores[0], key=lambda score: score[1])[0]
    for run in (whole, resumed):
        assert {path.name for path in (run / "checkpoints").iterdir()} == {f"step_{i}" for i in {4, 8, best}}
        name = f"net_g_{'psnr' if best <= 4 else 'gan'}_{best}.safetensors"
        assert (run / "models" / "net_g_best.safetensors").read_bytes() == (run / "models" / name).read_bytes()
    states = [load_state(run / "checkpoints" / "step_8")["stage"] for run in (whole, resumed)]
    assert states[0]["scaler"] == states[1]["scaler"]
    assert states[0]["scaler"]["scale"] > 4
    # the raw weights are what was validated, and what is frozen has not moved
    net = realciao.load_weights(whole / "models" / "net_g_latest.safetensors")
    before = {name: tensor.clone() for name, tensor in net.encoder.state_dict().items()}
    net.load_state_dict(states[0]["net_g"])
    options = load_options([whole / "options.yml"])
    pairs = build_val_set(options.datasets.val[0].dataset, seed=0)
    (score,) = score_network(net, pairs, [build_metric("psnr")])
    assert score["psnr"] == pytest.approx(scores[0][-1][1], abs=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.encoder.state_dict().items())


def test_the_average_is_what_its_recursion_says_and_where_the_second_stage_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr("realciao.training.trainer.rehearse", lambda *_: None)  # so that its step is not seen
    original = StageRun.step

    def watched(self: StageRun, *arguments: Any) -> dict[str, torch.Tensor]:
        losses = original(self, *arguments)
        seen.append(self.net_g.encoder.conv_first.weight.detach().clone())
        return losses

    monkeypatch.setattr(StageRun, "step", watched)
    run = train(tmp_path, "stages.1.optim_g.lr=0.0", "stages.1.total_iter=1")
    average = seen[0]
    for weight in seen[1:4]:
        average = 0.9 * average + 0.1 * weight
    first = safetensors.torch.load_file(run / "models" / "net_g_psnr_latest.safetensors")
    torch.testing.assert_close(first["encoder.conv_first.weight"], average)
    assert all(torch.equal(first[name], tensor) for name, tensor in weights(run).items())
    raw = torch.load(run / "checkpoints" / "step_4" / "state.pt", weights_only=True)["stage"]["net_g"]
    assert not torch.equal(raw["encoder.conv_first.weight"], first["encoder.conv_first.weight"])


@pytest.fixture
def copied(tmp_path: Path, whole: Path) -> Path:
    """The folder of a run like `whole`, to be changed."""
    return Path(shutil.copytree(whole.parents[1], tmp_path / "copied"))


def test_a_second_run_of_the_name_is_refused_until_told_what_to_do(copied: Path) -> None:
    run = copied / "experiments" / "tiny"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="--auto_resume"):
        train(copied)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    (run / "notes.txt").write_text("mine")
    train(copied, "stages.0.total_iter=2", "stages.1.total_iter=1", overwrite=True)
    assert (run / "notes.txt").read_text() == "mine"
    assert max(row["step"] for row in rows(run)) == 3


def test_a_wrong_spec_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for override in ("val.metrics=[psnrr]", "datasets.val.0.pipeline=bicubik", "stages.1.network_d.type=UNet"):
        with pytest.raises(UserError):
            train(tmp_path, override)
    assert not (tmp_path / "experiments").exists()


def test_a_run_is_not_resumed_with_options_that_would_make_it_another(copied: Path) -> None:
    run = copied / "experiments" / "tiny"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for change in ("network_g.encoder.num_feat=6", "stages.0.optim_g.lr=0.5", "stages.0.total_iter=6"):
        with pytest.raises(UserError, match=change.partition("=")[0]):
            train(copied, change, auto_resume=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_rates_schedule_length_losses_and_batch_may_change_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(2, patch, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(Interrupted):
            train(tmp_path)
    changed = ("optim_g={lr: 0.01, weight_decay: 0.5}", "scheduler.milestones=[4]", "total_iter=5", "warmup_iter=4")
    changed += ("pixel_opt.type=CharbonnierLoss", "datasets.train.batch_size=1", "ema_decay=0.5")
    run = train(tmp_path, *(f"stages.0.{change}" for change in changed), "stages.1.total_iter=1", auto_resume=True)
    assert "from step 2 on with other options: stages.0.total_iter from 4 to 5, " in (run / "train.log").read_text()
    losses = [row for row in rows(run) if "val" not in row]
    # after each step, as the schedule says for that many steps: before, and as if it had been so all the time
    assert [row["lr"] for row in losses] == pytest.approx([1e-3, 1e-3, 0.01, 0.5 * 0.01, 0.5 * 0.01, 1e-3])
    assert [row["stage"] for row in losses] == ["psnr"] * 5 + ["gan"]
    state = load_state(run / "checkpoints" / "step_5")
    assert state["next_draw"] == 2 * 2 + 3 * 1
    moments = state["stage"]["optim_g"]
    assert {float(parameter["step"]) for parameter in moments["state"].values()} == {5.0}  # Adam forgot nothing
    assert moments["param_groups"][0]["weight_decay"] == 0.5


def test_overwriting_costs_nothing_when_the_weights_to_start_from_are_wrong(copied: Path) -> None:
    run = copied / "experiments" / "tiny"
    weights_file = run / "models" / "net_g_latest.safetensors"
    before = weights_file.read_bytes()
    with pytest.raises(UserError, match="do not fit"):
        train(copied, f"path.pretrain_network_g={weights_file}", "network_g.encoder.num_feat=6", overwrite=True)
    assert weights_file.read_bytes() == before
    # the run may even start again from its own weights
    train(copied, f"path.pretrain_network_g={weights_file}", "stages.1.total_iter=1", overwrite=True)


def test_pretrained_weights_are_where_the_first_stage_starts(tmp_path: Path, whole: Path) -> None:
    start = whole / "models" / "net_g_latest.safetensors"
    zero_rate = ("stages.0.optim_g.lr=0.0", "stages.1.optim_g.lr=0.0", f"path.pretrain_network_g={start}")
    assert_same_weights(whole, train(tmp_path, *zero_rate))


@pytest.fixture(scope="module")
def one_and_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The same run by one process and by two with half the batch each, and what these said when one hung and died later.

    Its first step in each stage is plain gradient descent at rate 1, so that weights tell gradients.
    """
    folder = tmp_path_factory.mktemp("processes")
    descent = "{type: SGD, lr: 1.0}"
    # scale 3 leaves the convolution for scale 2 unused, which distributed training must not wait for
    overrides = ["network_g.decoder.non_local_scales=[3]", "stages.0.total_iter=1", "logger.save_every=1"]
    overrides += [f"stages.0.optim_g={descent}", f"stages.1.optim_d={descent}", "datasets.val.0.num_images=3"]
    one = train(folder / "one", *overrides)
    (folder / "two").mkdir()
    statuses, said = run_two(folder / "two", [*overrides, "datasets.train.batch_size=1"])
    two = folder / "two" / "experiments" / "tiny"
    assert (two / "checkpoints" / "step_5").is_dir(), said
    assert statuses == [0, 9], said
    return one, two, said


def test_two_processes_have_the_gradients_and_the_samples_of_one(one_and_two: tuple[Path, Path, str]) -> None:
    one, two, _ = one_and_two
    for step, part in ((1, "net_g"), (2, "net_d")):  # the discriminator's first step is the second of the run
        ours, theirs = (load_state(run / "checkpoints" / f"step_{step}")["stage"][part] for run in (one, two))
        for name, tensor in ours.items():
            torch.testing.assert_close(theirs[name], tensor, rtol=0, atol=1e-5)
    assert load_state(one / "checkpoints" / "step_5")["next_draw"] == 10
    assert load_state(two / "checkpoints" / "step_5")["next_draw"] == 10
    for name, tensor in weights(one).items():
        torch.testing.assert_close(weights(two)[name], tensor, rtol=1e-3, atol=1e-4)


def test_two_processes_keep_one_log_and_share_a_validation_whose_mean_is_exact(
    one_and_two: tuple[Path, Path, str],
) -> None:
    one, two, _ = one_and_two
    assert [(row["step"], row.get("val")) for row in rows(two)] == [(row["step"], row.get("val")) for row in rows(one)]
    assert (two / "train.log").read_text().count("stage gan: steps 2 to 5, batch 2") == 1
    assert len(list((two / "tb").rglob("events*"))) == len(list((one / "tb").rglob("events*")))
    ours, theirs = ([row["psnr_bicubic"] for row in rows(run) if "val" in row] for run in (one, two))
    assert theirs == pytest.approx(ours, abs=2e-6)  # three images among two processes
    assert "(3 images)" in (two / "train.log").read_text()


def test_a_process_that_dies_or_hangs_ends_the_run_of_the_others_with_a_line(
    one_and_two: tuple[Path, Path, str],
) -> None:
    told = dict(re.findall(r"^told of ([\w ]+): (.*)$", one_and_two[2], re.MULTILINE))
    for what, when in (("hang before", "before the first step"), ("hang within", "step 1"), ("death", "step 1")):
        assert told[what].startswith(f"{when}: another process of this run has died or does not answer")
        assert "engine.timeout_s" in told[what]


def test_another_number_of_processes_goes_on_with_the_run(one_and_two: tuple[Path, Path, str]) -> None:
    one, two, _ = one_and_two
    longer = []
    for run in (one, two):
        stage = "stages.1.datasets.train.batch_size=2"
        options = load_options([run / "options.yml"], ["stages.1.total_iter=5", stage])
        Trainer(options, auto_resume=True).fit()
        longer.append(load_state(run / "checkpoints" / "step_6"))
        assert longer[-1]["next_draw"] == 12
    for name, tensor in longer[0]["stage"]["net_g"].items():
        torch.testing.assert_close(longer[1]["stage"]["net_g"][name], tensor, rtol=1e-3, atol=1e-4)
