"""Single steps of the second stage: who moves, and that compiling changes nothing."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import write_options

from realciao.options.run import load_options
from realciao.training.engine import make_accelerator
from realciao.training.stage_run import StageRun


def started(folder: Path, *overrides: str) -> StageRun:
    options = load_options([write_options(folder)], overrides)
    stage_run = StageRun(options, 1)
    stage_run.start(make_accelerator(options, [], str(folder)), None)
    return stage_run


def copy(net: Any) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in net.parameters()]


def moves(before: list[torch.Tensor], net: Any) -> bool:
    return not all(torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))


def test_the_generator_waits_and_takes_turns_as_told_and_the_discriminator_moves_always(tmp_path: Path) -> None:
    stage_run = started(tmp_path, "stages.1.net_d_iters=2", "stages.1.net_d_init_iters=3")
    batch = stage_run.dataset.first(1)
    for iteration in range(7):
        before = copy(stage_run.net_g), copy(stage_run.net_d)
        losses = stage_run.step([batch], iteration)
        expected = iteration in (4, 6)  # from 3 on, and every second one
        assert moves(before[0], stage_run.net_g) == expected
        assert moves(before[1], stage_run.net_d)
        assert ("l_g_gan" in losses) == expected


def test_the_parts_that_an_error_is_traced_to_are_there_in_many_processes_too(tmp_path: Path) -> None:
    stage_run = started(tmp_path)
    alone = stage_run.parts_by_path()
    stage_run.net_g, stage_run.net_d = (torch.nn.DataParallel(net) for net in (stage_run.net_g, stage_run.net_d))
    assert stage_run.parts_by_path() == alone
    assert {"network_g.encoder", "network_g.decoder", "stages.1.network_d"} <= alone.keys()


@pytest.mark.skipif("REALCIAO_SLOW" not in os.environ, reason="takes ten seconds; REALCIAO_SLOW=1 runs it")
def test_compiled_networks_take_the_same_steps_the_generator_s_through_the_frozen_discriminator(
    tmp_path: Path,
) -> None:
    compiled: list[Any] = []

    def backend(graph: Any, _inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    torch._dynamo.register_backend(backend, name="counting")
    plain, graphs = started(tmp_path), started(tmp_path, "engine.compile={backend: counting}")
    batch = plain.dataset.first(2)
    for iteration in range(2):
        ours, theirs = plain.step([batch], iteration), graphs.step([batch], iteration)
        assert ours.keys() == theirs.keys()
        assert list(map(float, ours.values())) == pytest.approx(list(map(float, theirs.values())))
    assert len(compiled) >= 2
    for name in ("net_g", "net_d"):
        for one, other in zip(copy(getattr(plain, name)), copy(getattr(graphs, name)), strict=True):
            torch.testing.assert_close(one, other)
