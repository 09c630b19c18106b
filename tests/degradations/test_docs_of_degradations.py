"""docs/degradations.md against the code: every step, key and recipe is on the page, and its example works."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

import degradations
from degradations.pipeline import recipe_names
from degradations.registry import DEGRADATION_REGISTRY

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "degradations.md").read_text(encoding="utf-8")
ROWS = {cells[1].strip().strip("`"): cells for line in PAGE.splitlines() if len(cells := line.split("|")) > 3}
OURS = sorted(name for name, cls in DEGRADATION_REGISTRY if cls.__module__.startswith("degradations."))


@pytest.mark.parametrize("name", OURS)
def test_every_step_has_a_row_with_all_of_its_keys(name: str) -> None:
    assert name in ROWS, f"docs/degradations.md: add a row for {name} to the table of steps"
    keys = set(inspect.signature(DEGRADATION_REGISTRY.get(name)).parameters)
    missing = keys - set(re.findall(r"`(\w+)`", ROWS[name][3]))
    assert not missing, f"docs/degradations.md: the row of {name} lacks {sorted(missing)}"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_a_row(name: str) -> None:
    assert name in ROWS, f"docs/degradations.md: add a row for the recipe {name}"


def test_the_recipe_on_the_page_works() -> None:
    recipe = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(recipe) == 1
    pipeline = degradations.build_pipeline(yaml.safe_load(recipe[0]))
    image = np.random.default_rng(0).random((48, 64, 3), np.float32)
    for scale in (1, 2.5, 8):
        plan = pipeline.sample(np.random.default_rng(0), (48, 64), scale)
        assert degradations.apply(plan, image).shape[:2] == tuple(plan["lr_size"])


def test_the_error_on_the_page_is_what_is_said() -> None:
    said = re.findall(r"`phone\.yml: (steps\..*?)`", PAGE)
    recipe = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    recipe["steps"][0]["options"][1]["cutoff"] = [0.4, 1.4]
    with pytest.raises(degradations.RecipeError) as raised:
        degradations.build_pipeline(recipe)
    assert said == [str(raised.value)]


def test_the_python_on_the_page_runs() -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code) == 1
    photo = np.random.default_rng(0).random((480, 640, 3), np.float32)
    names = {"photo": photo}
    exec(code[0], names)
    assert names["lq"].shape == (145, 194, 3)


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
