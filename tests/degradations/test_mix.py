"""Recipes that choose among others: whose plans they give, how often, and how their mistakes are named."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import degradations
from degradations import RecipeError, build_pipeline

TO_LR = {"type": "Resize", "relative_to": "lr", "mode": "area"}
USM = {"type": "USM", "kernel_size": 9, "weight": 0.5, "threshold_8bit": 0}


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_plan_is_that_of_the_chosen_recipe_target_included():
    mix = build_pipeline({"name": "both", "mix": [{"recipe": "realesrgan"}, {"recipe": "bicubic"}]})
    singles = {name: build_pipeline(name) for name in ("realesrgan", "bicubic")}
    seen = set()
    for seed in range(12):
        plan = mix.sample(np.random.default_rng(seed), (40, 30), 2.5)
        name = plan["recipe"].removeprefix("both/")
        rng = np.random.default_rng(seed)
        rng.random()  # which one
        assert plan == {**singles[name].sample(rng, (40, 30), 2.5), "recipe": f"both/{name}"}
        assert (plan["target"] is None) == (name == "bicubic")
        seen.add(name)
    assert seen == set(singles)


def test_recipes_come_with_their_weights():
    mix, rng = build_pipeline("mix"), np.random.default_rng(1)
    names = [mix.sample(rng, (16, 16), 2)["recipe"].removeprefix("mix/") for _ in range(1000)]
    weights = {"realesrgan": 0.3, "bsrgan": 0.2, "bsrgan_plus": 0.15, "realsr": 0.1, "bicubic": 0.1, "camera": 0.15}
    counts = [names.count(name) for name in weights]
    assert sum(counts) == 1000
    assert stats.chisquare(counts, [1000 * weight for weight in weights.values()]).pvalue > 1e-3


def test_without_weights_all_are_equally_likely():
    mix = build_pipeline({"mix": [{"steps": [TO_LR], "name": name} for name in "abc"]})
    rng = np.random.default_rng(1)
    names = [mix.sample(rng, (16, 16), 2)["recipe"] for _ in range(900)]
    assert stats.chisquare([names.count(f"custom/{name}") for name in "abc"]).pvalue > 1e-3


def test_paths_start_at_the_file_they_stand_in(tmp_path: Path):
    _write(tmp_path / "deep" / "plain.yml", "steps: [{type: Resize, relative_to: lr, mode: area}]")
    _write(tmp_path / "deep" / "inner.yml", "mix: [{recipe: plain.yml}]")
    outer = _write(tmp_path / "outer.yml", "mix: [{recipe: deep/inner.yml}]")
    assert build_pipeline(outer).sample(np.random.default_rng(0), (8, 8), 2)["recipe"] == "outer/inner/plain"


def test_a_target_stands_beside_the_steps_of_an_option():
    mix = build_pipeline({"mix": [{"prob": 1.0, "steps": [TO_LR], "target": USM}]})
    plan = mix.sample(np.random.default_rng(0), (16, 16), 2)
    image = np.random.default_rng(0).random((16, 16, 3), np.float32)
    assert np.abs(degradations.target(plan, image) - image).max() > 0.05


@pytest.mark.parametrize(
    ("mix", "path", "words"),
    [
        ([], "mix", "expected a list"),
        ("realesrgan", "mix", "expected a list"),
        (["realesrgan"], "mix.0", "expected a recipe"),
        ([{"recipe": "realesrgam"}], "mix.0.recipe", "did you mean 'realesrgan'?"),
        ([{"recipe": 3}], "mix.0.recipe", "a name or a path"),
        ([{"recipe": "gone.yml"}], "mix.0.recipe", "gone.yml: cannot be read"),
        ([{"recipe": "bicubic", "target": None}], "mix.0.target", "unknown key"),
        ([{"recipe": "bicubic", "prob": 0.4}, {"steps": [TO_LR], "prob": 0.5}], "mix", "sum to 0.9"),
        ([{"recipe": "bicubic", "prob": 0.4}, {"steps": [TO_LR]}], "mix.1.prob", "is missing"),
        ([{"recipe": "bicubic"}, {"steps": [{"type": "JPG"}]}], "mix.1.steps.0.type", "did you mean 'JPEG'?"),
        ([{"steps": [TO_LR], "stepz": 1}], "mix.0.stepz", "unknown key"),
    ],
)
def test_a_wrong_mix_is_refused_with_the_path(mix, path, words):
    with pytest.raises(RecipeError) as caught:
        build_pipeline({"mix": mix})
    assert caught.value.path == path
    assert words in caught.value.problem
    assert "\n" not in str(caught.value)


def test_steps_beside_a_mix_are_refused():
    with pytest.raises(RecipeError, match=r"^steps: unknown key"):
        build_pipeline({"mix": [{"recipe": "bicubic"}], "steps": [TO_LR]})


def test_a_mistake_in_an_included_file_is_named_with_both_files(tmp_path: Path):
    inner = _write(tmp_path / "inner.yml", "steps: [{type: JPG}]")
    outer = _write(tmp_path / "outer.yml", "mix: [{recipe: inner.yml}]")
    with pytest.raises(RecipeError) as caught:
        build_pipeline(outer)
    assert str(caught.value).startswith(f"{outer}: mix.0.recipe: {inner}: steps.0.type: 'JPG' is not a step")


def test_a_recipe_that_includes_itself_is_refused(tmp_path: Path):
    _write(tmp_path / "a.yml", "mix: [{recipe: b.yml}]")
    _write(tmp_path / "b.yml", "mix: [{recipe: a.yml}]")
    with pytest.raises(RecipeError, match=r"'a\.yml' would include itself"):
        build_pipeline(tmp_path / "a.yml")
