"""The losses of a stage: which there are, what they see, and where their gradients go."""

from typing import Any

import pytest
import torch
from torch import nn

from realciao.errors import OptionError
from realciao.options.run import Stage, TrainData
from realciao.training.objective import Objective

SPEC: dict[str, Any] = {"type": "L1Loss"}


def make_stage(**given: Any) -> Stage:
    data = TrainData(batch_size=1, dataset={})
    return Stage(name="s", total_iter=1, train_data=data, optim_g={}, **given)


@pytest.fixture
def batch() -> Any:
    torch.manual_seed(0)
    return {"gt": torch.rand(1, 3, 8, 8), "gt_usm": torch.rand(1, 3, 8, 8)}


def test_each_loss_sees_the_target_that_its_flag_names(batch: Any) -> None:
    pred = torch.rand(1, 3, 8, 8)
    for usm, key in ((False, "gt"), (True, "gt_usm")):
        stage = make_stage(pixel_opt={**SPEC, "loss_weight": 2.0}, l1_gt_usm=usm)
        objective = Objective(stage, "s")
        losses = objective.generator(pred, batch, None)
        torch.testing.assert_close(losses, {"l_g_pix": 2 * (pred - batch[key]).abs().mean()})
        assert objective.targets == {"usm" if usm else "gt"}


def test_the_vanilla_gan_losses_are_binary_cross_entropy(batch: Any) -> None:
    adversarial = {"gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "loss_weight": 0.1}}
    stage = make_stage(pixel_opt=SPEC, **adversarial, network_d={"type": "x"}, optim_d={"type": "x"})
    objective = Objective(stage, "s")
    net_d, pred = nn.Conv2d(3, 1, 3), torch.rand(1, 3, 8, 8, requires_grad=True)
    softplus = nn.functional.softplus
    torch.testing.assert_close(objective.generator(pred, batch, net_d)["l_g_gan"], 0.1 * softplus(-net_d(pred)).mean())
    torch.testing.assert_close(objective.discriminator_real(net_d, batch), softplus(-net_d(batch["gt"])).mean())
    fake = objective.discriminator_fake(net_d, pred)
    torch.testing.assert_close(fake, softplus(net_d(pred)).mean())
    fake.backward()
    assert pred.grad is None


def test_a_wrong_loss_is_refused_at_its_path() -> None:
    with pytest.raises(OptionError) as caught:
        Objective(make_stage(pixel_opt={"type": "L1Los"}), "stages.2")
    assert caught.value.path == "stages.2.pixel_opt.type"
