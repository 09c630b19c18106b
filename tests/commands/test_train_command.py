"""The training command as a user meets it."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from exit_status import exit_status
from tiny_run import write_options

from realciao.train import main

ROOT = Path(__file__).parents[2]


run = partial(exit_status, main)


def test_a_run_and_its_refused_repetition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_options(tmp_path))
    short = ["--set", "stages.0.total_iter=1", "stages.1.total_iter=1"]
    assert run("-opt", path, *short) == 0
    assert "[gan 2/2]" in capsys.readouterr().out
    assert run("-opt", path, *short) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "--auto_resume" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("stages.0.optim_g={type: LBFGS}", "stages.0.optim_g.type"),
        ("stages.1.optim_d={type: Adam, betas: [0.9]}", "stages.1.optim_d"),
        ("stages.0.optim_g={type: Adam, lr: abc}", "stages.0.optim_g.lr"),
        ("stages.0.optim_g={type: Adam, lr: true}", "stages.0.optim_g.lr"),
        ("stages.0.optim_g={type: Adam, differentiable: true}", "stages.0.optim_g"),
        ("stages.0.scheduler={type: ReduceLROnPlateau}", "stages.0.scheduler.type"),
        ("stages.0.scheduler={type: StepLR, step_size: 0}", "stages.0.scheduler"),
        ("stages.0.scheduler={type: CosineAnnealingLR, T_max: 0}", "stages.0.scheduler"),
        ("stages.0.scheduler={type: OneCycleLR, max_lr: 1, total_steps: 2}", "stages.0.scheduler.total_steps"),
        ("stages.0.pixel_opt={type: L1Loss, reduction: none}", "stages.0.pixel_opt"),
        ("stages.0.pixel_opt={type: GANLoss, gan_type: vanilla}", "stages.0.pixel_opt"),
        (
            "stages.1.perceptual_opt={type: PerceptualLoss, layer_weights: {conv1_2: 1}, vgg_weights: random, "
            "perceptual_weight: 0}",
            "stages.1.perceptual_opt",
        ),
        ("stages.1.network_d.num_in_ch=4", "stages.1.network_d"),
        ("stages.1.network_d={type: VGGStyleDiscriminator, num_in_ch: 3, num_feat: 4}", "stages.1.network_d"),
        ("network_g={type: EDSR, num_in_ch: 3, num_out_ch: 3}", "network_g.type"),
        ("network_g.encoder.num_feat=0", "network_g.encoder.num_feat"),
        ("network_g.encoder={type: SwinIREncoder, drop_path: 2}", "network_g.encoder.drop_path"),
        ("network_g.rgb_std=[0, 0, 0]", "network_g.rgb_std"),
        ("network_g.decoder={non_local_scales: [2], nonlocal_window: 3}", "network_g.decoder.nonlocal_window"),
        ("network_g.decoder={type: PixelShuffleDecoder, scale: 4}", "network_g.decoder"),
        ("datasets.val.0.scales=[.nan]", "datasets.val.0.scales.0"),
    ],
)
def test_what_fails_only_when_it_is_used_is_found_before_the_run_at_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, path: str
) -> None:
    assert run("-opt", str(write_options(tmp_path)), "--set", override) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert f": {path}: " in said
    assert said.count("\n") == 1
    assert not (tmp_path / "experiments").exists()


def test_a_validation_set_that_the_network_cannot_make_is_found_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = ["scale_range=[4, 4]", "network_g.decoder={type: PixelShuffleDecoder, scale: 4}"]
    assert run("-opt", str(write_options(tmp_path)), "--dry_run", "--set", *fixed) == 2  # it has scales: [2]
    said = capsys.readouterr().err
    assert ": datasets.val.0: photo_0_x2: the network upscales by 4" in said
    assert run("-opt", str(write_options(tmp_path)), "--dry_run", "--set", *fixed, "datasets.val.0.scales=[4]") == 0


def test_a_dry_run_makes_the_steps_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_options(tmp_path))
    assert run("-opt", path, "--dry_run") == 0
    assert "2 stages went well" in capsys.readouterr().out
    assert not (tmp_path / "experiments").exists()
    assert run("-opt", path, "--dry_run", "--set", "stages.1.network_d.num_in_ch=4") == 2


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("stages.0.pixel_opt.type=L1Los", "did you mean 'L1Loss'"),
        ("stages.1.optim_d.lrr=1", "did you mean 'lr'"),
        ("network_g.encoder.num_feat=many", "network_g.encoder.num_feat"),
        ("network_g.decoder.hiden=[8]", "did you mean 'hidden'"),
        ("datasets.train.lq_sizes=8", "datasets.train.lq_sizes"),
        ("datasets.train.dataroot_gt=nowhere", "nowhere"),
        ("val.metrics=[psnrr]", "did you mean 'psnr'"),
        ("logger.trackers=[tensorbord]", "logger.trackers"),
        ("path.pretrain_network_g=none.safetensors", "none.safetensors"),
        ("stages.0.scheduler.milestone=[1]", "did you mean 'milestones'"),
        ("engine.mixed_precision=fp16", "engine.mixed_precision: fp16"),
        ("stages.0.freeze=[encodr]", "stages.0.freeze: network_g has no part 'encodr'; did you mean 'encoder'?"),
        ("stages.0.freeze=[encoder, decoder]", "there is nothing to train"),
        ("stages.0.fft_opt={type: FFTLoss}", "stages.0.fft_opt: its first step fails: ValueError: wants windows"),
        ("val.best=pairs/ssim", "val.best: no validation metric 'ssim'"),
    ],
)
def test_a_wrong_option_is_one_line_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, wanted: str
) -> None:
    assert run("-opt", str(write_options(tmp_path)), "--set", override) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert wanted in said
    assert said.count("\n") == 1


def test_a_wrong_key_in_the_file_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_options(tmp_path)
    text = path.read_text().replace("num_block: 1", "num_blok: 1")
    path.write_text(text)
    line = next(i for i, content in enumerate(text.splitlines(), 1) if "num_blok" in content)
    assert run("-opt", str(path)) == 2
    assert f"{path}:{line}: network_g.encoder.num_blok" in capsys.readouterr().err


def test_the_launcher_that_would_run_one_process_for_two_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert run("-opt", str(write_options(tmp_path))) == 2
    assert "--multi_gpu" in capsys.readouterr().err


def test_the_script_runs_from_another_folder_and_refuses_a_missing_file_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "realciao" / "train.py"), "-opt", "none.yml"]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: none.yml")
    assert done.stderr.count("\n") == 1
