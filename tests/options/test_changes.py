"""What may change in the options of a run that goes on, and what of it is said."""

from pathlib import Path

import pytest
from tiny_run import write_options

from realciao.errors import UserError
from realciao.options.changes import changes
from realciao.options.run import Options, load_options


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stages of four iterations each."""
    return write_options(tmp_path_factory.mktemp("options"))


def changed(file: Path, step: int, *overrides: str) -> list[str]:
    return changes(load_options([file]), load_options([file], overrides), step)


@pytest.mark.parametrize(
    ("step", "override"),
    [
        (2, "stages.0.optim_g.lr=0.5"),
        (2, "stages.0.optim_g.betas=[0.5, 0.9]"),
        (2, "stages.0.scheduler={type: CosineAnnealingLR}"),
        (2, "stages.0.total_iter=3"),
        (2, "stages.0.pixel_opt.type=CharbonnierLoss"),
        (2, "stages.0.fft_opt={type: FFTLoss}"),
        (2, "stages.0.datasets.train.pipeline=realesrgan"),
        (2, "stages.0.ema_decay=0.5"),
        (2, "stages.1.network_d.num_feat=4"),  # of a stage that has not begun
        (2, "stages.1.optim_g.type=SGD"),
        (4, "stages.0.total_iter=5"),  # its last state is there, and nothing came after it
        (4, "stages.1.name=other"),
        (6, "stages.1.optim_d.lr=0.5"),
        (6, "stages.1.gan_opt.loss_weight=0.5"),
        (6, "stages.0.grad_clip=0.5"),  # without effect
        (6, "engine.mixed_precision=bf16"),
        (8, "stages.1.total_iter=9"),
        (8, "health.max_skipped=1"),
    ],
)
def test_what_its_state_can_go_on_with_may_change_and_is_said(file: Path, step: int, override: str) -> None:
    said = changed(file, step, override)
    assert said
    section = override.partition("=")[0].rpartition(".")[0]
    assert all(change.startswith(f"{section}.") for change in said)


@pytest.mark.parametrize(
    ("step", "override", "why"),
    [
        (2, "manual_seed=5", "another manual_seed"),
        (2, "network_g.encoder.num_feat=6", "another network_g.encoder.num_feat"),
        (2, "stages.0.optim_g.type=AdamW", "another stages.0.optim_g.type"),
        (2, "stages.0.optim_g.groups={encoder: {lr: 1.0}}", "another stages.0.optim_g.groups"),
        (2, "stages.0.freeze=[encoder]", "another stages.0.freeze"),
        (2, "stages.0.name=other", "another stages.0.name"),
        (2, "stages.0.total_iter=2", "stages.0.total_iter is 2, but 2 of its iterations are done"),
        (4, "stages.0.total_iter=3", "stages.0.total_iter is 3, but 4 of its iterations are done"),
        (4, "stages.0.optim_g.lr=0.5", "another stages.0.optim_g.lr"),
        (5, "stages.0.total_iter=6", "another stages.0.total_iter"),
        (5, "stages.1.network_d.num_feat=4", "another stages.1.network_d.num_feat"),
        (8, "stages.1.optim_g.lr=0.5", "another stages.1.optim_g.lr"),
    ],
)
def test_what_would_make_it_another_run_is_refused_by_its_key(file: Path, step: int, override: str, why: str) -> None:
    with pytest.raises(UserError) as caught:
        changed(file, step, override)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_may_get_another_stage_and_lose_one_that_has_not_begun(file: Path) -> None:
    two = load_options([file])
    one = Options(**{key: getattr(two, key) for key in two.__struct_fields__} | {"stages": two.stages[:1]})
    assert changes(one, two, 4)
    assert changes(two, one, 4)
    with pytest.raises(UserError, match=r"another stages\.1"):
        changes(two, one, 5)


def test_of_many_changes_the_first_are_said_and_the_rest_is_counted(file: Path) -> None:
    said = changed(file, 2, *(f"stages.1.{key}={i}" for i, key in enumerate(("warmup_iter", "grad_clip"), 3)))
    assert said == ["stages.1.warmup_iter from 0 to 3", "stages.1.grad_clip from nothing to 4.0"]
    assert changed(file, 2) == []
    many = changed(
        file,
        2,
        "health={max_skipped: 1, grad_factor: 2, max_collapsed: 3, max_off_color: 1}",
        "logger={print_every: 7, save_every: 7, keep_last: 1, keep_every: 7, keep_best: 7}",
    )
    assert many[8:] == ["1 more"]
