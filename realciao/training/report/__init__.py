"""report.html: how a run goes, in one file that needs no server, no network and no other file."""

import logging

from torch import nn

from realciao.data import ValSet
from realciao.errors import UserError
from realciao.files import atomic_write
from realciao.options.run import Options
from realciao.training.report.page import build_page
from realciao.training.report.previews import draw_previews
from realciao.training.report.run_data import read_run
from realciao.training.run_folder import RunFolder

logger = logging.getLogger("realciao")

__all__ = ["build_page", "draw_previews", "read_run", "refresh_report"]


def refresh_report(options: Options, run: RunFolder, step: int, net: nn.Module, val_sets: dict[str, ValSet]) -> None:
    """Draws the previews of a step and writes the report anew, whole; what goes wrong is said and does not stop a run.

    Args:
        options: of the run.
        run: where its numbers, its log and its previews lie, and the report will.
        step: that is done.
        net: the averaged weights, in eval mode.
        val_sets: by name.
    """
    try:
        draw_previews(net, val_sets, run.previews, step)
        atomic_write(run.report_file, build_page(read_run(options, run)))
    except (UserError, OSError) as error:
        logger.warning("the report could not be renewed: %s", error)
