"""Who may import whom, read from the source: the layers of the program in one table, and who may use which library."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A layer is a module or package of realciao, all of degradations, or the scripts. Each may import itself, BASE and:
BASE = {"errors", "files"}
LAYERS = {
    "degradations": "",
    "images": "",
    "figures": "",
    "coords": "",
    "batch": "",
    "machine": "",
    "cli": "",
    "options": "",
    "randomness": "",
    "registry": "degradations",
    "recipe_views": "degradations figures images",
    "archs": "coords registry",
    "losses": "registry",
    "metrics": "images registry",
    "data": "archs batch coords degradations images randomness registry",
    "weights": "archs registry",
    "doctor": "metrics",
    "preparing": "data degradations figures images weights",
    "upscaling": "archs coords images machine weights",
    "app": "degradations figures images recipe_views upscaling",
    "evaluation": "coords degradations figures images machine metrics options recipe_views registry upscaling weights",
    "training": "archs batch coords data evaluation figures images losses machine metrics options registry upscaling weights",
    "benchmarks": "archs cli coords data degradations figures images machine options training upscaling weights",
    "train": "cli options preparing training",
    "commands": "app benchmarks cli data degradations doctor evaluation figures images machine options preparing recipe_views "
    "training upscaling weights",
    "scripts": "commands",
}

LIBRARIES = {
    "gradio": ("realciao.app.gradio_queue",),
    "starlette": ("realciao.app.routes",),
    "basicsr": (
        "realciao.registry",
        "degradations.registry",
        "realciao.archs",
        "realciao.losses",
        "realciao.metrics",
        "realciao.training.optim",
    ),
    "accelerate": (
        "realciao.training.trainer",
        "realciao.training.rehearsal",
        "realciao.benchmarks.degradation.loader",
        "realciao.training.engine",
        "realciao.training.trackers",
        "realciao.training.estimate",
    ),
    "matplotlib": ("realciao.recipe_views.plots",),
    "onnx_ir": ("realciao.weights.onnx_export",),
    "spandrel": ("realciao.weights.spandrel_models",),
    "pyiqa": ("realciao.metrics", "realciao.doctor.downloads"),
}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(file): file
    for folder in ("realciao", "degradations", "scripts")
    for file in sorted((ROOT / folder).rglob("*.py"))
}


def statements(body: Iterable[ast.stmt], functions_too: bool) -> Iterator[ast.stmt]:
    """All statements in the order in which they run; what stands under TYPE_CHECKING never does."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef) and not functions_too:
            continue
        if isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING"):
            continue
        for block in ("body", "handlers", "orelse", "finalbody"):
            for part in getattr(statement, block, ()):
                yield from statements(part.body if isinstance(part, ast.ExceptHandler) else [part], functions_too)


@functools.cache
def parsed(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


@functools.cache
def imported(name: str, functions_too: bool = True) -> tuple[str, ...]:
    """Dotted names that a module of ours imports; `from package import module` counts as the module."""
    return tuple(_imported(name, functions_too))


def _imported(name: str, functions_too: bool) -> Iterator[str]:
    for statement in statements(parsed(name).body, functions_too):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{name}: imports are written in full"
            for alias in statement.names:
                module = f"{statement.module}.{alias.name}"
                yield module if module in FILES else str(statement.module)


def layer(name: str) -> str:
    parts = name.split(".")
    return parts[1] if parts[0] == "realciao" and len(parts) > 1 else parts[0]


def within(name: str, packages: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"realciao"}))
def test_a_module_imports_only_what_its_layer_may(name: str) -> None:
    assert layer(name) in LAYERS.keys() | BASE, f"a new layer: say in {Path(__file__).name} what it may import"
    own = "" if layer(name) in BASE else LAYERS[layer(name)]
    allowed = {layer(name), *own.split(), *(BASE - {layer(name)} if layer(name) != "degradations" else ())}
    for other in imported(name):
        if other.split(".")[0] in ("realciao", "degradations", "scripts", "tests"):
            assert layer(other) in allowed, f"{name} imports {other}"


def test_the_layers_have_no_cycle() -> None:
    order = list(TopologicalSorter({name: below.split() for name, below in LAYERS.items()}).static_order())
    assert set(order) >= LAYERS.keys()


def test_the_package_itself_imports_nothing_of_ours_until_it_is_asked() -> None:
    assert not [name for name in imported("realciao") if within(name, ("realciao", "degradations"))]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_imported_only_where_it_is_wrapped(library: str) -> None:
    users = {name for name in FILES if any(within(other, [library]) for other in imported(name))}
    strangers = {name for name in users if not within(name, LIBRARIES[library])}
    assert users
    assert not strangers


def test_encoders_decoders_and_the_network_meet_only_through_build() -> None:
    encoders, decoders = "realciao.archs.encoders", "realciao.archs.decoders"
    for name in FILES:
        others = [home for home in (encoders, decoders) if not within(name, [home])]
        met = [other for other in imported(name) if within(other, others) and other not in (encoders, decoders)]
        if layer(name) == "benchmarks":  # which state what one decoder takes
            continue
        assert not met, f"{name} imports {met}"


def test_image_files_are_read_and_written_in_one_place() -> None:
    coders = {"imread", "imwrite", "imreadmulti"}
    for name in FILES:
        used = {node.attr for node in ast.walk(parsed(name)) if isinstance(node, ast.Attribute)}
        assert name == "realciao.images.reading" or not used & coders


def test_no_file_beside_train_py_hides_a_module_of_the_standard_library() -> None:
    # `python realciao/train.py` puts realciao/ first on the path
    assert not {layer(name) for name in FILES if within(name, ["realciao"])} & sys.stdlib_module_names


def first_use(name: str, wanted: tuple[str, ...], seen: set[str]) -> str | None:
    """Which of the wanted modules is imported first when `name` is, by following the imports in their order."""
    for package in [name.rsplit(".", i)[0] for i in range(name.count("."), -1, -1)]:
        if package in wanted or within(package, wanted):
            return next(one for one in wanted if within(package, [one]))
        if package in FILES and package not in seen:
            seen.add(package)
            for other in imported(package, functions_too=False):
                found = first_use(other, wanted, seen)
                if found:
                    return found
    return None


@pytest.mark.parametrize("name", FILES)
def test_basicsr_never_comes_before_its_shim(name: str) -> None:
    assert first_use(name, ("degradations.basicsr_shim", "basicsr"), set()) != "basicsr"


def test_in_a_fresh_process_ours_load_without_the_rest_of_basicsr_and_then_every_module_does() -> None:
    modules = [name for name in FILES if not within(name, ["scripts"])]
    code = f"""
import importlib, sys, realciao.commands.infer_run, realciao.archs
from realciao.registry import ARCH_REGISTRY, find
spec = {{"type": "CiaoSR", "encoder": {{"type": "SmallEncoder"}}, "decoder": {{"type": "CiaoSRDecoder"}}}}
realciao.archs.build_network(spec)
assert not {{"torchvision", "torch._dynamo", "basicsr.archs", "scipy.stats"}} & sys.modules.keys()
assert find(ARCH_REGISTRY, "MSRResNet").__module__ == "basicsr.archs.srresnet_arch"  # which is there when asked for
import basicsr
assert basicsr.__version__ == "1.4.2" and basicsr.utils.scandir
for name in {modules}: importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
