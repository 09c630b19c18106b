"""The perceptual loss: zero for equals, the sum that its weights say, and weights that come from where they are said to."""

from pathlib import Path

import pytest
import torch
import torchvision

from realciao.errors import OptionError
from realciao.losses.perceptual_loss import PerceptualLoss
from realciao.registry import LOSS_REGISTRY, build


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VGG11 weights, most of them zero-sized work: the classifier is not read, but must be there."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vgg") / "vgg11.pth"
    torch.save(torchvision.models.vgg11(weights=None, init_weights=False).state_dict(), path)
    return path


def make(vgg_weights: str, **changes: object) -> PerceptualLoss:
    spec = {
        "type": "PerceptualLoss",
        "vgg_type": "vgg11",
        "vgg_weights": vgg_weights,
        "layer_weights": {"conv1_1": 2.0},
    }
    return build(LOSS_REGISTRY, spec | changes, "perceptual_opt")


def test_one_layer_is_the_weighted_distance_of_its_convolutions(vgg_file: Path) -> None:
    loss = make(str(vgg_file), perceptual_weight=3.0)
    assert isinstance(loss, PerceptualLoss)
    weights = torch.load(vgg_file, weights_only=True)
    pred, gt = torch.rand(2, 1, 3, 16, 16)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    difference = torch.nn.functional.conv2d((pred - gt) / deviation, weights["features.0.weight"], padding=1)
    torch.testing.assert_close(loss(pred, gt), 6 * difference.abs().mean())
    assert loss(gt, gt) == 0


def test_style_adds_to_it_and_gradients_reach_the_prediction_alone(vgg_file: Path) -> None:
    pred, gt = torch.rand(1, 3, 16, 16, requires_grad=True), torch.rand(1, 3, 16, 16)
    plain, styled = make(str(vgg_file)), make(str(vgg_file), style_weight=5.0)
    assert styled(pred, gt) > plain(pred, gt)
    styled(pred, gt).backward()
    assert pred.grad is not None
    assert pred.grad.abs().sum() > 0
    assert all(not p.requires_grad for p in styled.parameters())


def test_random_weights_are_the_same_each_time_said_aloud_and_leave_the_generator_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, other = make("random"), make("random")
    assert torch.equal(torch.get_rng_state(), state)
    pred, gt = torch.rand(2, 1, 3, 16, 16)
    assert one(pred, gt) == other(pred, gt)
    assert "RANDOM" in caplog.text


def test_weights_that_cannot_be_had_are_one_line_that_says_what_to_put_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(OptionError, match=r"put vgg11-\w+\.pth into .*checkpoints") as caught:
        make("imagenet")
    assert caught.value.path == "perceptual_opt"
    with pytest.raises(OptionError, match="no such file"):
        make("none.pth")


@pytest.mark.parametrize("change", [{"layer_weights": {"conv9_1": 1.0}}, {"layer_weights": {}}, {"vgg_type": "vgg12"}])
def test_wrong_layers_and_networks_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        make("random", **change)
