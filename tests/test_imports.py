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
    "alpha": "coords",
    "batch": "",
    "coords": "",
    "crops": "",
    "pixels": "",
    "png": "",
    "metadata": "png",
    "tiff_exif": "metadata",
    "photo_writer": "metadata pixels png tiff_exif",
    "deep_tiff": "pixels",
    "image": "deep_tiff metadata photo_writer pixels png lmdb_images",
    "image_paths": "lmdb_images",
    "lmdb_images": "",
    "markdown": "",
    "matlab_resize": "",
    "option_tree": "",
    "options": "option_tree",
    "progress": "",
    "tiling": "",
    "registry": "degradations",  # for the shim
    "archs": "registry coords batch",
    "losses": "registry",
    "metrics": "registry image matlab_resize",
    "data": "archs degradations batch image image_paths coords registry",
    "weights": "archs registry",
    "allocator": "",
    "devices": "allocator",
    "sizes": "coords",
    "back_projection": "",
    "tile_memory": "allocator",
    "tile_decoding": "archs back_projection coords tiling",
    "tile_bands": "alpha coords devices pixels sizes tile_decoding tile_memory tiling",
    "inference": "archs weights devices tiling photo_writer pixels sizes tile_bands tile_decoding",
    "photo_upscaling": "image inference photo_writer pixels sizes tile_bands",
    "ensemble": "archs coords image tiling",
    "ensemble_figure": "ensemble image",
    "degradation_plans": "degradations",
    "degradation_gallery": "degradations crops image",
    "degradation_page": "degradation_gallery image",
    "degradation_sheet": "degradation_gallery image",
    "degradation_stats": "degradations degradation_gallery degradation_plans image",
    "degradation_match": "degradations",
    "degradation_advice": "degradation_match",
    "degradation_plots": "degradation_stats",
    "evaluation": "metrics image image_paths",
    "evaluation_report": "evaluation markdown metrics",
    "ema": "",
    "engine": "allocator options",
    "health": "options",
    "interruption": "",
    "objective": "losses registry options batch",
    "optim": "registry",
    "run_state": "",
    "option_changes": "options",
    "run_folder": "run_state option_changes options",
    "validation": "evaluation metrics image batch",
    "comparison": "crops data image inference markdown metrics coords options run_folder validation",
    "training": "archs batch devices options weights",
    "stage_run": "training archs batch weights data objective optim options registry ema health",
    "rehearsal": "batch coords data engine image stage_run",
    "trainer": "archs batch weights comparison data devices engine health interruption metrics options progress "
    "rehearsal run_folder run_state stage_run validation measuring report status trackers",
    "onnx_export": "archs weights",
    "measuring": "markdown",
    "benchmarks": "measuring archs batch weights coords degradations data image inference options pixels stage_run "
    "trainer",
    "app": "crops degradations degradation_gallery degradation_plans image inference metadata photo_upscaling photo_writer "
    "pixels sizes tiling",
    "commands": "allocator data devices app benchmarks measuring degradations archs weights ensemble ensemble_figure image "
    "image_paths inference onnx_export evaluation evaluation_report options markdown degradation_plans "
    "degradation_gallery degradation_page degradation_sheet degradation_stats degradation_match "
    "degradation_advice degradation_plots photo_upscaling weights sizes trainer preparing doctor grid",
    "train": "commands engine options trainer interruption estimate data_audit stage_run",
    "status": "progress",
    "report": "comparison coords data image batch measuring options run_folder",
    "trackers": "options run_folder",
    "doctor": "registry metrics",
    "preparing": "degradations weights data image image_paths lmdb_images markdown",
    "estimate": "batch data markdown measuring metrics options rehearsal stage_run validation",
    "data_audit": "data image preparing",
    "bootstrap": "",
    "grid": "archs bootstrap weights coords degradations degradation_plans evaluation image image_paths inference markdown "
    "matlab_resize measuring metrics option_tree options registry weights tiling",
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
        "realciao.optim",
    ),
    "accelerate": (
        "realciao.trainer",
        "realciao.rehearsal",
        "realciao.benchmarks.degradation.loader",
        "realciao.engine",
        "realciao.trackers",
        "realciao.estimate",
    ),
    "matplotlib": ("realciao.degradation_plots",),
    "onnx_ir": ("realciao.onnx_export",),
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
        assert name == "realciao.image" or not used & coders


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
