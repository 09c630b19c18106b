"""What a run says while it goes on, on a terminal and elsewhere, and to the services that keep its numbers."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import GeneralTracker
from tiny_run import write_options

from realciao.errors import OptionError
from realciao.options.run import load_options
from realciao.training import trackers
from realciao.training.progress import Progress
from realciao.training.run_folder import RunFolder
from realciao.training.status_line import Status, StatusLine
from realciao.training.trainer import Trainer

STATUS = Status("psnr", 120, 700, {"l_g_pix": 0.05214}, 2e-3, 14.12, 0.031, 0.94, "0:09:51")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def sit_at(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called in the test itself: pytest puts its own standard output in place after the fixtures."""
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("CI", raising=False)


def test_the_line_says_all_of_it() -> None:
    said = "[psnr 120/700] l_g_pix 0.0521  lr 2.00e-03  14.1 images/s  data 3%  memory 0.9 GiB  eta 0:09:51"
    assert STATUS.line() == said


def test_a_terminal_has_a_line_that_is_renewed_and_what_is_printed_goes_above(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    sit_at(terminal, monkeypatch)
    with StatusLine() as line:
        line.show(STATUS, first_step=0)
        print("a warning")
        line.show(STATUS._replace(step=121), first_step=0)
    said = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", terminal.getvalue())
    assert said != terminal.getvalue()
    assert "121/700 l_g_pix 0.0521" in said
    assert said.index("a warning") < said.index("121/700")


@pytest.mark.parametrize("case", ["file", "CI", "dumb", "another process"])
def test_elsewhere_it_is_silent(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    terminal = Terminal()
    sit_at(terminal, monkeypatch)
    if case == "file":
        monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    if case == "CI":
        monkeypatch.setenv("CI", "true")
    if case == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    with StatusLine(enabled=case != "another process") as line:
        line.show(STATUS, first_step=0)
        line.advance(130, Progress(4))
    assert terminal.getvalue() == ""


class Recorder(GeneralTracker):
    """A service, as Accelerate sees one."""

    name = "wandb"
    requires_logging_directory = False
    main_process_only = True
    made: list["Recorder"] = []  # noqa: RUF012

    def __init__(self, run_name: str, **arguments: Any) -> None:
        super().__init__()
        self.run_name, self.arguments = run_name, arguments
        self.started = False
        self.options: dict[str, Any] = {}
        self.values: list[tuple[int, dict[str, Any]]] = []
        self.made.append(self)

    @property
    def tracker(self) -> "Recorder":
        return self

    def start(self) -> None:
        self.started = True

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.options = values

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self.values.append((step or 0, values))


def test_a_service_by_its_name_gets_options_and_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trackers.LOGGER_TYPE_TO_CLASS, "wandb", Recorder)
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: ["tensorboard", "wandb"])
    short = ["stages.0.total_iter=2", "stages.1.total_iter=1", "logger.trackers=[tensorboard, wandb]"]
    trainer = Trainer(load_options([write_options(tmp_path)], short))
    (service,) = Recorder.made
    assert not service.started
    trainer.fit()
    assert (service.run_name, service.arguments) == ("realciao", {"name": "tiny"})
    assert service.options["stages"][0]["total_iter"] == 2
    assert [step for step, values in service.values if "train/l_g_pix" in values] == [1, 2, 3]
    assert list((tmp_path / "experiments" / "tiny" / "tb").glob("events*"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wandb", "logger.trackers.0: 'wandb' is not installed: python -m pip install wandb"),
        ("tensorbord", "logger.trackers.0: no tracker is called 'tensorbord'; did you mean 'tensorboard'?"),
    ],
)
def test_a_service_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: ["tensorboard"])
    options = load_options([write_options(tmp_path)])
    with pytest.raises(OptionError) as caught:
        trackers.make_trackers([name], options, RunFolder(options))
    assert str(caught.value) == said
