"""The folder of a run: who may use it, and what its files hold."""

import json
import logging
import math
import shutil
from pathlib import Path

import msgspec
import pytest
from tiny_run import write_options

from realciao.errors import UserError
from realciao.options.run import Options, load_options
from realciao.training.run_folder import RunFolder
from realciao.training.run_state import save_state


def open_run(run: RunFolder, options: Options, auto_resume: bool, overwrite: bool) -> Path | None:
    checkpoint = run.claim(options, auto_resume, overwrite)
    run.begin(options, int(checkpoint.name.removeprefix("step_")) if checkpoint else 0, overwrite)
    run.release()
    return checkpoint


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return load_options([write_options(tmp_path)])


@pytest.fixture
def run(options: Options) -> RunFolder:
    """A folder in use: five rows, checkpoints of steps 2 and 3."""
    run = RunFolder(options)
    assert open_run(run, options, auto_resume=False, overwrite=False) is None
    for step in range(1, 6):
        run.write_row({"step": step, "stage": "psnr"})
    for step in (2, 3):
        save_state({"step": step}, run.checkpoints / f"step_{step}")
    return run


def rows(run: RunFolder) -> list[dict]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in run.metrics_file.read_text().splitlines()]


def test_the_options_are_there_to_be_read_again(options: Options, run: RunFolder):
    assert load_options([run.options_file]) == options


def test_going_on_drops_the_rows_after_the_checkpoint_and_half_a_last_line(options: Options, run: RunFolder):
    with open(run.metrics_file, "a") as file:
        file.write('{"step": 3, "sta')  # as a crash leaves it
    assert open_run(run, options, auto_resume=True, overwrite=False) == run.checkpoints / "step_3"
    assert [row["step"] for row in rows(run)] == [1, 2, 3]
    run.write_row({"step": 4})
    assert [row["step"] for row in rows(run)] == [1, 2, 3, 4]


def test_going_on_without_a_checkpoint_starts_with_no_rows(options: Options, run: RunFolder):
    for step in (2, 3):
        shutil.rmtree(run.checkpoints / f"step_{step}")
    assert open_run(run, options, auto_resume=True, overwrite=False) is None
    assert rows(run) == []


def test_numbers_that_json_lacks_are_null_and_keep_their_place(run: RunFolder):
    run.write_row({"step": 6, "psnr": math.inf, "niqe": math.nan, "ssim": 0.5})
    assert list(rows(run)[-1].items()) == [("step", 6), ("psnr", None), ("niqe", None), ("ssim", 0.5)]


def test_starting_again_removes_what_a_run_writes_and_leaves_what_is_foreign(options: Options, run: RunFolder):
    foreign = [run.root / "notes.txt", run.root / "plots" / "a.png"]
    own = [run.models / "a.safetensors", run.trackers / "e", run.upscaled / "a.png", run.picture, run.table]
    for path in [*foreign, *own]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert open_run(run, options, auto_resume=False, overwrite=True) is None
    assert {path for path in run.root.rglob("*") if path.is_file()} - {run.root / ".lock"} == {
        *foreign,
        run.options_file,
    }


def test_a_run_that_is_there_is_refused_until_a_flag_says_what_to_do(options: Options, run: RunFolder):
    with pytest.raises(UserError, match=r"--auto_resume .* --overwrite"):
        open_run(run, options, auto_resume=False, overwrite=False)
    assert len(rows(run)) == 5


def test_a_folder_that_cannot_be_made_is_one_line(options: Options, tmp_path: Path):
    (tmp_path / "experiments").touch()
    with pytest.raises(UserError, match="cannot be written") as caught:
        open_run(RunFolder(options), options, auto_resume=False, overwrite=False)
    assert "\n" not in str(caught.value)


def test_what_is_said_goes_to_the_terminal_and_dated_to_the_log_of_the_main_process_alone(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
):
    said = logging.getLogger("realciao")
    before = said.level, list(said.handlers)
    with run.logging(is_main_process=True):
        said.info("one")
    with run.logging(is_main_process=False):
        said.info("two")
    assert capsys.readouterr().out == "one\n"
    (line,) = run.log_file.read_text().splitlines()
    assert line.endswith(" INFO one")
    assert (said.level, list(said.handlers)) == before


def test_only_one_process_trains_in_a_folder(options: Options) -> None:
    first, second = RunFolder(options), RunFolder(options)
    first.claim(options, auto_resume=False, overwrite=False)
    with pytest.raises(UserError, match="another process"):
        second.claim(options, auto_resume=True, overwrite=False)
    first.release()
    second.claim(options, auto_resume=True, overwrite=False)
    second.release()


def test_copies_of_a_checkpoint_and_half_a_save_disturb_nothing(options: Options) -> None:
    run = RunFolder(options)
    for name in ("step_3", "step_9_backup", "step_best"):
        save_state({}, run.checkpoints / name)
    left = run.checkpoints / ".0123.tmp"
    left.mkdir()
    (left / "state.pt").touch()
    assert open_run(run, options, auto_resume=True, overwrite=False) == run.checkpoints / "step_3"
    assert not left.exists()


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_it_taken(
    options: Options, run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    state = run.checkpoints / "step_3" / "state.pt"
    damaged = bytearray(state.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    state.write_bytes(damaged)
    assert open_run(run, options, auto_resume=True, overwrite=False) == run.checkpoints / "step_2"
    assert f"{state}: damaged checkpoint" in caplog.text
    (run.checkpoints / "step_2" / "about.json").unlink()
    with pytest.raises(UserError, match=r"none of the 2 checkpoints can be used: .*step_3.*--overwrite"):
        open_run(run, options, auto_resume=True, overwrite=False)


def test_what_is_kept_is_what_a_slow_rule_keeps(options: Options, run: RunFolder) -> None:
    for step in range(1, 9):
        save_state({}, run.checkpoints / f"step_{step}", healthy=step <= 3)
        for path in run.weights_files(options.stage_at(step - 1)[1].name, step):
            path.parent.mkdir(exist_ok=True)
            path.touch()
    keep = msgspec.structs.replace(options.logger, keep_last=2, keep_every=5)
    run.tidy(msgspec.structs.replace(options, logger=keep), best=[2])
    kept = {
        step
        for step in range(1, 9)
        if step in (7, 8)  # the last two
        or step % 5 == 0
        or step in (4, 8)  # ends of stages
        or step == 2  # best
        or step == 3  # the newest healthy one
    }
    assert {int(path.name[5:]) for path in run.checkpoints.iterdir()} == kept
    numbered = {path.stem.split("_")[-1] for path in run.models.iterdir()} - {"latest"}
    assert {int(number) for number in numbered} == kept


def test_the_best_steps_are_those_of_a_sort_of_the_rows(run: RunFolder) -> None:
    for step, score in ((1, 0.5), (2, math.inf), (3, 0.7), (4, 0.5), (5, 0.9)):
        run.write_row({"step": step, "val": "a", "niqe": score})
        run.write_row({"step": step, "val": "b", "niqe": 9 - score})
    assert run.best_steps("a", "niqe", lower_better=False) == [5, 3, 1, 4]
    assert run.best_steps("a", "niqe", lower_better=True) == [1, 4, 3, 5]


def test_a_retreat_puts_aside_what_came_after_the_last_healthy_state(options: Options, run: RunFolder) -> None:
    for step in (4, 5):
        save_state({}, run.checkpoints / f"step_{step}", healthy=False)
    assert f"the last healthy state is {run.checkpoints / 'step_3'}" in run.retreat()
    assert {path.name for path in run.checkpoints.iterdir()} == {"step_2", "step_3", "step_4_ill", "step_5_ill"}
    assert open_run(run, options, auto_resume=True, overwrite=False) == run.checkpoints / "step_3"
