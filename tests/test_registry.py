"""The registry's `build`: a spec becomes an object, or one line that says which key of it is wrong."""

import copy
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from realciao.errors import OptionError
from realciao.registry import LOSS_REGISTRY, Registry, build

THINGS = Registry("things")


@THINGS.register()
class Blur:
    def __init__(self, sigma_px: float, kind: Literal["iso", "aniso"] = "iso", size: tuple[int, int] = (3, 3)) -> None:
        if sigma_px < 0:
            raise ValueError(f"sigma_px must be >= 0, got {sigma_px}")
        self.given = (sigma_px, kind, size)


@THINGS.register()
class Wrapper:
    def __init__(self, inner: dict[str, Any], seed: int) -> None:
        self.inner = build(THINGS, inner, "inner")
        self.seed = seed


@THINGS.register()
class Open:
    def __init__(self, **options: Any) -> None:
        self.options = options


@THINGS.register()
class Unannotated:
    def __init__(self, width=64, loss_weight=1.0, bias=True, mode="sum", layers=None):
        self.given = (width, loss_weight, bias, mode, layers)


@THINGS.register()
def make_pair(first: int) -> tuple[int, int]:
    return first, first


def complaint(spec: Any, **runtime: Any) -> tuple[str, str]:
    with pytest.raises(OptionError) as caught:
        build(THINGS, spec, "network_g", **runtime)
    assert "\n" not in str(caught.value)
    return caught.value.path, caught.value.problem


def test_a_spec_becomes_the_object_its_constructor_makes() -> None:
    spec = {"type": "Blur", "sigma_px": 2, "size": [5, 7]}
    before = copy.deepcopy(spec)
    blur = build(THINGS, spec)
    assert blur.given == Blur(2.0, "iso", (5, 7)).given
    assert type(blur.given[0]) is float
    assert spec == before
    assert build(THINGS, {"type": "make_pair", "first": 3}) == (3, 3)
    assert build(THINGS, {"type": "Open", "anything": 1}).options == {"anything": 1}


def test_runtime_arguments_are_the_programs_alone() -> None:
    assert build(THINGS, {"type": "Wrapper", "inner": {"type": "Blur", "sigma_px": 1}}, seed=7).seed == 7
    path, problem = complaint({"type": "Wrapper", "inner": {}, "seed": 3}, seed=7)
    assert (path, problem.partition(";")[0]) == ("network_g.seed", "unknown key")
    path, problem = complaint({"type": "Open", "seed": 3}, seed=7)
    assert (path, problem.partition(";")[0]) == ("network_g.seed", "unknown key")


@pytest.mark.parametrize(
    ("spec", "path", "problem"),
    [
        ("Blur", "", "expected a mapping with a `type`, got 'Blur'"),
        (None, "", "expected a mapping with a `type`, got None"),
        ({"sigma_px": 1}, "type", "is missing; known: "),
        ({"type": "Bluur"}, "type", "'Bluur' is not registered; did you mean 'Blur'?"),
        ({"type": "q"}, "type", "'q' is not registered; known: ['Blur', "),
        ({"type": ["Blur"]}, "type", "'['Blur']' is not registered"),
        ({"type": None}, "type", "'None' is not registered"),
        ({"type": "Blur"}, "sigma_px", "is missing"),
        ({"type": "Blur", "sigma": 1}, "sigma", "unknown key; did you mean 'sigma_px'?"),
        ({"type": "Blur", "sigma_px": "abc"}, "sigma_px", "expected float, got 'abc'"),
        ({"type": "Blur", "sigma_px": 1, "size": [3]}, "size", "expected list of length 2, got [3]"),
        ({"type": "Blur", "sigma_px": 1, "size": [3, "x"]}, "size.1", "expected int, got 'x'"),
        ({"type": "Blur", "sigma_px": 1, "kind": "round"}, "kind", "invalid enum value 'round', got 'round'"),
        ({"type": "Blur", "sigma_px": -1}, "", "Blur: sigma_px must be >= 0, got -1.0"),
        (
            {"type": "Wrapper", "inner": {"type": "Blur", "sgma": 1}, "seed": 1},
            "inner.sgma",
            "unknown key; did you mean",
        ),
        ({"type": "Wrapper", "inner": {"type": "Blur", "sigma_px": -1}, "seed": 1}, "inner", "Blur: sigma_px must be"),
        ({"type": "Unannotated", "width": "abc"}, "width", "expected int | float, got 'abc'"),
        ({"type": "Unannotated", "bias": 1}, "bias", "expected bool, got 1"),
        ({"type": "Unannotated", "mode": 1}, "mode", "expected str | null, got 1"),
    ],
)
def test_a_wrong_spec_is_one_line_under_the_path_of_the_wrong_key(spec: Any, path: str, problem: str) -> None:
    found_path, found_problem = complaint(spec)
    assert found_path == f"network_g.{path}".rstrip(".")
    assert found_problem.startswith(problem)


def test_what_a_default_does_not_forbid_passes_unannotated_arguments() -> None:
    spec = {"type": "Unannotated", "width": 0.5, "loss_weight": 2, "bias": False, "mode": None, "layers": {"a": 1}}
    assert build(THINGS, spec).given == (0.5, 2, False, None, {"a": 1})


def test_a_place_survives_on_the_way_up() -> None:
    error = OptionError("encoder.type", "is missing", "a.yml:3").below("network_g")
    assert str(error) == "a.yml:3: network_g.encoder.type: is missing"


def test_basicsr_classes_are_built_and_checked_like_ours() -> None:
    loss = build(LOSS_REGISTRY, {"type": "L1Loss", "loss_weight": 2}, "pixel_opt")
    assert loss.loss_weight == 2
    with pytest.raises(OptionError, match=r"pixel_opt\.loss_wieght: unknown key; did you mean 'loss_weight'"):
        build(LOSS_REGISTRY, {"type": "L1Loss", "loss_wieght": 2}, "pixel_opt")
    with pytest.raises(OptionError, match=r"pixel_opt: L1Loss: Unsupported reduction mode: average"):
        build(LOSS_REGISTRY, {"type": "L1Loss", "reduction": "average"}, "pixel_opt")


def test_a_new_file_in_a_package_registers_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "self_filling"
    package.mkdir()
    (package / "__init__.py").write_text("from realciao.registry import import_all\nimport_all(__name__)\n")
    (package / "fog.py").write_text(
        "from test_registry_things import THINGS\n\n@THINGS.register()\nclass Fog:\n    depth = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "test_registry_things", sys.modules[__name__])
    __import__("self_filling")
    assert build(THINGS, {"type": "Fog"}).depth == 3
