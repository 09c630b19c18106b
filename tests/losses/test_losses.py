"""Losses against slow and obvious forms."""

import numpy as np
import pyiqa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import realciao.losses  # noqa: F401  (fills the registry)
from realciao.errors import OptionError
from realciao.options.run import Stage, TrainData
from realciao.registry import LOSS_REGISTRY, build
from realciao.training.objective import Objective, terms

SMALL = settings(max_examples=20, deadline=None, derandomize=True)
SIZES = st.tuples(st.integers(1, 2), st.integers(2, 9), st.integers(2, 9))


def images(size: tuple[int, int, int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pred, gt = (torch.rand(size[0], 3, *size[1:], generator=generator) for _ in range(2))
    return pred, gt


@given(size=SIZES)
@SMALL
def test_the_spectrum_is_that_of_a_sum_over_all_pixels(size: tuple[int, int, int]) -> None:
    pred, gt = images(size)
    _, height, width = size
    ys, xs = np.mgrid[:height, :width]
    parts = []
    for image in (pred - gt).double().numpy().reshape(-1, height, width):
        for u in range(height):
            for v in range(width // 2 + 1):  # the rest mirrors these
                value = (image * np.exp(-2j * np.pi * (u * ys / height + v * xs / width))).sum() / np.sqrt(
                    height * width
                )
                parts += [abs(value.real), abs(value.imag)]
    loss = build(LOSS_REGISTRY, {"type": "FFTLoss", "loss_weight": 0.5})(pred, gt)
    assert float(loss) == pytest.approx(0.5 * np.mean(parts), rel=1e-4)


@given(size=SIZES, block=st.integers(1, 3))
@SMALL
def test_colours_are_compared_block_by_block(size: tuple[int, int, int], block: int) -> None:
    criterion = build(LOSS_REGISTRY, {"type": "LowFrequencyColorLoss", "size_px": block, "loss_weight": 2.0})
    pred, gt = images(size)
    _, height, width = size
    if block > min(height, width):
        with pytest.raises(ValueError, match="does not fit"):
            criterion(pred, gt)
        return
    differences = [
        abs(float(pred[b, c, y : y + block, x : x + block].mean() - gt[b, c, y : y + block, x : x + block].mean()))
        for b in range(size[0])
        for c in range(3)
        for y in range(0, height - block + 1, block)
        for x in range(0, width - block + 1, block)
    ]
    assert float(criterion(pred, gt)) == pytest.approx(2 * np.mean(differences), rel=1e-4)


def test_detail_within_a_block_costs_no_colour_and_a_tint_costs_itself() -> None:
    criterion = build(LOSS_REGISTRY, {"type": "LowFrequencyColorLoss", "size_px": 4})
    checkers = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).tile(4, 4).expand(1, 3, 8, 8)
    assert float(criterion(0.5 + 0.1 * checkers, torch.full((1, 3, 8, 8), 0.5))) == pytest.approx(0, abs=1e-7)
    tint = torch.tensor([0.3, 0.0, 0.0]).reshape(1, 3, 1, 1)
    assert float(criterion(checkers + tint, checkers)) == pytest.approx(0.1)


def test_charbonnier_is_the_root_of_the_square_and_eps() -> None:
    pred, gt = images((1, 4, 4))
    loss = build(LOSS_REGISTRY, {"type": "CharbonnierLoss", "eps": 1e-3})(pred, gt)
    torch.testing.assert_close(loss, ((pred - gt) ** 2 + 1e-3).sqrt().mean())


@pytest.mark.parametrize("kind", ["FFTLoss", "LowFrequencyColorLoss"])
def test_random_points_have_no_neighbours_to_compare(kind: str) -> None:
    points = torch.zeros(1, 3, 1, 50)
    with pytest.raises(ValueError, match="window"):
        build(LOSS_REGISTRY, {"type": kind})(points, points)


# How a stage names them


def make_stage(**given: object) -> Stage:
    adversary = {"network_d": {"type": "x"}, "optim_d": {"type": "x"}}
    data = TrainData(batch_size=1, dataset={})
    return Stage(name="s", total_iter=1, train_data=data, optim_g={}, **adversary, **given)  # pyright: ignore[reportArgumentType]


LOGISTIC = torch.nn.functional.softplus
GAN = {
    "vanilla": (lambda x: LOGISTIC(-x), lambda x: LOGISTIC(-x), LOGISTIC, 2 * np.log(2)),
    "lsgan": (lambda x: (x - 1) ** 2, lambda x: (x - 1) ** 2, lambda x: x**2, 1.0),
    "hinge": (lambda x: -x, lambda x: (1 - x).relu(), lambda x: (1 + x).relu(), 2.0),
}


@pytest.mark.parametrize("kind", GAN)
def test_adversarial_losses_are_their_textbook_forms(kind: str) -> None:
    generator, real, fake, guessing = GAN[kind]
    stage = make_stage(gan_opt={"type": "GANLoss", "gan_type": kind, "loss_weight": 0.1})
    objective = Objective(stage, "s")
    pred, gt = images((2, 5, 5))
    net_d = torch.nn.Conv2d(3, 1, 3)
    batch = {"gt": gt}
    torch.testing.assert_close(
        objective.generator(pred, batch, net_d)["l_g_gan"],  # pyright: ignore[reportArgumentType]
        0.1 * generator(net_d(pred)).mean(),
    )
    torch.testing.assert_close(objective.discriminator_real(net_d, batch), real(net_d(gt)).mean())  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(objective.discriminator_fake(net_d, pred), fake(net_d(pred)).mean())
    assert objective.guessing() == pytest.approx(guessing)


def test_a_list_of_losses_is_the_same_as_keys_for_each() -> None:
    pred, gt = images((2, 8, 8))
    batch = {"gt": gt, "gt_usm": gt.flip(-1)}
    net_d = torch.nn.Conv2d(3, 1, 3)
    specs = [
        {"type": "CharbonnierLoss", "target": "usm"},
        {"type": "FFTLoss", "loss_weight": 0.05},
        {"type": "LowFrequencyColorLoss", "size_px": 4, "target": "usm"},
        {"type": "GANLoss", "gan_type": "hinge"},
    ]
    keys = make_stage(pixel_opt=specs[0], fft_opt=specs[1], color_opt=specs[2], gan_opt=specs[3])
    listed = make_stage(
        losses=tuple({**spec, "name": name} for spec, name in zip(specs, ("pix", "fft", "color", "gan"), strict=True))
    )
    ours, theirs = (
        Objective(stage, "s").generator(pred, batch, net_d)  # pyright: ignore[reportArgumentType]
        for stage in (keys, listed)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert list(ours) == ["l_g_pix", "l_g_fft", "l_g_color", "l_g_gan"]
    flag = make_stage(pixel_opt={"type": "L1Loss"}, l1_gt_usm=True, gan_opt=specs[3])
    key = make_stage(pixel_opt={"type": "L1Loss", "target": "usm"}, gan_opt=specs[3])
    assert [term[1:] for term in terms(flag)] == [term[1:] for term in terms(key)]


@pytest.mark.parametrize(
    ("losses", "path"),
    [
        ([{"type": "L1Loss"}, {"type": "L1Loss"}], "s.losses.1.name"),
        ([{"type": "L1Loss", "target": "hr"}], "s.losses.0.target"),
        ([{"type": "L1Los"}], "s.losses.0.type"),
        ([{"type": "L1Loss", "weight": 1}], "s.losses.0.weight"),
    ],
)
def test_a_wrong_loss_in_a_list_is_refused_at_its_path(losses: list[dict[str, object]], path: str) -> None:
    with pytest.raises(OptionError) as caught:
        Objective(make_stage(losses=(*losses, {"type": "GANLoss", "gan_type": "hinge"})), "s")
    assert caught.value.path == path


def test_two_adversarial_losses_are_refused() -> None:
    with pytest.raises(OptionError, match="more than one"):
        make_stage(gan_opt={"type": "GANLoss"}, losses=({"type": "GANLoss"},))


@given(
    size=st.tuples(st.integers(1, 2), st.integers(6, 13), st.integers(6, 13)),
    contrast=st.sampled_from([1e-3, 0.1, 1.0]),
)
@SMALL
def test_gradients_are_compared_as_gmsd_does(size: tuple[int, int, int], contrast: float) -> None:
    pred, gt = (0.5 + contrast * (image - 0.5) for image in images(size))
    loss = build(LOSS_REGISTRY, {"type": "GradientSimilarityLoss", "loss_weight": 3.0})(pred, gt)
    wanted = []
    for a, b in zip(pred.double().numpy(), gt.double().numpy(), strict=True):
        maps = []
        for image in (a, b):  # in levels of 0 to 255, as the paper has it
            y = 65.481 * image[0] + 128.553 * image[1] + 24.966 * image[2]
            rows, columns = y.shape[0] // 2, y.shape[1] // 2
            half = np.array(
                [[y[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(columns)] for i in range(rows)]
            )
            maps.append(
                [
                    np.hypot(
                        (half[i - 1 : i + 2, j - 1] - half[i - 1 : i + 2, j + 1]).sum() / 3,
                        (half[i - 1, j - 1 : j + 2] - half[i + 1, j - 1 : j + 2]).sum() / 3,
                    )
                    for i in range(1, rows - 1)
                    for j in range(1, columns - 1)
                ]
            )
        g, h = np.array(maps)
        wanted.append(np.sqrt(np.mean((1 - (2 * g * h + 170) / (g**2 + h**2 + 170)) ** 2)))
    assert float(loss) == pytest.approx(3 * np.mean(wanted), rel=1e-3, abs=1e-5)


def test_gradients_judge_as_pyiqas_gmsd_does() -> None:
    gmsd = pyiqa.create_metric("gmsd", device="cpu")
    criterion = build(LOSS_REGISTRY, {"type": "GradientSimilarityLoss"})
    generator = torch.Generator().manual_seed(0)
    gt = torch.rand(1, 3, 12, 12, generator=generator)
    gt = torch.nn.functional.interpolate(gt, (96, 96), mode="bicubic").clamp(0, 1)
    worse = [(gt + s * torch.randn(gt.shape, generator=generator)).clamp(0, 1) for s in (0, 0.01, 0.03, 0.1, 0.3)]
    ours = [float(criterion(image, gt)) for image in worse]
    theirs = [float(gmsd(image, gt)) for image in worse]
    assert ours == sorted(ours)
    # rms^2 = deviation^2 + mean^2: never below GMSD, but for the border that GMSD pads with black
    assert all(a >= b - 0.01 for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("shape", [(2, 3, 1, 40), (1, 3, 5, 40)])
def test_gradients_want_windows(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="window"):
        build(LOSS_REGISTRY, {"type": "GradientSimilarityLoss"})(torch.rand(shape), torch.rand(shape))


def test_what_is_equal_has_a_gradient_all_the_same() -> None:
    pred = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    build(LOSS_REGISTRY, {"type": "GradientSimilarityLoss"})(pred, pred.detach()).backward()
    assert pred.grad is not None
    assert pred.grad.isfinite().all()
