"""The benchmark of degradation: how often BSRGAN meets its steps, against simulation; and a run on tiny crops."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_bsrgan import anisotropic_kernel, convolve

from degradations import blur, kernels
from realciao.benchmarks.degradation import bsrgan
from realciao.benchmarks.degradation.crops import hr_crops
from realciao.benchmarks.degradation.loader import computed_loss
from realciao.commands.benchmark import main
from realciao.errors import UserError


def test_bsrgan_meets_its_steps_as_often_as_a_simulation_of_its_random_order() -> None:
    rng = np.random.default_rng(0)
    draws, totals = 4_000, np.zeros(3)
    for _ in range(draws):
        scale, area = (2, 0.25) if rng.random() < 0.25 else (4, 1.0)
        order = list(rng.permutation(7))  # 0 and 1 blur, 2 and 3 shrink, the rest is not counted
        second, third = order.index(2), order.index(3)
        if second > third:
            order[second], order[third] = 3, 2
        entry = area
        for operation in order:
            if operation in (0, 1):
                taps = rng.choice(range(7, 26, 2)) ** 2 / bsrgan.MEAN_KERNEL**2
                totals += taps * (rng.random() < 0.5), taps * area, 0
            elif operation == 2 and rng.random() < 0.75:
                area = entry / rng.uniform(1, 2 * scale) ** 2
            elif operation == 2:
                totals[2] += area
                area = entry / scale**2
            elif operation == 3:
                area = entry / scale**2
    np.testing.assert_allclose(totals / draws, bsrgan.calls(), rtol=0.1)


def test_bsrgans_steps_do_what_ours_do() -> None:
    variances, theta = (6.0, 2.0), 0.4
    kernel = anisotropic_kernel(15, variances, theta)
    np.testing.assert_allclose(kernel, kernels.gaussian(15, [6**0.5, 2**0.5], theta), atol=1e-6)
    image = np.random.default_rng(0).random((20, 24, 3), np.float32)
    np.testing.assert_allclose(convolve(image, kernel), blur.correlate(image, kernel.astype(np.float32)), atol=4e-6)


def test_crops_are_as_many_as_asked_and_too_large_ones_are_refused() -> None:
    crops = hr_crops(["builtin_val"], 250, 5)
    assert [crop.shape for crop in crops] == [(250, 250, 3)] * 5
    assert not np.array_equal(crops[0], crops[2])
    with pytest.raises(UserError, match="no photo has 5000 px"):
        hr_crops(["builtin_val"], 5000, 1)


@pytest.mark.parametrize(
    ("loading", "training", "workers", "cores", "lost"),
    [(1, 2, 1, 2, 0), (2, 2, 2, 2, 0), (4, 2, 2, 2, 1 / 3), (4, 2, 1, 8, 0.5)],
)
def test_the_loss_is_what_shared_cores_or_too_few_workers_take(loading, training, workers, cores, lost) -> None:
    assert computed_loss(loading, training, workers, cores) == pytest.approx(lost)


def test_the_benchmark_of_speed_runs_on_tiny_crops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads, file = torch.get_num_threads(), tmp_path / "figures.json"
    command = "degradation --parts speed --sizes 48 --recipes realesrgan --batch 2 --rounds 1 --json"
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), str(file)])
    torch.set_num_threads(threads)
    assert ended.value.code == 0
    figures = json.loads(file.read_text())
    rows = {row["way"]: row for row in figures["tables"][0]["rows"]}
    assert rows["OpenCV"]["x Real-ESRGAN's own"] > 1
    assert all(row["images/s cpu"] > 0 for row in rows.values())
    assert figures["tables"][0]["title"] in capsys.readouterr().out


def test_an_unknown_recipe_is_refused_before_anything_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["degradation", "--parts", "speed", "--recipes", "realesrgan", "bsrgam"])
    assert ended.value.code == 2
    assert "no recipe is called 'bsrgam'; did you mean 'bsrgan'?" in capsys.readouterr().err
