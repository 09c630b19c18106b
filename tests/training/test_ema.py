"""The average of weights against a loop."""

import copy

import pytest
import torch
from torch import nn

from realciao.training.ema import make_ema


@pytest.mark.parametrize("warmup", [False, True])
def test_the_average_follows_its_recursion_and_goes_on_from_its_state(warmup: bool) -> None:
    net = nn.Linear(2, 1, bias=False)
    ema = make_ema(net, decay=0.4, warmup=warmup)
    generator = torch.Generator().manual_seed(0)
    expected = torch.zeros(1, 2)
    for t in range(12):
        with torch.no_grad():
            net.weight.copy_(torch.randn(1, 2, generator=generator))
        decay = min(0.4, (1 + t) / (10 + t)) if warmup else 0.4
        expected = net.weight.detach().clone() if t == 0 else decay * expected + (1 - decay) * net.weight.detach()
        ema.update_parameters(net)
        if t == 5:
            state = copy.deepcopy(ema.state_dict())
            ema = make_ema(nn.Linear(2, 1, bias=False), decay=0.4, warmup=warmup)
            ema.load_state_dict(state)
        torch.testing.assert_close(ema.module.weight.detach(), expected)
