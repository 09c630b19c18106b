"""Packages: are they there, in versions that fit each other?"""

import importlib
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from realciao.doctor import Finding, check

INSTALL = "python -m pip install -c constraints.txt -e ."


@check
def python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] < (3, 13)
    cure = "" if fits else "make an environment with Python 3.11 or 3.12: basicsr builds on no later one"
    yield Finding("python", "ok" if fits else "fail", version, cure)


@check
def requirements() -> Iterator[Finding]:
    """What setup.py asks for, as the installed package remembers it."""
    try:
        wanted = metadata.requires("realciao") or []
    except metadata.PackageNotFoundError:
        yield Finding("realciao", "fail", "is not installed", f"from the repository's root: {INSTALL}")
        return
    problems = []
    for requirement in map(Requirement, wanted):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        if version is None:
            problems.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} {version} is not {requirement.specifier}")
    found = "; ".join(problems) or f"all {len(wanted)} requirements are met"
    yield Finding("requirements", "fail" if problems else "ok", found, INSTALL if problems else "")


@check
def torch_pair() -> Iterator[Finding]:
    """A torchvision belongs to one torch, and a CUDA build of it does not import beside a CPU build of torch."""
    torch, vision = _version("torch"), _version("torchvision")
    pair = f"torch {torch}, torchvision {vision}"
    needs = [r for r in map(Requirement, metadata.requires("torchvision") or []) if r.name == "torch"]
    if not all(r.specifier.contains(str(torch).partition("+")[0], prereleases=True) for r in needs):
        wanted = ", ".join(str(r) for r in needs)
        yield Finding("torch pair", "fail", f"{pair}, which needs {wanted}", f"python -m pip install '{wanted}'")
        return
    try:
        ops = importlib.import_module("torchvision.ops")
        ops.nms  # noqa: B018  (it is the compiled part that does not load)
    except Exception as error:
        cure = "install both from one source, both with CUDA or both without"
        yield Finding("torch pair", "fail", f"{pair} do not go together: {_first_line(error)}", cure)
        return
    yield Finding("torch pair", "ok", pair)


@check
def opencv() -> Iterator[Finding]:
    """The wheels of OpenCV unpack into one folder: of two, the one that was installed last wins, file by file."""
    names = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
    there = {name: version for name in names if (version := _version(name))}
    found = ", ".join(f"{name} {version}" for name, version in there.items()) or "no OpenCV"
    clean = (
        f"python -m pip uninstall -y {' '.join(there)} && python -m pip install --no-deps 'opencv-python>=4.10'"
        if there
        else INSTALL
    )
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        yield Finding("opencv", "fail", f"{found}; cv2 does not import: {_first_line(error)}", clean)
        return
    versions = set(there.values())
    if len(versions) > 1:
        yield Finding("opencv", "fail", f"{found}: two versions in one folder, cv2 says {cv2.__version__}", clean)
    elif len(there) > 1:
        yield Finding("opencv", "ok", f"{found}: two wheels in one folder, but of one version")
    else:
        yield Finding("opencv", "ok", found)


@check
def basicsr() -> Iterator[Finding]:
    """BasicSR's last release imports on current torchvision only behind our shim."""
    try:
        registry = importlib.import_module("realciao.registry")
        count = len(list(registry.ARCH_REGISTRY))
    except Exception as error:
        yield Finding("basicsr", "fail", f"does not import behind the shim: {_first_line(error)}", INSTALL)
        return
    yield Finding("basicsr", "ok", f"{_version('basicsr')}, imports behind the shim; {count} networks registered")


@check
def setuptools() -> Iterator[Finding]:
    """basicsr imports distutils, openai-clip (through pyiqa) pkg_resources: setuptools 81 and Python 3.12 dropped them."""
    version = _version("setuptools")
    fits = version is not None and int(version.split(".")[0]) < 81
    cure = "" if fits else "python -m pip install 'setuptools<81'"
    yield Finding("setuptools", "ok" if fits else "fail", version or "is missing", cure)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
