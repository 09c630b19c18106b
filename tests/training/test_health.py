"""Each thing that can go wrong with a run is put in: it is counted, borne within its budget, then named with a cure."""

import json
import math
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from realciao.archs import build_network
from realciao.errors import UserError
from realciao.machine.devices import is_out_of_memory
from realciao.options.run import Health as Limits
from realciao.options.run import Stage, TrainData, load_options
from realciao.training.health import Health, Unhealthy, color_fault, out_of_memory

QUICKSTART = Path(__file__).resolve().parents[2] / "options" / "quickstart.yml"


def make(**limits: float) -> Health:
    return Health(make_stage(), "stages.1", Limits(**limits), guessing=2.0)  # pyright: ignore[reportArgumentType]


def make_stage(batch_size: int = 1, accum_iter: int = 1, **dataset: object) -> Stage:
    data = TrainData(batch_size=batch_size, dataset=dataset)
    spec = {"type": "L1Loss"}
    return Stage(name="s", total_iter=1, train_data=data, optim_g={}, pixel_opt=spec, accum_iter=accum_iter)


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_gradients_that_are_no_numbers_are_skipped_within_the_budget_and_then_end_the_run(norm: float) -> None:
    health = make(max_skipped=3)
    for iteration in range(3):
        assert not health.allows("network_g", norm, iteration)
    assert health.allows("network_g", 1.0, 3)
    with pytest.raises(Unhealthy, match=r"4 updates .* network_g was not finite.*stages\.1\.grad_clip=2") as caught:
        health.allows("network_g", norm, 4)
    assert "\n" not in str(caught.value)
    assert (health.total_skipped, health.is_well) == (4, True)


def test_skips_long_ago_are_forgiven() -> None:
    health = make(max_skipped=2)
    for iteration in range(0, 5000, 600):
        assert not health.allows("network_d", math.nan, iteration)


def test_an_explosion_is_measured_against_the_geometric_mean_of_what_was_usual() -> None:
    rng = np.random.default_rng(0)
    health, norms = make(grad_factor=50.0), np.exp(rng.normal(1, 0.5, 100))
    assert all(health.allows("network_g", norm, i) for i, norm in enumerate(norms))
    usual = math.exp(np.log(norms).mean())
    assert health.allows("network_g", 49.9 * usual, 100)
    usual = math.exp(0.99 * math.log(usual) + 0.01 * math.log(49.9 * usual))
    assert not health.allows("network_g", 50.1 * usual, 101)
    assert health.allows("network_g", 49.9 * usual, 102)
    assert health.allows("network_d", 1e9, 102), "each network has what is usual for itself"


def test_the_first_updates_may_be_of_any_size() -> None:
    health = make(max_skipped=0)
    assert all(health.allows("network_g", 10.0 ** (i % 9), i) for i in range(100))


def test_a_discriminator_that_is_never_wrong_ends_the_run_unless_it_errs_in_between() -> None:
    health = make(max_collapsed=3)
    for loss in (0.019, 0.019, 0.019, 0.021, 0.0, 0.0, 0.0):
        health.judge_discriminator(loss)
    assert not health.is_well
    with pytest.raises(Unhealthy, match=r"discriminator has collapsed: for 4 iterations .*stages\.1\.optim_d\.lr"):
        health.judge_discriminator(0.0)


@pytest.fixture
def gt() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, 8, 8, generator=generator)


FAULTS = {
    "drifted": lambda gt: (gt + torch.tensor([0.5, 0, 0]).reshape(1, 3, 1, 1)).clamp(0, 1.5),
    "grey": lambda gt: gt.mean(1, keepdim=True).expand_as(gt),
    "flat": lambda gt: gt - gt.mean(1, keepdim=True) + gt.mean((1, 2, 3), keepdim=True),
    "drifted by nan": lambda gt: gt * math.nan,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_colours_that_are_off_are_named_and_end_the_run_after_their_budget(fault: str, gt: torch.Tensor) -> None:
    assert color_fault(gt, gt) == ""
    assert color_fault(gt + 0.05 * torch.randn_like(gt), gt) == "", "noise is no fault"
    health, bad = make(max_off_color=2), FAULTS[fault](gt)
    assert fault in color_fault(bad, gt)
    for _ in range(9):
        health.judge_colors(bad, gt)  # the network has not learnt colours yet
    health.judge_colors(gt, gt)
    for pred in (bad, bad, gt, bad, bad):
        health.judge_colors(pred, gt)
    assert not health.is_well
    with pytest.raises(Unhealthy, match=r"3 looks in a row .*color_opt"):
        health.judge_colors(bad, gt)


def test_a_grey_ground_truth_is_no_reason_to_complain() -> None:
    assert color_fault(torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 8, 8), 0.52)) == ""


def test_counting_goes_on_from_a_state(gt: torch.Tensor) -> None:
    whole, first = make(max_skipped=9), make(max_skipped=9)
    for i in range(150):
        norm = math.nan if i % 40 == 7 else 1 + i % 5
        for health in (whole, first):
            health.allows("network_g", norm, i)
            health.judge_discriminator(0.0)
            health.judge_colors(gt, gt)
        if i == 70:
            resumed = make(max_skipped=9)
            resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
            first = resumed
    assert first.state_dict() == whole.state_dict()
    assert whole.total_skipped == 4


@pytest.mark.parametrize(
    ("stage", "cure"),
    [
        (
            make_stage(16),
            "stages.0.datasets.train.batch_size=8 stages.0.accum_iter=2 (32 images an iteration as before)",
        ),
        (
            make_stage(6, 2),
            "stages.0.datasets.train.batch_size=3 stages.0.accum_iter=4 (24 images an iteration as before)",
        ),
        (make_stage(3), "stages.0.datasets.train.batch_size=1 stages.0.accum_iter=3 (6 images an iteration"),
        (make_stage(window=128), "stages.0.datasets.train.window=64 "),
        (make_stage(window=24), "stages.0.datasets.train.window=8 "),
        (
            make_stage(lq_size=48, sample_q=2304),
            "stages.0.datasets.train.lq_size=24 stages.0.datasets.train.sample_q=576 ",
        ),
        (make_stage(window=8), "'network_g.encoder={type: SmallEncoder, num_feat: 16, num_block: 4}' "),
    ],
)
def test_where_memory_is_short_the_line_says_what_to_lower_to_which_value(stage: Stage, cure: str) -> None:
    error = out_of_memory(stage, "stages.0", processes=2)
    assert isinstance(error, UserError)
    assert f"stages.0: out of memory with batch_size {stage.train_data.batch_size}: --set {cure}" in str(error)
    settings = shlex.split(str(error).partition("--set ")[2].partition(" (")[0])  # as a shell reads it
    options = load_options([QUICKSTART], settings)
    if "network_g" in cure:
        assert build_network(options.network_g).spec["encoder"]["num_feat"] == 16  # type: ignore[index]
    else:
        assert options != load_options([QUICKSTART])


def test_the_ways_in_which_devices_say_that_memory_is_short() -> None:
    too_much = 2**60
    with pytest.raises(RuntimeError) as caught:
        torch.empty(too_much, dtype=torch.uint8)
    for error in (caught.value, MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")):
        assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(UserError("out of memory"))
