"""The doctor finds what is planted, names a cure for it, and exits with a status that says so."""

import json
from collections import namedtuple
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from realciao import doctor
from realciao.commands.doctor import main
from realciao.doctor import Finding, downloads, hardware, packages

Usage = namedtuple("Usage", "total used free")


def only(findings: Iterable[Finding]) -> Finding:
    (finding,) = findings
    return finding


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0), capsys.readouterr().out


def test_this_environment_works() -> None:
    looks = (packages.python, packages.requirements, packages.torch_pair, packages.opencv, packages.setuptools)
    findings = [finding for look in looks for finding in look()]
    assert [finding for finding in findings if finding.state == "fail"] == []


def versions(monkeypatch: pytest.MonkeyPatch, **planted: str | None) -> None:
    def version(name: str) -> str | None:
        key = name.replace("-", "_")
        return planted[key] if key in planted else metadata.version(name)

    monkeypatch.setattr(packages, "_version", version)


def test_a_torchvision_of_another_torch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, torch="2.1.0")
    finding = only(packages.torch_pair())
    assert finding.state == "fail"
    (needs,) = [line for line in metadata.requires("torchvision") or [] if line.startswith("torch")]
    assert str(Requirement(needs)) in finding.cure


def test_two_opencvs_of_two_versions_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"opencv_contrib_python": None, "opencv_contrib_python_headless": None}
    versions(monkeypatch, opencv_python="4.10.0", opencv_python_headless="5.0.0", **nothing)
    finding = only(packages.opencv())
    assert finding.state == "fail"
    assert "uninstall -y opencv-python opencv-python-headless" in finding.cure
    versions(monkeypatch, opencv_python="5.0.0", opencv_python_headless=None, **nothing)
    assert only(packages.opencv()) == Finding("opencv", "ok", "opencv-python 5.0.0")


@pytest.mark.parametrize(("version", "state"), [("80.9.0", "ok"), ("81.0.0", "fail"), (None, "fail")])
def test_a_setuptools_without_pkg_resources_is_found(
    monkeypatch: pytest.MonkeyPatch, version: str | None, state: str
) -> None:
    versions(monkeypatch, setuptools=version)
    assert only(packages.setuptools()).state == state


def test_a_missing_and_an_old_requirement_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.metadata, "requires", lambda name: ["lmdb>=1", "scipy>=9", 'onnx>=1; extra == "onnx"'])
    versions(monkeypatch, lmdb=None, scipy="1.0")
    finding = only(packages.requirements())
    assert finding.found == "lmdb is missing; scipy 1.0 is not >=9"
    assert "pip install" in finding.cure


def test_a_basicsr_that_does_not_import_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torchvision.transforms.functional_tensor'")

    monkeypatch.setattr(packages.importlib, "import_module", broken)
    finding = only(packages.basicsr())
    assert finding.state == "fail"
    assert "functional_tensor" in finding.found


@pytest.mark.parametrize(
    ("free_gib", "states"), [(100, ["ok", "ok", "ok"]), (2, ["warn", "warn", "ok"]), (0.06, ["fail", "fail", "warn"])]
)
def test_a_full_disk_and_a_containers_shared_memory_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_gib: float, states: list[str]
) -> None:
    monkeypatch.setattr(hardware.shutil, "disk_usage", lambda folder: Usage(0, 0, free_gib * 2**30))
    monkeypatch.setattr(hardware, "SHM", tmp_path)
    findings = [*hardware.disk(), *hardware.shared_memory()]
    assert [finding.state for finding in findings] == states
    assert all(bool(finding.cure) == (finding.state != "ok") for finding in findings)


def test_a_gpu_that_torch_does_not_see_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr(hardware.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    finding = only(hardware.device())
    assert (finding.name, finding.state) == ("cuda", "warn")
    assert "driver" in finding.cure


def test_weights_that_would_be_downloaded_are_told_with_their_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    finding = only(downloads.vgg())
    place = tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth"
    assert finding.state == "warn"
    assert str(place) in finding.found
    place.parent.mkdir()
    place.touch()
    assert only(downloads.vgg()).state == "ok"


def test_the_command_prints_cures_and_its_status_is_that_of_the_worst(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Iterable[Finding]:
        raise OSError("no such\ndevice")

    looks = {"a": lambda: [Finding("a", "ok", "fine")], "b": lambda: [Finding("b", "warn", "slow", "wait")]}
    monkeypatch.setattr(doctor, "CHECKS", looks)
    assert run(capsys) == (0, "ok    a: fine\nWARN  b: slow\n      -> wait\n2 looks: 0 failed, 1 warnings\n")
    monkeypatch.setattr(doctor, "CHECKS", {**looks, "c": broken})
    status, text = run(capsys, "--json")
    assert status == 1
    found = json.loads(text)
    assert found["failed"] == 1
    assert found["findings"][-1]["found"] == "OSError: no such"
